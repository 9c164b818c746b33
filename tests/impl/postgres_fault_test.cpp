// What goes wrong with a real server, and what must hold then: lookups are answered within their
// time, nothing wrong is found, what was committed is written once that is possible, it recovers by
// itself, and the log says it once.
#include <sys/mount.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "allocations.hpp"
#include "postgres_fixture.hpp"
#include "talking_server.hpp"
#include "tcp_relay.hpp"

namespace satchel::prompt_cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;

// How much longer than its own time a lookup may take on a machine that is busy.
constexpr auto kSlowMachine = seconds(20);

class PostgresFaultTest : public PostgresTest {
 protected:
  PostgresFaultTest() {
    config_.lookup_timeout_ms = 1'000;
    config_.connect_timeout_ms = 1'000;
    config_.pool_wait_ms = 100;
  }
  // An index that has found and written something.
  std::shared_ptr<Index> open_working() {
    std::shared_ptr<Index> index = open();
    EXPECT_TRUE(index->commit(writing({live_entry(1)})));
    EXPECT_TRUE(flush(*index));
    EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
    return index;
  }
  // Many threads ask at once, each several times; how many were answered.
  int ask_from_many_threads(Index& index, int each) {
    std::atomic<int> answered{0};
    std::atomic<bool> late{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 20; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < each; ++n) {
          const auto start = Steady::now();
          if (answers(index)) ++answered;
          if (Steady::now() - start > milliseconds(config_.lookup_timeout_ms) + kSlowMachine) {
            late = true;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(late) << "a lookup was held beyond its time";
    return answered;
  }
  void expect_said_once() {
    EXPECT_EQ(log_.count("cannot be asked"), 1U) << log_.all();
    EXPECT_LE(log_.count("cannot be written"), 1U) << log_.all();
    EXPECT_EQ(log_.count("answers again"), 1U) << log_.all();
  }

  core::TcpRelay relay_{server_.port()};
};

// -------------------------------------------------------------------------- the server comes and
// goes

class PostgresAwayFaultTest : public PostgresFaultTest, public testing::WithParamInterface<bool> {};

TEST_P(PostgresAwayFaultTest, AServerThatGoesAndComesIsDoneWithoutAndFoundAgain) {
  const bool killed = GetParam();
  const std::shared_ptr<Index> index = open_working();
  if (killed) {
    server_.kill();
  } else {
    server_.stop();
  }
  EXPECT_EQ(ask_from_many_threads(*index, 20), 0);
  // Once it is known, that it is away costs nobody time.
  const auto start = Steady::now();
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(answers(*index));
  EXPECT_LT(Steady::now() - start, kSlowMachine);
  ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  EXPECT_TRUE(finds(*index, 2) || !answers(*index));
  EXPECT_FALSE(index->flush(300 * core::kNanosPerMilli));
  server_.start();
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 2); }));
  EXPECT_TRUE(finds(*index, 1));
  EXPECT_EQ(index->counts().entries_dropped, 0U);
  EXPECT_GT(index->counts().write_retries, 0U);
  expect_said_once();
}

INSTANTIATE_TEST_SUITE_P(Postgres, PostgresAwayFaultTest, testing::Values(false, true),
                         [](const auto& how) { return how.param ? "Killed" : "Stopped"; });

TEST_F(PostgresFaultTest, ARestartThatNobodyAskedDuringIsNotNoticed) {
  const std::shared_ptr<Index> index = open_working();
  server_.stop();
  server_.start();
  ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 2); }));
  EXPECT_EQ(log_.count("cannot be"), 0U) << log_.all();
}

TEST_F(PostgresFaultTest, AnIndexThatIsOpenedBeforeTheServerWaitsForIt) {
  relay_.refuse();
  config_.url = server_.url(place_, relay_.port());
  const std::shared_ptr<Index> index = open();
  EXPECT_EQ(ask_from_many_threads(*index, 5), 0);
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  relay_.pass();
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  expect_said_once();
}

