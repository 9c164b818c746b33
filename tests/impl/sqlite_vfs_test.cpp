// The wal-index without mapped memory must be one with SQLite's own: readers and writers of both
// kinds, in several processes, over one database.
#include "core/sqlite_vfs.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/sqlite_connection.hpp"
#include "index_fixture.hpp"
#include "sqlite_counters.hpp"
#include "sqlite_shell.hpp"

namespace satchel::prompt_cache {
namespace {

// Every transaction counts all counters up by one, so that in every snapshot they are equal, and
// checkpoints often, so that the WAL begins anew all the time. "" or what went wrong.
std::string count_up(const std::string& path, bool ours, int times) {
  CounterConnection connection(path, ours);
  if (!connection.execute("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=" +
                          std::to_string(ours ? 90 : 130))) {
    return connection.error();
  }
  for (int i = 0; i < times; ++i) {
    if (!connection.execute("BEGIN IMMEDIATE; UPDATE counters SET n = n + 1;")) {
      return "writer: " + connection.error();
    }
    if (!connection.execute(i % 7 == 0 ? "ROLLBACK" : "COMMIT")) {
      return "commit: " + connection.error();
    }
  }
  return "";
}

int commits_of(int times) { return times - (times + 6) / 7; }

std::string watch(const std::string& path, bool ours, const std::atomic<bool>& stop,
                  std::int64_t at_least) {
  CounterConnection connection(path, ours);
  connection.execute("PRAGMA cache_size=5");  // pages are read again and again
  std::int64_t last = 0;
  for (bool go_on = true; go_on;) {
    go_on = !stop;  // the last look is after the last commit
    const std::vector<std::int64_t> row =
        connection.row("SELECT min(n), max(n), count(*) FROM counters");
    if (row.size() != 3) return "reader: " + connection.error();
    if (row[0] != row[1] || row[2] != kCounters) {
      return "a snapshot mixes " + std::to_string(row[0]) + " and " + std::to_string(row[1]);
    }
    if (row[0] < last) return "a snapshot went back";
    last = row[0];
  }
  if (last < at_least) return "the newest snapshot is not seen";
  return "";
}

// Two threads that write, two that read.
int work(const std::string& path, bool ours, int times) {
  std::atomic<bool> stop{false};
  std::vector<std::string> errors(4);
  std::vector<std::thread> watchers;
  std::vector<std::thread> writers;
  for (std::size_t i = 0; i < 2; ++i) {
    watchers.emplace_back([&, i] { errors[i] = watch(path, ours, stop, 2 * commits_of(times)); });
    writers.emplace_back([&, i] { errors[2 + i] = count_up(path, ours, times); });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  for (std::thread& watcher : watchers) watcher.join();
  int wrong = 0;
  for (const std::string& error : errors) {
    if (error.empty()) continue;
    std::fprintf(stderr, "%s process: %s\n", ours ? "our" : "SQLite's", error.c_str());
    ++wrong;
  }
  return wrong;
}

class SqliteVfs : public testing::TestWithParam<std::vector<bool>> {};

TEST_P(SqliteVfs, SnapshotsAreWholeAndNoTransactionIsLost) {
  constexpr int kTimes = 150;
  const TemporaryDirectory directory;
  const std::string path = directory / "counters.db";
  make_counters(path);
  std::vector<pid_t> children;
  for (const bool ours : GetParam()) {
    const pid_t child = fork();
    if (child == 0) _exit(work(path, ours, kTimes));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  SqliteShell shell(path);
  EXPECT_EQ(shell.text("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(shell.number("SELECT min(n) FROM counters"),
            static_cast<std::int64_t>(children.size()) * 2 * commits_of(kTimes));
}

INSTANTIATE_TEST_SUITE_P(Alone, SqliteVfs, testing::Values(std::vector<bool>{true}));
INSTANTIATE_TEST_SUITE_P(OursBesideOurs, SqliteVfs,
                         testing::Values(std::vector<bool>{true, true, true}));
INSTANTIATE_TEST_SUITE_P(OursBesideSqlites, SqliteVfs,
                         testing::Values(std::vector<bool>{true, false, true, false}));

TEST(SqliteVfsTest, NoFileOfTheDatabaseIsMapped) {
  const TemporaryDirectory directory;
  const std::string path = directory / "mapped.db";
  make_counters(path);
  CounterConnection connection(path, true);
  ASSERT_TRUE(connection.execute("PRAGMA mmap_size=1000000"));
  ASSERT_TRUE(connection.execute("UPDATE counters SET n = 1"));
  ASSERT_FALSE(connection.row("SELECT count(*) FROM counters").empty());
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) EXPECT_EQ(line.find(path), std::string::npos) << line;
}

TEST(SqliteVfsTest, AWalIndexThatIsCutShortIsAnErrorAndNotASignal) {
  const TemporaryDirectory directory;
  const std::string path = directory / "cut.db";
  make_counters(path);
  for (const std::uintmax_t size : {0U, 3U, 100U, 4096U, 32767U}) {
    core::SqliteConnection connection;
    ASSERT_FALSE(connection.open(path, 1024).failed());
    ASSERT_EQ(connection.execute("UPDATE counters SET n = n + 1"), SQLITE_OK);
    ASSERT_EQ(connection.execute("BEGIN; SELECT * FROM counters"), SQLITE_OK);
    std::filesystem::resize_file(path + "-shm", size);
    ASSERT_EQ(connection.execute("SELECT * FROM counters"), SQLITE_OK);  // its snapshot is its own
    ASSERT_NE(connection.execute("UPDATE counters SET n = n + 1"), SQLITE_OK);
    connection.execute("ROLLBACK");
    EXPECT_NE(connection.execute("SELECT * FROM counters"), SQLITE_OK);
    EXPECT_TRUE(connection.wal_index().broken());
  }
  CounterConnection again(path, true);
  EXPECT_EQ(again.row("SELECT min(n), max(n) FROM counters"), (std::vector<std::int64_t>{5, 5}));
}

// SQLite takes the header as it stands when it rolls back, and asks for the part of the wal-index
// that the header's last frame would be in: with 0xffffffff for one, that is 17 GB away.
TEST(SqliteVfsTest, AGarbledWalIndexTakesNeitherMemoryNorDisk) {
  const TemporaryDirectory directory;
  const std::string path = directory / "garbled.db";
  make_counters(path);
  CounterConnection reader(path, true);
  core::SqliteConnection writer;
  ASSERT_FALSE(writer.open(path, 1024).failed());
  ASSERT_EQ(writer.execute("UPDATE counters SET n = n + 1"), SQLITE_OK);
  ASSERT_TRUE(reader.execute("BEGIN; SELECT * FROM counters"));
  // Everything is in the database, and the reader keeps the WAL from beginning anew: so that the
  // writer looks at the header once more in the middle of its transaction.
  ASSERT_EQ(writer.execute("PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
  ASSERT_EQ(writer.execute("BEGIN IMMEDIATE; UPDATE counters SET n = n + 1"), SQLITE_OK);
  {
    std::fstream file(path + "-shm", std::ios::binary | std::ios::in | std::ios::out);
    // 200 parts of the wal-index away, and 10 MB: enough to be seen.
    const std::uint32_t last_frame = 200 * 4096;
    file.seekp(16);
    file.write(reinterpret_cast<const char*>(&last_frame), sizeof last_frame);
    file.seekp(48 + 16);
    file.write(reinterpret_cast<const char*>(&last_frame), sizeof last_frame);
  }
  {
    const core::BoundedWaits bounded(1000);
    EXPECT_NE(writer.execute("COMMIT"), SQLITE_OK);
    writer.execute("ROLLBACK");
  }
  EXPECT_LE(std::filesystem::file_size(path + "-shm"), 2 * 32768U);
  reader.execute("COMMIT");
  CounterConnection again(path, true);
  EXPECT_EQ(again.row("SELECT min(n), max(n) FROM counters"), (std::vector<std::int64_t>{1, 1}));
}

// A process that dies while it writes leaves a wal-index that says less, or more, than is true.
TEST(SqliteVfsTest, AWriterKilledInMidTransactionIsUndone) {
  const TemporaryDirectory directory;
  const std::string path = directory / "killed.db";
  make_counters(path);
  for (int round = 0; round < 10; ++round) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    CounterConnection beside(path, true);  // keeps the wal-index alive, and its own copy of it
    ASSERT_EQ(beside.row("SELECT min(n) FROM counters"), std::vector<std::int64_t>{round});
    const pid_t child = fork();
    if (child == 0) {
      CounterConnection connection(path, true);
      // A page cache of one page: changed pages go to the WAL before the transaction ends.
      connection.execute("PRAGMA cache_size=1; BEGIN IMMEDIATE; UPDATE counters SET n = 99999;");
      if (write(ready[1], "r", 1) != 1) _exit(1);
      pause();
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(beside.execute("UPDATE counters SET n = n + 1")) << beside.error();
    ASSERT_EQ(beside.row("SELECT min(n), max(n) FROM counters"),
              (std::vector<std::int64_t>{round + 1, round + 1}));
    close(ready[0]);
    close(ready[1]);
  }
  EXPECT_EQ(SqliteShell(path).text("PRAGMA integrity_check"), "ok");
}

TEST(SqliteVfsTest, WaitsAreBoundedWhereAsked) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(core::sqlite_vfs_name());
  ASSERT_NE(vfs, nullptr);
  int waited = 0;
  {
    const core::BoundedWaits bounded(3000);
    for (int i = 0; i < 10; ++i) waited += vfs->xSleep(vfs, 1000);
  }
  EXPECT_EQ(waited, 3000);
  EXPECT_EQ(vfs->xSleep(vfs, 1000), 1000);
}

}  // namespace
}  // namespace satchel::prompt_cache
