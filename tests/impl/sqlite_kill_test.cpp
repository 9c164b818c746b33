// Processes that share one directory are killed at random moments: in the middle of a commit, a
// sweep, a checkpoint, of opening and of closing. What they leave must open, be sound and hold only
// whole entries, without anything having been thrown away as damaged.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "index_fixture.hpp"
#include "prompt_cache/sqlite_index.hpp"
#include "sqlite_counters.hpp"
#include "sqlite_shell.hpp"

namespace satchel::prompt_cache {
namespace {

// In memory that all processes share.
struct Shared {
  std::atomic<std::uint64_t> next{1};   // number of the next entry
  std::atomic<std::uint64_t> wrong{0};  // entries found that are not as they were written
  std::atomic<std::uint64_t> lookups{0};
  std::atomic<std::uint64_t> refused{0};  // lookups that could not say
};

Shared& shared_memory() {
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return *new (memory) Shared;
}

bool is_whole(const Entry& entry, std::uint64_t n) {
  return entry.hash == hash_number(n) &&
         entry.cumulative_token_count == entry_number(n).cumulative_token_count &&
         entry.tier == Tier::k5m;
}

[[noreturn]] void live_until_killed(const SqliteIndexOptions& options, Shared& shared,
                                    unsigned seed) {
  core::StderrLog log(core::LogLevel::kOff);
  std::mt19937 random(seed);
  for (;;) {
    const auto index = make_sqlite_index(options, core::system_clock(), log);
    const std::int64_t now = core::system_clock().unix_ns();
    for (unsigned i = 0, life = 10 + random() % 300; i < life; ++i) {
      std::vector<Entry> entries;
      for (unsigned k = 0, count = 1 + random() % 40; k < count; ++k) {
        // Some expire at once, for the sweep; the others outlive the test.
        const std::int64_t ttl = random() % 3 == 0 ? 1 : 3600 * kSecond;
        entries.push_back(entry_number(shared.next++, now + ttl));
      }
      Commit commit = writing(std::move(entries));
      const std::uint64_t n = 1 + random() % shared.next;
      commit.refresh = Refresh{hash_number(n), now + 7200 * kSecond};
      index->commit(std::move(commit));
      const auto found = index->lookup(some_scope(), std::vector{hash_number(n)}, now);
      ++shared.lookups;
      if (!found.ok()) ++shared.refused;
      if (found.ok() && *found && !is_whole(**found, n)) ++shared.wrong;
      if (random() % 4 == 0) index->flush(kSecond);
    }
  }
}

// ------------------------------------------------------------------- killed at a moment of choice

constexpr int kNoTracing = 77;

// All that a process does with a WAL: it opens it, writes, moves the WAL into the database, begins
// the WAL anew, empties it, and closes.
[[noreturn]] void go_through_all(const std::string& path) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kNoTracing);
  raise(SIGSTOP);
  const char* const count_up = "UPDATE counters SET n = n + 1";
  {
    CounterConnection connection(path, true);
    bool done = connection.execute("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0");
    for (const char* checkpoint :
         {"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(RESTART)",
          "PRAGMA wal_checkpoint(TRUNCATE)"}) {
      done = done && connection.execute(count_up) && connection.execute(checkpoint) &&
             connection.execute(count_up);
    }
    if (!done) _exit(1);
  }
  _exit(0);
}

// Kills it as it returns from its n-th system call, where the kernel does that too. False: it had
// come to its end before.
bool killed_at_system_call(const std::string& path, int n) {
  const pid_t child = fork();
  if (child == 0) go_through_all(path);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  for (int calls = 0; WIFSTOPPED(status); ++calls) {
    // One stop on the way in, one on the way out.
    if (calls == 2 * n) kill(child, SIGKILL);
    ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (waitpid(child, &status, 0) != child) return false;
  }
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  return WIFSIGNALED(status);
}

// The counters, which are all the same; -1 where they are not.
std::int64_t count_of(CounterConnection& connection) {
  const std::vector<std::int64_t> row = connection.row("SELECT min(n), max(n) FROM counters");
  if (row.size() == 2 && row[0] == row[1]) return row[0];
  ADD_FAILURE() << "the counters differ " << connection.error();
  return -1;
}

enum class Neighbour { kNone, kOurs, kSqlites };