TEST_F(PostgresFaultTest, AnIndexIsClosedInTimeWhileTheServerIsAway) {
  relay_.refuse();
  config_.url = server_.url(place_, relay_.port());
  QueuedIndexOptions options;
  options.commit_deadline_ns = 300 * core::kNanosPerMilli;
  std::shared_ptr<Index> index = postgres_index(config_, clock_, log_, options);
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  const auto start = Steady::now();
  index.reset();
  EXPECT_LT(Steady::now() - start, kSlowMachine);
  relay_.pass();
  relay_.stall();
  index = postgres_index(config_, clock_, log_, options);
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  const auto again = Steady::now();
  index.reset();
  EXPECT_LT(Steady::now() - again, kSlowMachine);
}

// ---------------------------------------------------------------------------------- the network

TEST_F(PostgresFaultTest, AnAnswerThatIsCutInTheMiddleIsAskedForAgain) {
  config_.url = server_.url(place_, relay_.port());
  config_.lookup_timeout_ms = 20'000;
  config_.pool = 1;
  const std::shared_ptr<Index> index = open_working();
  for (const std::size_t bytes : {0, 1, 5, 20, 60}) {
    relay_.cut_after(bytes);
    EXPECT_TRUE(finds(*index, 1)) << bytes;
  }
  EXPECT_EQ(index->counts().lookup_failures, 0U);
  for (const std::uint64_t n : {2, 3, 4}) {
    relay_.cut_after(n);
    ASSERT_TRUE(index->commit(writing({live_entry(n)})));
    EXPECT_TRUE(flush(*index));
    relay_.pass();
    EXPECT_TRUE(eventually([&] { return finds(*index, n); }));
  }
  EXPECT_EQ(index->counts().entries_dropped, 0U);
}

TEST_F(PostgresFaultTest, LatePacketsAreWaitedForWithinTheTimeAndNoLonger) {
  config_.url = server_.url(place_, relay_.port());
  const std::shared_ptr<Index> index = open_working();
  relay_.delay(milliseconds(50));
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  relay_.delay(seconds(3));
  EXPECT_FALSE(answers(*index));
  EXPECT_LT(ask_from_many_threads(*index, 1), 20);
  relay_.pass();
  relay_.cut();
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
}

TEST_F(PostgresFaultTest, ANetworkThatSwallowsEverythingHoldsNobody) {
  config_.url = server_.url(place_, relay_.port());
  config_.lookup_timeout_ms = 300;
  const std::shared_ptr<Index> index = open_working();
  relay_.stall();
  EXPECT_EQ(ask_from_many_threads(*index, 3), 0);
  ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  relay_.pass();
  relay_.cut();
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 2); }));
}

// A pooler, or whatever else listens on that port.
TEST_F(PostgresFaultTest, AServerThatLeavesAnswersOutIsNone) {
  const std::string ready("Z\0\0\0\5I", 6);
  const std::string welcome = std::string("R\0\0\0\x08\0\0\0\0", 9) + ready;
  const core::TalkingServer server({welcome, ready, ready, ready, ready});
  const std::string place = server.url().substr(server.url().rfind('/') + 1);
  config_.url = "postgresql://postgres@" + place + "/x?sslmode=disable&gssencmode=disable";
  const std::shared_ptr<Index> index = open();
  EXPECT_FALSE(answers(*index));
  EXPECT_GT(log_.count("the server left out an answer"), 0U) << log_.all();
}

// An answer that nobody took must not become the next question's.
TEST_F(PostgresFaultTest, AnAnswerThatMemoryRanOutOverIsNeverAnotherScopes) {
  config_.pool = 1;
  config_.lookup_timeout_ms = 20'000;
  const Scope other{"somebody else", "gpt-4o", "v1"};
  ASSERT_TRUE(flush(*open_working()));
  const std::unique_ptr<IndexBackend> backend = make_postgres_backend(config_, clock_, log_);
  const std::vector<PrefixHash> hashes(1, hash_number(1));
  int failures = 0;
  for (std::size_t nth = 1;; ++nth) {
    bool happened = false;
    try {
      const test::FailingAllocation failing(nth);
      const auto found = backend->find(some_scope(), hashes, now());
      happened = failing.happened();
    } catch (const std::bad_alloc&) {
      happened = true;
      ++failures;
    }
    const auto found = backend->find(other, hashes, now());
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_EQ(found->size(), 0U) << "after the failure of allocation " << nth;
    if (!happened) break;
  }
  EXPECT_GT(failures, 10);
}

