#include "prompt_cache/sqlite_index.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index_conformance.hpp"
#include "sqlite_shell.hpp"

namespace satchel::prompt_cache {
namespace {

struct SqliteMaker {
  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    SqliteIndexOptions options;
    options.path = directory / "index";
    return make_sqlite_index(options, clock, log);
  }
  TemporaryDirectory directory;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, IndexConformance, SqliteMaker);

class SqliteIndexTest : public testing::Test {
 protected:
  SqliteIndexTest() { options_.path = directory_ / "index"; }

  std::shared_ptr<Index> open() { return make_sqlite_index(options_, clock_, log_); }
  [[nodiscard]] std::string database() const { return options_.path + "/prompt_cache.db"; }

  static bool flush(Index& index) { return index.flush(60 * kSecond); }

  // Runs `body` in a child process; 0 is what a child returns that found all as it should be. To be
  // called while no index is open here: a fork takes no threads along.
  static int in_child(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  CapturedLog log_;
  SqliteIndexOptions options_;
};

unsigned mode_of(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return 0;
  return status.st_mode & 07777U;
}

// ---------------------------------------------------------------------------- what is on the disk

TEST_F(SqliteIndexTest, DirectoryAndFilesAreForTheirOwnerAlone) {
  options_.path = directory_ / "new/and/deep";
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(mode_of(options_.path), 0700U);
  for (const char* name : {"", "-wal", "-shm"}) {
    EXPECT_EQ(mode_of(database() + name), 0600U) << name;
  }
  EXPECT_EQ(mode_of(options_.path + "/prompt_cache.lock"), 0600U);
}

TEST_F(SqliteIndexTest, WhatWasWrittenOutlivesTheIndex) {
  {
    const auto index = open();
    for (std::uint64_t n = 0; n < 5000; ++n) index->commit(writing({entry_number(n)}));
  }  // and the destructor writes what is still waiting
  const auto index = open();
  for (std::uint64_t n = 0; n < 5000; ++n) ASSERT_TRUE(find(*index, {hash_number(n)})) << n;
  EXPECT_EQ(log_.all(), "");
}

TEST_F(SqliteIndexTest, AClosedIndexLeavesAShortWal) {
  {
    const auto index = open();
    for (std::uint64_t n = 0; n < 5000; ++n) index->commit(writing({entry_number(n)}));
  }
  EXPECT_EQ(std::filesystem::file_size(database() + "-wal"), 0U);
}

TEST_F(SqliteIndexTest, AnotherProcessReadsWhatWasWrittenAfterFlush) {
  const int in_first = in_child([&] {
    const auto index = open();
    index->commit(writing({entry_number(1), entry_number(2)}));
    return flush(*index) ? 0 : 1;
  });
  ASSERT_EQ(in_first, 0);
  const auto index = open();
  EXPECT_EQ(find(*index, {hash_number(2)})->cumulative_token_count, 1002U);
}

TEST_F(SqliteIndexTest, ProcessesThatAreOpenAtOnceSeeEachOthersEntries) {
  int to_child[2];
  int from_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(from_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto index = open();
    char byte = 0;
    if (write(from_child[1], "o", 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(2);
    const bool seen = find(*index, {hash_number(1)}).has_value();
    index->commit(writing({entry_number(2)}));
    const bool flushed = index->flush(60 * kSecond);
    _exit(seen && flushed ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(from_child[0], &byte, 1), 1);
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  ASSERT_EQ(write(to_child[1], "g", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(find(*index, {hash_number(2)}));
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(fd);
}

TEST_F(SqliteIndexTest, TwoIndexesOfOneProcessShareADirectory) {
  const auto first = open();
  auto second = open();
  first->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*first));
  EXPECT_TRUE(find(*second, {hash_number(1)}));
  second.reset();
  first->commit(writing({entry_number(2)}));
  ASSERT_TRUE(flush(*first));
  second = open();
  EXPECT_TRUE(find(*second, {hash_number(2)}));
}

TEST_F(SqliteIndexTest, ARelativePathIsTheOneOfTheMomentOfOpening) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory_.path());
  options_.path = "index/";
  const auto index = open();
  std::filesystem::current_path(before);
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "index/prompt_cache.db"));
}

TEST_F(SqliteIndexTest, APathMayContainWhatUrisAndSqlGiveAMeaning) {
  options_.path = directory_ / "a b?mode=ro#x%20'\"\xc3\xa4";
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(std::filesystem::exists(database()));
  EXPECT_EQ(log_.all(), "");
}

// --------------------------------------------------------------------------- beside other programs

TEST_F(SqliteIndexTest, TheSqliteShellReadsAndWritesBesideTheIndex) {
  const auto index = open();
  index->commit(writing({entry_number(1), entry_number(2)}));
  ASSERT_TRUE(flush(*index));
  SqliteShell shell(database());
  EXPECT_EQ(shell.number("SELECT count(*) FROM entries"), 2);
  EXPECT_EQ(shell.text("PRAGMA integrity_check"), "ok");
  ASSERT_EQ(shell.execute("DELETE FROM entries WHERE tokens = 1001"), SQLITE_OK);
  EXPECT_FALSE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(find(*index, {hash_number(2)}));
  ASSERT_EQ(shell.execute("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  index->commit(writing({entry_number(3)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(shell.number("SELECT count(*) FROM entries"), 2);
}

TEST_F(SqliteIndexTest, ARowWhoseBytesChangedIsAMissNotAWrongNumber) {
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  SqliteShell shell(database());
  for (const char* change :
       {"tokens = 7", "tier = 2", "expires_at = expires_at + 1", "seal = seal + 1", "tokens = -1",
        "tokens = 'many'", "tier = 9", "hash = x'00'", "scope = zeroblob(16)"}) {
    ASSERT_TRUE(find(*index, {hash_number(1)})) << change;
    ASSERT_EQ(shell.execute(std::string("UPDATE entries SET ") + change), SQLITE_OK);
    EXPECT_FALSE(find(*index, {hash_number(1)})) << change;
    index->commit(refreshing(hash_number(1), kStart + 900 * kSecond));
    ASSERT_TRUE(flush(*index));
    EXPECT_FALSE(find(*index, {hash_number(1)})) << change;
    index->commit(writing({entry_number(1)}));
    ASSERT_TRUE(flush(*index));
  }
}

TEST_F(SqliteIndexTest, ADatabaseOfALaterVersionIsLeftAsItIs) {
  { open()->commit(writing({entry_number(1)})); }
  SqliteShell(database()).execute("PRAGMA user_version = 99");
  {
    const auto index = open();
    EXPECT_FALSE(index->lookup(some_scope(), std::vector{hash_number(1)}, kStart).ok());
    EXPECT_EQ(log_.count("schema version 99"), 1U) << log_.all();
  }
  SqliteShell shell(database());
  EXPECT_EQ(shell.number("SELECT count(*) FROM entries"), 1);
  EXPECT_EQ(shell.number("PRAGMA user_version"), 99);
}

TEST_F(SqliteIndexTest, ADatabaseOfAnotherApplicationIsLeftAsItIs) {
  std::filesystem::create_directory(options_.path);
  for (const char* sql : {"CREATE TABLE entries(precious)", "PRAGMA application_id = 4711"}) {
    std::filesystem::remove(database());
    SqliteShell(database()).execute(sql);
    const auto size = std::filesystem::file_size(database());
    const auto index = open();
    const auto found = index->lookup(some_scope(), std::vector{hash_number(1)}, kStart);
    ASSERT_FALSE(found.ok());
    EXPECT_NE(found.error().message.find("another application"), std::string::npos);
    EXPECT_EQ(std::filesystem::file_size(database()), size);
    EXPECT_FALSE(std::filesystem::exists(database() + ".damaged"));
  }
  EXPECT_EQ(log_.count("another application"), 2U) << log_.all();
}

TEST_F(SqliteIndexTest, WithoutItsTablesTheDatabaseIsMadeAnew) {
  { open(); }
  SqliteShell(database()).execute("DROP INDEX entries_by_expiry");
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(std::filesystem::exists(database() + ".damaged"));
}

// -------------------------------------------------------------------------- waiting to be written

// Holds the write lock, so that nothing of the index is written.
class Blocked {
 public:
  explicit Blocked(const std::string& database) : shell_(database) {
    EXPECT_EQ(shell_.execute("BEGIN IMMEDIATE"), SQLITE_OK);
  }
  void end() { EXPECT_EQ(shell_.execute("ROLLBACK"), SQLITE_OK); }

 private:
  SqliteShell shell_;
};

TEST_F(SqliteIndexTest, LookupsNeitherWaitForAWriterNorMissWhatWaits) {
  const auto index = open();
  index->commit(writing({entry_number(1), entry_number(2)}));
  ASSERT_TRUE(flush(*index));
  Blocked blocked(database());
  index->commit(writing({{hash_number(1), 77, Tier::k1h, kStart + 900 * kSecond}}));
  index->commit(refreshing(hash_number(2), kStart + 900 * kSecond));
  index->commit(refreshing(hash_number(3), kStart + 900 * kSecond));
  EXPECT_FALSE(index->flush(0));
  EXPECT_EQ(index->counts().entries_waiting, 3U);
  EXPECT_EQ(find(*index, {hash_number(3), hash_number(1)}, kStart + 800 * kSecond)
                ->cumulative_token_count,
            77U);
  EXPECT_TRUE(find(*index, {hash_number(2)}, kStart + 800 * kSecond));
  EXPECT_FALSE(find(*index, {hash_number(3)}));
  blocked.end();
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(find(*index, {hash_number(1)}, kStart + 800 * kSecond)->cumulative_token_count, 77U);
  EXPECT_TRUE(find(*index, {hash_number(2)}, kStart + 800 * kSecond));
  EXPECT_EQ(index->counts().entries_dropped, 0U);
}

TEST_F(SqliteIndexTest, AFullQueueRefusesCommitsCountsThemAndSaysSoOnce) {
  options_.max_waiting_entries = 10;
  const auto index = open();
  Blocked blocked(database());
  for (std::uint64_t n = 0; n < 10; ++n) EXPECT_TRUE(index->commit(writing({entry_number(n)})));
  for (std::uint64_t n = 10; n < 15; ++n) {
    Commit commit = writing({entry_number(n)});
    commit.refresh = Refresh{hash_number(0), kStart + 900 * kSecond};
    EXPECT_FALSE(index->commit(std::move(commit)));
    EXPECT_FALSE(find(*index, {hash_number(n)}));
  }
  EXPECT_EQ(index->counts().entries_dropped, 10U);
  EXPECT_EQ(index->counts().entries_waiting, 10U);
  EXPECT_EQ(log_.count("falls behind"), 1U) << log_.all();
  blocked.end();
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(index->commit(writing({entry_number(20)})));
}

TEST_F(SqliteIndexTest, WhatCannotBeWrittenByItsDeadlineIsDroppedAndCounted) {
  options_.commit_deadline_ns = 50 * core::kNanosPerMilli;
  const auto index = open();
  Blocked blocked(database());
  index->commit(writing({entry_number(1), entry_number(2)}));
  EXPECT_TRUE(flush(*index));  // dropped is done with
  EXPECT_EQ(index->counts().entries_dropped, 2U);
  EXPECT_EQ(index->counts().entries_waiting, 0U);
  EXPECT_FALSE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(eventually([&] { return log_.count("could not be written in time") == 1; }));
  blocked.end();
  // On a slow machine a commit may miss so short a deadline for no other reason; one will not.
  EXPECT_TRUE(eventually([&] {
    index->commit(writing({entry_number(3)}));
    return flush(*index) && index->counts().entries_written > 0;
  }));
}

TEST_F(SqliteIndexTest, ClosingIsBoundedByTheCommitDeadline) {
  options_.commit_deadline_ns = 100 * core::kNanosPerMilli;
  auto index = open();
  Blocked blocked(database());
  index->commit(writing({entry_number(1)}));
  index.reset();  // would hang for good
  EXPECT_EQ(log_.count("dropped 1 entries"), 1U) << log_.all();
  blocked.end();
}

TEST_F(SqliteIndexTest, ForgetAlsoDropsWhatWaits) {
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  Blocked blocked(database());
  index->commit(writing({entry_number(2)}));
  std::thread unblock([&] {
    EXPECT_TRUE(eventually([&] { return index->counts().entries_waiting == 0; }));
    blocked.end();
  });
  EXPECT_TRUE(index->forget().ok());
  unblock.join();
  EXPECT_FALSE(find(*index, {hash_number(1), hash_number(2)}));
  EXPECT_EQ(SqliteShell(database()).number("SELECT count(*) FROM entries"), 0);
}

// ------------------------------------------------------------------------------- expiry and bound

TEST_F(SqliteIndexTest, ExpiredEntriesAreSweptAndLiveOnesStay) {
  options_.sweep_interval_ns = 10 * core::kNanosPerMilli;
  const auto index = open();
  std::vector<Entry> entries;
  for (std::uint64_t n = 0; n < 1200; ++n) entries.push_back(entry_number(n));
  entries.push_back(entry_number(5000, kStart + 900 * kSecond));
  index->commit(writing(entries));
  ASSERT_TRUE(flush(*index));
  EXPECT_EQ(SqliteShell(database()).number("SELECT count(*) FROM entries"), 1201);
  clock_.advance(300 * kSecond);
  EXPECT_TRUE(eventually([&] { return index->counts().entries_swept == 1200; }));
  EXPECT_EQ(SqliteShell(database()).number("SELECT count(*) FROM entries"), 1);
  EXPECT_TRUE(find(*index, {hash_number(5000)}, clock_.unix_ns()));
}

TEST_F(SqliteIndexTest, OverItsBoundTheEntriesThatExpireSoonestGo) {
  options_.max_bytes = std::uint64_t{1} << 20;
  const auto index = open();
  constexpr std::uint64_t kCount = 40'000;  // some five times what fits
  for (std::uint64_t n = 0; n < kCount; n += 100) {
    std::vector<Entry> entries;
    for (std::uint64_t i = n; i < n + 100; ++i) {
      entries.push_back(entry_number(i, kStart + static_cast<std::int64_t>(i + 1) * kSecond));
    }
    ASSERT_TRUE(index->commit(writing(entries)));
    ASSERT_TRUE(flush(*index));
  }
  EXPECT_LE(std::filesystem::file_size(database()), options_.max_bytes);
  for (std::uint64_t n = kCount - 1000; n < kCount; ++n) {
    ASSERT_TRUE(find(*index, {hash_number(n)})) << n;
  }
  EXPECT_FALSE(find(*index, {hash_number(0)}));
  const IndexCounts counts = index->counts();
  EXPECT_EQ(counts.entries_written, kCount);
  EXPECT_EQ(counts.entries_dropped, 0U);
  const std::int64_t left = SqliteShell(database()).number("SELECT count(*) FROM entries");
  EXPECT_EQ(left, static_cast<std::int64_t>(kCount - counts.entries_swept));
  EXPECT_GT(left, 4000);  // the bound is not kept by throwing all away
  EXPECT_EQ(log_.all(), "");
}

TEST_F(SqliteIndexTest, UnderALowerBoundThanBeforeTheIndexShrinks) {
  {
    const auto index = open();
    for (std::uint64_t n = 0; n < 20'000; ++n) {
      index->commit(
          writing({entry_number(n, kStart + static_cast<std::int64_t>(n + 1) * kSecond)}));
    }
  }
  options_.max_bytes = std::uint64_t{1} << 20;
  options_.sweep_interval_ns = 10 * core::kNanosPerMilli;
  const auto index = open();
  EXPECT_TRUE(eventually([&] {
    SqliteShell shell(database());
    return (shell.number("PRAGMA page_count") - shell.number("PRAGMA freelist_count")) * 4096 <=
           (1 << 20);
  }));
  EXPECT_TRUE(find(*index, {hash_number(19'999)}));
  EXPECT_FALSE(find(*index, {hash_number(0)}));
}

TEST_F(SqliteIndexTest, TheWalStaysBounded) {
  const auto index = open();
  for (std::uint64_t n = 0; n < 30'000; n += 10) {
    std::vector<Entry> entries;
    for (std::uint64_t i = n; i < n + 10; ++i) entries.push_back(entry_number(i));
    ASSERT_TRUE(index->commit(writing(entries)));
  }
  ASSERT_TRUE(flush(*index));
  EXPECT_LT(std::filesystem::file_size(database() + "-wal"), std::uintmax_t{24} << 20);
}

// ------------------------------------------------------------------------------ a guest in a host

std::size_t descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

std::vector<std::string> index_threads() {
  std::vector<std::string> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream name(task.path() / "comm");
    std::string text;
    std::getline(name, text);
    if (text == "satchel-index") found.push_back(task.path());
  }
  return found;
}

TEST_F(SqliteIndexTest, OpeningAndClosingAThousandTimesLeavesNothingBehind) {
  open();
  const std::size_t before = descriptors();
  for (std::uint64_t n = 0; n < 1000; ++n) {
    const auto index = open();
    index->commit(writing({entry_number(n)}));
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_TRUE(index_threads().empty());
  const auto index = open();
  EXPECT_TRUE(find(*index, {hash_number(999)}));
}

TEST_F(SqliteIndexTest, ItsThreadTakesNoSignalsOfTheHost) {
  const auto index = open();
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));  // the thread has its name by now
  const std::vector<std::string> threads = index_threads();
  ASSERT_EQ(threads.size(), 1U);
  std::ifstream status(threads[0] + "/status");
  std::string line;
  std::string blocked;
  while (std::getline(status, line)) {
    if (line.rfind("SigBlk:", 0) == 0) blocked = line;
  }
  // All but SIGKILL, SIGSTOP, and the two that the C library keeps for itself.
  EXPECT_NE(blocked.find("fffffffe7ffbfeff"), std::string::npos) << blocked;
}

// Locks of an open file description live on in a child that inherited it.
TEST_F(SqliteIndexTest, AForkedChildKeepsNoLocks) {
  const auto index = open();
  const int found = in_child([&] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
      if (target.find("prompt_cache.db-shm") != std::string::npos) return 1;
    }
    return 0;
  });
  EXPECT_EQ(found, 0);
  index->commit(writing({entry_number(1)}));
  ASSERT_TRUE(flush(*index));
  EXPECT_TRUE(find(*index, {hash_number(1)}));
}

TEST_F(SqliteIndexTest, ManyThreadsReadWhileOneWritesAndSweeps) {
  options_.sweep_interval_ns = core::kNanosPerMilli;
  const auto index = open();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> newest{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 8; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        const std::uint64_t n = newest;
        if (n == 0) continue;
        const auto found = index->lookup(some_scope(), std::vector{hash_number(n)}, kStart);
        if (!found.ok() || !*found || (**found).cumulative_token_count != 1000 + n) ++wrong;
      }
    });
  }
  for (std::uint64_t n = 1; n <= 3000; ++n) {
    index->commit(writing({entry_number(n), entry_number(n + 100'000, kStart)}));
    newest = n;
  }
  ASSERT_TRUE(flush(*index));
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(eventually([&] { return index->counts().entries_swept == 3000; }));
  EXPECT_EQ(log_.all(), "");
}

}  // namespace
}  // namespace satchel::prompt_cache
