// The index in PostgreSQL as its users see it, and the rows that it shares with others.
#include <openssl/pem.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "index_conformance.hpp"
#include "postgres_fixture.hpp"
#include "tcp_relay.hpp"
#include "test_certificates.hpp"

namespace satchel::prompt_cache {
namespace {

struct PostgresMaker {
  static constexpr std::uint32_t kMostTokens = 2'147'483'647;  // int4
  static constexpr bool kTextOnly = true;

  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    core::RealPostgres& server = core::RealPostgres::shared();
    return postgres_index(postgres_at(server.url(server.new_schema())), clock, log);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, IndexConformance, PostgresMaker);

using PostgresIndexTest = PostgresTest;

// ------------------------------------------------------------------------ shared with the
// reference

std::string hex_of(std::uint64_t n) {
  const PrefixHash hash = hash_number(n);
  return core::hex(hash.data(), hash.size());
}

constexpr const char* kPrincipal = "0191d7c2-5a3e-7c11-9f00-3d1a2b3c4d5e";

TEST_F(PostgresIndexTest, RowsAreAsTheReferenceReadsThem) {
  const std::shared_ptr<Index> index = open();
  const Scope scope{kPrincipal, "gpt-4o", "sha256:abc"};
  ASSERT_TRUE(index->commit(writing({{hash_number(1), 1024, Tier::k1h, now() + 3600 * kSecond},
                                     {hash_number(2), 7, Tier::k24h, now() - kSecond}},
                                    scope)));
  ASSERT_TRUE(flush(*index));
  const std::string reference =
      std::string(
          "SELECT encode(prefix_hash, 'hex'), cumulative_token_count, ttl_tier, "
          "expires_at BETWEEN now() + interval '59 minutes' AND now() + interval '1 hour' "
          "FROM prompt_cache_entries WHERE principal_id = '") +
      kPrincipal +
      "' AND virtual_model = 'gpt-4o' AND tokenizer_version = 'sha256:abc' "
      "AND prefix_hash = ANY (ARRAY['\\x" +
      hex_of(1) + "', '\\x" + hex_of(2) + "']::bytea[]) AND expires_at > now()";
  EXPECT_EQ(sql(reference), hex_of(1) + "|1024|1h|t");
  EXPECT_EQ(sql("SELECT count(*), count(created_at), count(id) FROM prompt_cache_entries"),
            "2|2|2");
}

std::string reference_insert(std::uint64_t n, const char* values) {
  return std::string(
             "INSERT INTO prompt_cache_entries (principal_id, virtual_model, "
             "tokenizer_version, prefix_hash, cumulative_token_count, ttl_tier, expires_at) "
             "VALUES ('") +
         kPrincipal + "', 'gpt-4o', 'v1', '\\x" + hex_of(n) + "', " + values +
         ") ON CONFLICT (principal_id, virtual_model, tokenizer_version, prefix_hash) DO UPDATE "
         "SET "
         "cumulative_token_count = EXCLUDED.cumulative_token_count, ttl_tier = EXCLUDED.ttl_tier, "
         "expires_at = EXCLUDED.expires_at;";
}

TEST_F(PostgresIndexTest, RowsOfTheReferenceAreRead) {
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(eventually([&] { return answers(*index); }));
  const Scope scope{kPrincipal, "gpt-4o", "v1"};
  static_cast<void>(sql(reference_insert(1, "100, '5m', now() + interval '5 minutes'") +
                        reference_insert(1, "200, '1h', now() + interval '1 hour'") +
                        reference_insert(2, "300, '5m', now() - interval '1 second'") +
                        reference_insert(3, "-4, '24h', 'infinity'")));
  const std::optional<Entry> found = find(*index, {hash_number(2), hash_number(1)}, now(), scope);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->hash, hash_number(1));
  EXPECT_EQ(found->cumulative_token_count, 200U);
  EXPECT_EQ(found->tier, Tier::k1h);
  EXPECT_GT(found->expires_at, now() + 3'500 * kSecond);
  EXPECT_LT(found->expires_at, now() + 3'700 * kSecond);
  // The reference reads a count below zero as zero.
  EXPECT_EQ(find(*index, {hash_number(3)}, now(), scope)->cumulative_token_count, 0U);
  // Refreshed by the reference.
  static_cast<void>(sql(std::string("UPDATE prompt_cache_entries SET expires_at = now() + interval "
                                    "'5 minutes' WHERE prefix_hash = '\\x") +
                        hex_of(2) + "'"));
  EXPECT_EQ(find(*index, {hash_number(2)}, now(), scope)->cumulative_token_count, 300U);
}

TEST_F(PostgresIndexTest, RowsThatNobodyCouldHaveWrittenAreNoHits) {
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(eventually([&] { return answers(*index); }));
  static_cast<void>(
      sql("ALTER TABLE prompt_cache_entries DROP CONSTRAINT prompt_cache_entries_ttl_tier_check; " +
          reference_insert(1, "100, '7d', now() + interval '5 minutes'")));
  EXPECT_FALSE(find(*index, {hash_number(1)}, now(), {kPrincipal, "gpt-4o", "v1"}));
}

TEST_F(PostgresIndexTest, APrincipalThatIsNoUuidIsAlwaysTheSameOne) {
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(index->commit(writing({live_entry(1)}, {"org-1", "m", "v"})));
  ASSERT_TRUE(index->commit(writing({live_entry(1)}, {"org-2", "m", "v"})));
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(sql("SELECT count(DISTINCT principal_id) FROM prompt_cache_entries"), "2");
  const std::shared_ptr<Index> other = open();
  EXPECT_TRUE(finds(*other, 1, {"org-1", "m", "v"}));
  EXPECT_TRUE(finds(*other, 1, {"org-2", "m", "v"}));
  EXPECT_FALSE(finds(*other, 1, {"org-3", "m", "v"}));
}

// ----------------------------------------------------------------------------------- many at once

TEST_F(PostgresIndexTest, SeveralHostsWriteTheSameKeysAndAllFindThem) {
  constexpr int kHosts = 4;
  constexpr std::uint64_t kKeys = 50;
  std::vector<std::shared_ptr<Index>> hosts;
  for (int i = 0; i < kHosts; ++i) hosts.push_back(open());
  std::vector<std::thread> threads;
  for (const std::shared_ptr<Index>& host : hosts) {
    threads.emplace_back([&, &index = *host] {
      for (std::uint64_t round = 0; round < 5; ++round) {
        for (std::uint64_t n = 0; n < kKeys; ++n) {
          // In another order in each round, so that locks meet.
          Commit commit = writing({live_entry(round % 2 == 0 ? n : kKeys - 1 - n)});
          commit.refresh = Refresh{hash_number((n * 7) % kKeys), now() + 600 * kSecond};
          EXPECT_TRUE(index.commit(std::move(commit)));
        }
        EXPECT_TRUE(flush(index));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sql("SELECT count(*) FROM prompt_cache_entries"), std::to_string(kKeys));
  for (const std::shared_ptr<Index>& host : hosts) {
    for (std::uint64_t n = 0; n < kKeys; ++n) EXPECT_TRUE(finds(*host, n));
    EXPECT_EQ(host->counts().entries_dropped, 0U);
  }
}

// Customers of one organisation share a system prompt: every request refreshes it and writes what
// is new, from many hosts at once.
TEST_F(PostgresIndexTest, HostsThatRefreshAndWriteTheSameRowsNeverWaitInACircle) {
  std::vector<std::shared_ptr<Index>> hosts;
  for (int host = 0; host < 6; ++host) hosts.push_back(open());
  std::vector<Entry> all;
  for (std::uint64_t n = 0; n < 8; ++n) all.push_back(entry_number(n, now() + 300 * kSecond));
  ASSERT_TRUE(hosts[0]->commit(writing(all)));
  ASSERT_TRUE(flush(*hosts[0]));
  std::vector<std::thread> threads;
  for (std::size_t host = 0; host < hosts.size(); ++host) {
    threads.emplace_back([&, host] {
      for (std::uint64_t i = 0; i < 100; ++i) {
        Commit commit = writing({all[(i + host) % 8], all[(i + 3 * host + 1) % 8]});
        commit.refresh = Refresh{hash_number((i * 5 + host * 2 + 3) % 8), now() + 400 * kSecond};
        hosts[host]->commit(std::move(commit));
        flush(*hosts[host]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::shared_ptr<Index>& host : hosts) EXPECT_EQ(host->counts().write_retries, 0U);
  EXPECT_EQ(log_.count("deadlock"), 0U) << log_.all();
}

TEST_F(PostgresIndexTest, TwoHundredThreadsOnASmallPoolAreAnsweredOrTurnedAwayInTime) {
  config_.pool = 2;
  config_.pool_wait_ms = 20;
  core::TcpRelay relay(server_.port());
  config_.url = server_.url(place_, relay.port());
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  ASSERT_TRUE(flush(*index));
  ASSERT_TRUE(finds(*index, 1));
  relay.delay(std::chrono::milliseconds(10));
  std::atomic<int> found{0};
  std::atomic<int> turned_away{0};
  std::atomic<int> others{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 200; ++i) {
    threads.emplace_back([&] {
      const PrefixHash hash = hash_number(1);
      for (int n = 0; n < 5; ++n) {
        const auto answer = index->lookup(some_scope(), {&hash, 1}, now());
        if (answer.ok() && *answer) {
          ++found;
        } else if (!answer.ok() && answer.error().status == core::Status::kBusy) {
          ++turned_away;
        } else {
          ++others;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(found, 0);
  EXPECT_GT(turned_away, 0);
  EXPECT_EQ(others, 0);
  EXPECT_EQ(index->counts().lookups_turned_away, static_cast<std::uint64_t>(turned_away));
  EXPECT_EQ(log_.count("connections are in use"), 1U) << log_.all();
  EXPECT_LE(relay.connections(), 3U);  // two look up, one writes
}

TEST_F(PostgresIndexTest, ALookupAndABatchOfCommitsCostOneRoundTripEach) {
  core::TcpRelay relay(server_.port());
  config_.url = server_.url(place_, relay.port());
  const std::unique_ptr<IndexBackend> backend = make_postgres_backend(config_, clock_, log_);
  PendingCommit commit;
  commit.scope = some_scope();
  commit.writes = {live_entry(1), live_entry(2)};
  commit.refresh = Refresh{hash_number(3), now()};
  const PendingCommit* one = &commit;
  ASSERT_EQ(backend->write({&one, 1}).outcome, IndexBackend::Outcome::kDone);
  const std::vector<PrefixHash> candidates = {hash_number(1), hash_number(2)};
  ASSERT_EQ(backend->find(some_scope(), candidates, 0)->size(), 2U);

  std::size_t before = relay.turns();
  EXPECT_EQ(backend->find(some_scope(), candidates, 0)->size(), 2U);
  EXPECT_EQ(relay.turns() - before, 1U);
  before = relay.turns();
  EXPECT_EQ(backend->write({&one, 1}).outcome, IndexBackend::Outcome::kDone);
  EXPECT_EQ(relay.turns() - before, 1U);
}

// -------------------------------------------------------------------------------------- the clock

class SkewedClock final : public core::Clock {
 public:
  explicit SkewedClock(std::int64_t skew) : skew_(skew) {}
  std::int64_t unix_ns() override { return core::system_clock().unix_ns() + skew_; }
  std::int64_t monotonic_ns() override { return core::system_clock().monotonic_ns(); }

 private:
  const std::int64_t skew_;
};

TEST_F(PostgresIndexTest, HostsWhoseClocksDisagreeAgreeOnWhatIsLive) {
  SkewedClock early(-3600 * kSecond);
  SkewedClock late(3600 * kSecond);
  const std::shared_ptr<Index> a = postgres_index(config_, early, log_);
  const std::shared_ptr<Index> b = postgres_index(config_, late, log_);
  ASSERT_TRUE(a->commit(writing({entry_number(1, early.unix_ns() + 300 * kSecond)})));
  ASSERT_TRUE(b->commit(writing({entry_number(2, late.unix_ns() + 300 * kSecond)})));
  ASSERT_TRUE(flush(*a));
  ASSERT_TRUE(flush(*b));
  EXPECT_EQ(sql("SELECT count(*) FROM prompt_cache_entries WHERE expires_at BETWEEN now() + "
                "interval '200 seconds' AND now() + interval '310 seconds'"),
            "2");
  struct Row {
    Index& index;
    core::Clock& clock;
  };
  for (const Row& host : {Row{*a, early}, Row{*b, late}}) {
    for (const std::uint64_t n : {1, 2}) {
      EXPECT_TRUE(find(host.index, {hash_number(n)}, host.clock.unix_ns() + 200 * kSecond));
      EXPECT_FALSE(find(host.index, {hash_number(n)}, host.clock.unix_ns() + 310 * kSecond));
    }
  }
}

TEST_F(PostgresIndexTest, EntriesExpireUnderAClockThatIsMoved) {
  ManualClock clock;
  const std::shared_ptr<Index> index = postgres_index(config_, clock, log_);
  ASSERT_TRUE(index->commit(writing({entry_number(1, kStart + 300 * kSecond)})));
  ASSERT_TRUE(flush(*index));
  clock.advance(299 * kSecond);
  EXPECT_TRUE(find(*index, {hash_number(1)}, clock.unix_ns()));
  ASSERT_TRUE(index->commit(refreshing(hash_number(1), clock.unix_ns() + 300 * kSecond)));
  ASSERT_TRUE(flush(*index));
  clock.advance(299 * kSecond);
  EXPECT_TRUE(find(*index, {hash_number(1)}, clock.unix_ns()));
  clock.advance(kSecond);
  EXPECT_FALSE(find(*index, {hash_number(1)}, clock.unix_ns()));
}

// -------------------------------------------------------------------------------------- upkeep

TEST_F(PostgresIndexTest, TheSweepDropsExpiredRowsInBatchesAndLeavesTheLive) {
  const std::unique_ptr<IndexBackend> backend = make_postgres_backend(config_, clock_, log_);
  ASSERT_TRUE(backend->sweep().rows.ok());  // the table is there
  static_cast<void>(
      sql("INSERT INTO prompt_cache_entries (principal_id, virtual_model, tokenizer_version, "
          "prefix_hash, cumulative_token_count, ttl_tier, expires_at) "
          "SELECT gen_random_uuid(), 'm', 'v', int4send(n), 1, '5m', "
          "now() + (n - 1500) * interval '1 minute' FROM generate_series(1, 2000) n"));
  IndexBackend::Swept swept = backend->sweep();
  EXPECT_EQ(*swept.rows, 1000U);
  EXPECT_TRUE(swept.more);
  swept = backend->sweep();
  EXPECT_GE(*swept.rows, 499U);
  EXPECT_LT(*swept.rows, 600U);
  EXPECT_FALSE(swept.more);
  EXPECT_EQ(sql("SELECT min(expires_at) > now() - interval '1 minute' FROM prompt_cache_entries"),
            "t");
}

TEST_F(PostgresIndexTest, TheSweepLeavesExpiredRowsAsLongAsItIsTold) {
  config_.keep_expired_ms = 3'600'000;
  const std::unique_ptr<IndexBackend> backend = make_postgres_backend(config_, clock_, log_);
  ASSERT_TRUE(backend->sweep().rows.ok());
  static_cast<void>(sql(reference_insert(1, "1, '5m', now() - interval '59 minutes'") +
                        reference_insert(2, "1, '5m', now() - interval '61 minutes'")));
  EXPECT_EQ(*backend->sweep().rows, 1U);
  EXPECT_EQ(sql("SELECT encode(prefix_hash, 'hex') FROM prompt_cache_entries"), hex_of(1));
}

// The other is the reference, too: it takes the same lock.
TEST_F(PostgresIndexTest, OneProcessSweepsAtATime) {
  const std::unique_ptr<IndexBackend> backend = make_postgres_backend(config_, clock_, log_);
  ASSERT_TRUE(backend->sweep().rows.ok());
  static_cast<void>(sql(reference_insert(1, "1, '5m', now() - interval '1 hour'")));
  OtherSession sweeper(config_.url, log_);
  ASSERT_TRUE(sweeper.run({"SELECT pg_advisory_lock(4924492967626232901)"}));
  EXPECT_EQ(*backend->sweep().rows, 0U);
  ASSERT_TRUE(sweeper.run({"SELECT pg_advisory_unlock_all()"}));
  EXPECT_EQ(*backend->sweep().rows, 1U);
}

// -------------------------------------------------------------------------------------- TLS

void write_server_certificate(const core::Certificate& certificate, const std::string& crt,
                              const std::string& key) {
  if (std::FILE* file = std::fopen(crt.c_str(), "w"); file != nullptr) {
    PEM_write_X509(file, certificate.x509.get());
    std::fclose(file);
  }
  if (std::FILE* file = std::fopen(key.c_str(), "w"); file != nullptr) {
    PEM_write_PrivateKey(file, certificate.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }
  chmod(key.c_str(), 0600);
}

TEST_F(PostgresIndexTest, SpeaksTlsAndChecksTheServerWhereTheConnectionStringSaysSo) {
  const core::Authority authority;
  const core::Authority stranger("A stranger");
  TemporaryDirectory files;
  authority.write_pem(files / "ca.pem");
  stranger.write_pem(files / "stranger.pem");
  const std::string crt = server_.directory() + "/server.crt";
  const std::string key = server_.directory() + "/server.key";
  write_server_certificate(authority.issue({}), crt, key);
  server_.give(crt);
  server_.give(key);
  for (const std::string& setting :
       {"ssl_cert_file = '" + crt + "'", "ssl_key_file = '" + key + "'", std::string("ssl = on")}) {
    static_cast<void>(sql("ALTER SYSTEM SET " + setting));
  }
  static_cast<void>(sql("SELECT pg_reload_conf()"));
  ASSERT_TRUE(eventually([&] { return sql("SHOW ssl") == "on"; }));

  const std::string where = "host=127.0.0.1 port=" + std::to_string(server_.port()) +
                            " dbname=postgres options=-csearch_path=" + place_ +
                            " user=postgres sslmode=verify-full ";
  config_.url = where + "sslrootcert=" + (files / "ca.pem");
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(finds(*index, 1));
  EXPECT_EQ(sql("SELECT count(*) > 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE application_name = 'satchel' AND ssl"),
            "t");
  config_.url = where + "sslrootcert=" + (files / "stranger.pem");
  const std::shared_ptr<Index> suspicious = open();
  EXPECT_FALSE(answers(*suspicious));
  EXPECT_EQ(log_.count("certificate verify failed"), 1U) << log_.all();
  static_cast<void>(sql("ALTER SYSTEM RESET ssl"));
}

// --------------------------------------------------------------------------------- what it refuses

TEST_F(PostgresIndexTest, NamesThatTheTableCannotHoldAreDroppedAndTakeNobodyWithThem) {
  const std::shared_ptr<Index> index = open();
  const std::vector<Scope> impossible = {{"p", std::string("gpt\0", 4), "v"},
                                         {"p", "\xff\xfe", "v"},
                                         {"p", std::string(5'000, 'm'), "v"}};
  for (std::uint64_t n = 0; n < 30; ++n) {
    ASSERT_TRUE(index->commit(writing({live_entry(n)})));
    ASSERT_TRUE(index->commit(writing({live_entry(n)}, impossible[n % impossible.size()])));
  }
  ASSERT_TRUE(flush(*index));
  for (std::uint64_t n = 0; n < 30; ++n) {
    EXPECT_TRUE(finds(*index, n));
    EXPECT_FALSE(finds(*index, n, impossible[n % impossible.size()]));
  }
  EXPECT_EQ(index->counts().entries_written, 30U);
  EXPECT_EQ(index->counts().entries_dropped, 30U);
  EXPECT_EQ(index->counts().lookup_failures, 0U);
  EXPECT_EQ(log_.count("refuses entries"), 1U) << log_.all();
}

TEST_F(PostgresIndexTest, ARowThatAConstraintForbidsTakesNobodyWithIt) {
  const std::shared_ptr<Index> index = open();
  ASSERT_TRUE(eventually([&] { return answers(*index); }));
  // Checked at the commit, when all statements have been done.
  static_cast<void>(sql(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF NEW.virtual_model = 'forbidden' THEN RAISE 'not this' USING ERRCODE = '23514'; END IF; "
      "RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER late AFTER INSERT ON prompt_cache_entries "
      "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"));
  ASSERT_TRUE(index->commit(writing({live_entry(1)})));
  ASSERT_TRUE(index->commit(writing({live_entry(2)}, {"p", "forbidden", "v"})));
  ASSERT_TRUE(index->commit(writing({live_entry(3)})));
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(sql("SELECT count(*) FROM prompt_cache_entries"), "2");
  EXPECT_EQ(index->counts().entries_dropped, 1U);
}

}  // namespace
}  // namespace satchel::prompt_cache