// libpq waits for each host of a list as long as it is let, and would begin with the same one
// again.
TEST_F(PostgresFaultTest, AHostThatSaysNothingDoesNotKeepUsFromTheNextOfTheList) {
  config_.url = server_.url(place_);
  const std::string only = "@127.0.0.1:" + std::to_string(server_.port());
  config_.url.replace(config_.url.find(only), only.size(),
                      "@127.0.0.1:" + std::to_string(relay_.port()) +
                          ",127.0.0.1:" + std::to_string(server_.port()));
  config_.connect_timeout_ms = 300;
  relay_.stall();
  const std::shared_ptr<Index> index = open();
  EXPECT_TRUE(eventually([&] { return answers(*index); })) << log_.all();
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(finds(*index, 1));
}

// A signal would end a host that does not expect it.
std::atomic<int> broken_pipes{0};

TEST_F(PostgresFaultTest, AClosedConnectionIsNoSignalForTheHost) {
  const auto before = std::signal(SIGPIPE, [](int) { ++broken_pipes; });
  config_.url = server_.url(place_, relay_.port());
  config_.lookup_timeout_ms = 20'000;
  const std::shared_ptr<Index> index = open_working();
  for (int i = 0; i < 5; ++i) {
    relay_.cut();
    EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  }
  EXPECT_EQ(broken_pipes, 0);
  std::signal(SIGPIPE, before);
}

// ------------------------------------------------------------------------------ the server's
// troubles

TEST_F(PostgresFaultTest, AServerThatOnlyReadsIsReadAndWrittenLater) {
  move_to_own_database();
  const std::shared_ptr<Index> index = open_working();
  const std::string drop_sessions =
      "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE datname = '" +
      place_ + "' AND pid <> pg_backend_pid()";
  // As after a failover: those who had a connection find a server that does not write.
  static_cast<void>(sql("ALTER DATABASE " + place_ + " SET default_transaction_read_only = on"));
  static_cast<void>(server_.sql("postgres", drop_sessions));
  ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  EXPECT_TRUE(eventually([&] { return index->counts().write_retries >= 2; }));
  EXPECT_TRUE(finds(*index, 1));
  EXPECT_EQ(log_.count("read-only"), 1U) << log_.all();
  static_cast<void>(server_.sql(
      "postgres", "ALTER DATABASE " + place_ + " SET default_transaction_read_only = off"));
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(finds(*index, 2));
  EXPECT_EQ(index->counts().entries_dropped, 0U);
  EXPECT_EQ(log_.count("is written again"), 1U) << log_.all();
}