// A neighbour keeps the wal-index alive, so that it is not made anew at the next opening, and must
// be able to go on at once.
void expect_sound_after_every_kill(Neighbour kind) {
  const TemporaryDirectory directory;
  const std::string path = directory / "counters.db";
  make_counters(path, 3);
  int n = 0;
  for (bool killed = true; killed && !testing::Test::HasFailure(); ++n) {
    SCOPED_TRACE("killed at system call " + std::to_string(n));
    const bool ours = kind != Neighbour::kSqlites;
    auto neighbour = std::make_unique<CounterConnection>(path, ours);
    ASSERT_TRUE(neighbour->execute("PRAGMA synchronous=OFF; UPDATE counters SET n = n + 1"));
    const std::int64_t before = count_of(*neighbour);
    if (kind == Neighbour::kNone) neighbour.reset();
    killed = killed_at_system_call(path, n);
    if (neighbour == nullptr) neighbour = std::make_unique<CounterConnection>(path, ours);
    const std::int64_t seen = count_of(*neighbour);
    EXPECT_GE(seen, before);
    ASSERT_TRUE(neighbour->execute("UPDATE counters SET n = n + 1")) << neighbour->error();
    // What the dead was about to commit may have come to light only now.
    const std::int64_t after = count_of(*neighbour);
    EXPECT_TRUE(after == seen + 1 || after == seen + 2) << seen << " and then " << after;
    for (int i = 1; i <= 3; ++i) {
      ASSERT_TRUE(neighbour->execute("PRAGMA wal_checkpoint(PASSIVE)")) << neighbour->error();
      ASSERT_TRUE(neighbour->execute("UPDATE counters SET n = n + 1")) << neighbour->error();
      EXPECT_EQ(count_of(*neighbour), after + i);
      CounterConnection other(path, !ours);
      EXPECT_EQ(count_of(other), after + i);
    }
    EXPECT_EQ(SqliteShell(path).text("PRAGMA integrity_check"), "ok");
  }
  EXPECT_GT(n, 100);
}

// Containers may refuse to let a process trace its own child.
bool may_trace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : kNoTracing);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(SqliteKillTest, AProcessMayBeKilledAtAnySystemCall) {
  if (!may_trace()) GTEST_SKIP() << "tracing a child is not allowed here";
  expect_sound_after_every_kill(Neighbour::kNone);
}

TEST(SqliteKillTest, AProcessMayBeKilledAtAnySystemCallBesideOneOfOurs) {
  if (!may_trace()) GTEST_SKIP() << "tracing a child is not allowed here";
  expect_sound_after_every_kill(Neighbour::kOurs);
}

TEST(SqliteKillTest, AProcessMayBeKilledAtAnySystemCallBesideOneOfSqlites) {
  if (!may_trace()) GTEST_SKIP() << "tracing a child is not allowed here";
  expect_sound_after_every_kill(Neighbour::kSqlites);
}

// ------------------------------------------------------------------------ killed at random moments

TEST(SqliteKillTest, ProcessesKilledAtRandomMomentsLeaveASoundIndexOfWholeEntries) {
  const TemporaryDirectory directory;
  SqliteIndexOptions options;
  options.path = directory / "index";
  options.sweep_interval_ns = 5 * core::kNanosPerMilli;
  options.max_bytes = std::uint64_t{2} << 20;  // reached: entries are pushed out as well
  const std::string database = options.path + "/prompt_cache.db";
  Shared& shared = shared_memory();
  std::mt19937 random(1);
  std::vector<pid_t> children(4, 0);

  for (int round = 0; round < 80; ++round) {
    for (pid_t& child : children) {
      if (child != 0) continue;
      const auto seed = static_cast<unsigned>(random());
      child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) live_until_killed(options, shared, seed);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    // One of them, or all at once, so that the next one finds nobody beside it.
    for (pid_t& child : children) {
      if (round % 8 != 7 && random() % children.size() != 0) continue;
      ASSERT_EQ(kill(child, SIGKILL), 0);
      ASSERT_EQ(waitpid(child, nullptr, 0), child);
      child = 0;
    }
    if (round % 8 == 7) {
      SqliteShell shell(database);
      ASSERT_EQ(shell.text("PRAGMA integrity_check"), "ok") << "round " << round;
    }
  }

  EXPECT_EQ(shared.wrong, 0U);
  // To be killed is no reason for the others to be without an index.
  EXPECT_LE(shared.refused * 100, shared.lookups);
  EXPECT_FALSE(std::filesystem::exists(database + ".damaged"));
  EXPECT_LE(std::filesystem::file_size(database), options.max_bytes);
  core::StderrLog log(core::LogLevel::kWarn);
  options.sweep_interval_ns = 3600 * kSecond;
  const auto index = make_sqlite_index(options, core::system_clock(), log);
  const std::int64_t rows = SqliteShell(database).number("SELECT count(*) FROM entries");
  std::int64_t whole = 0;
  for (std::uint64_t n = 1; n < shared.next; ++n) {
    const std::optional<Entry> found = find(*index, {hash_number(n)}, 0);
    if (found && is_whole(*found, n)) ++whole;
  }
  EXPECT_GT(rows, 0);
  EXPECT_EQ(whole, rows);
  index->commit(writing({entry_number(shared.next)}));
  EXPECT_TRUE(index->flush(60 * kSecond));
  EXPECT_TRUE(find(*index, {hash_number(shared.next)}));
  munmap(&shared, sizeof shared);
}

}  // namespace
}  // namespace satchel::prompt_cache