// A file system of a few megabytes, where the tests may make one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    std::filesystem::create_directory(path_);
    mounted_ = mount("satchel-test", path_.c_str(), "tmpfs", 0, "size=4m") == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(PostgresFaultTest, OnAFullDiskWhatIsThereIsFoundAndTheRestIsWrittenLater) {
  const std::string small = server_.directory() + "/small";
  const SmallDisk disk(small);
  if (!disk.mounted()) GTEST_SKIP() << "no file system can be mounted here";
  server_.give(small);
  const std::string space = "small_" + place_;
  static_cast<void>(
      server_.sql("postgres", "CREATE TABLESPACE " + space + " LOCATION '" + small + "'"));
  static_cast<void>(
      sql("SET default_tablespace = " + space +
          "; CREATE TABLE prompt_cache_entries (id bigserial PRIMARY KEY, "
          "principal_id uuid NOT NULL, virtual_model text NOT NULL, "
          "tokenizer_version text NOT NULL, prefix_hash bytea NOT NULL, "
          "cumulative_token_count integer NOT NULL, ttl_tier text NOT NULL, created_at "
          "timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL, UNIQUE "
          "(principal_id, virtual_model, tokenizer_version, prefix_hash)); "
          "CREATE INDEX ON prompt_cache_entries (expires_at)"));
  {
    const std::shared_ptr<Index> index = open_working();
    static_cast<void>(sql(
        "SET default_tablespace = " + space +
        "; CREATE TABLE filler (a text); DO $$ BEGIN LOOP BEGIN INSERT INTO filler SELECT "
        "repeat('x', 7000) FROM generate_series(1, 5); EXCEPTION WHEN disk_full THEN EXIT; END; "
        "END LOOP; END $$"));
    std::vector<Entry> many;
    for (std::uint64_t n = 2; n < 1'000; ++n) many.push_back(live_entry(n));
    ASSERT_TRUE(index->commit(writing(many)));
    EXPECT_TRUE(eventually([&] { return index->counts().write_retries >= 2; }));
    EXPECT_TRUE(finds(*index, 1));
    EXPECT_EQ(log_.count("No space left on device"), 1U) << log_.all();
    static_cast<void>(sql("DROP TABLE filler"));
    EXPECT_TRUE(flush(*index));
    EXPECT_TRUE(finds(*index, 999));
    EXPECT_EQ(index->counts().entries_dropped, 0U);
  }
  static_cast<void>(sql("DROP TABLE prompt_cache_entries"));
  static_cast<void>(server_.sql("postgres", "CHECKPOINT"));
  static_cast<void>(server_.sql("postgres", "DROP TABLESPACE " + space));
}

TEST_F(PostgresFaultTest, AWrongPasswordIsSaidOnceAndNeverShown) {
  static_cast<void>(sql("GRANT ALL ON SCHEMA " + place_ + " TO guarded"));
  config_.url = server_.url(place_, 0, "guarded:wrong-horse");
  const std::shared_ptr<Index> index = open();
  EXPECT_EQ(ask_from_many_threads(*index, 20), 0);
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  EXPECT_TRUE(eventually([&] { return log_.count("failed for user \"guarded\"") == 2; }))
      << log_.all();
  static_cast<void>(sql("ALTER ROLE guarded PASSWORD 'wrong-horse'"));
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  static_cast<void>(sql("ALTER ROLE guarded PASSWORD 'correct horse'"));
  EXPECT_EQ(log_.count("horse"), 0U) << log_.all();
  expect_said_once();
}

TEST_F(PostgresFaultTest, WithoutAFreeConnectionOfTheServerOneWaitsAndIsServedLater) {
  std::vector<std::unique_ptr<OtherSession>> others;
  for (bool room = true; room;) {
    others.push_back(std::make_unique<OtherSession>(server_.url(place_), log_));
    room = others.back()->open();
  }
  ASSERT_GT(others.size(), 10U);
  const std::shared_ptr<Index> index = open();
  EXPECT_EQ(ask_from_many_threads(*index, 5), 0);
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  EXPECT_TRUE(eventually([&] { return log_.count("too many clients") == 2; })) << log_.all();
  others.clear();
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  expect_said_once();
}

TEST_F(PostgresFaultTest, WithFewerConnectionsThanItsPoolTheServerStillServes) {
  move_to_own_database();
  static_cast<void>(sql("GRANT ALL ON SCHEMA public TO guarded; ALTER DATABASE " + place_ +
                        " CONNECTION LIMIT 2"));
  config_.url = server_.url(place_, 0, "guarded:correct%20horse");
  config_.pool = 8;
  const std::shared_ptr<Index> index = open_working();
  EXPECT_GT(ask_from_many_threads(*index, 50), 0);
  EXPECT_TRUE(eventually([&] { return finds(*index, 1); }));
  EXPECT_LE(log_.count("cannot be asked"), 2U) << log_.all();
}

TEST_F(PostgresFaultTest, ATableThatSomebodyLocksHoldsNobodyBeyondTheTime) {
  config_.lookup_timeout_ms = 300;
  const std::shared_ptr<Index> index = open_working();
  {
    OtherSession other(server_.url(place_), log_);
    ASSERT_TRUE(other.run({"BEGIN", "LOCK TABLE prompt_cache_entries IN ACCESS EXCLUSIVE MODE"}));
    EXPECT_EQ(ask_from_many_threads(*index, 2), 0);
    ASSERT_TRUE(index->commit(writing({live_entry(2)})));
  }
  EXPECT_TRUE(flush(*index));
  EXPECT_TRUE(eventually([&] { return finds(*index, 2); }));
  EXPECT_EQ(index->counts().entries_dropped, 0U);
}

}  // namespace
}  // namespace satchel::prompt_cache
