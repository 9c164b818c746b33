// What can happen to files, done to the files of an index that is in use. The promise: no crash, no
// held request; lookups say that they cannot say, the log says why, and the index comes back.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "index_fixture.hpp"
#include "prompt_cache/sqlite_index.hpp"
#include "sqlite_shell.hpp"

namespace satchel::prompt_cache {
namespace {

namespace fs = std::filesystem;

class SqliteFaultTest : public testing::Test {
 protected:
  SqliteFaultTest() {
    options_.path = directory_ / "index";
    options_.retry_interval_ns = 10 * core::kNanosPerMilli;
  }

  std::shared_ptr<Index> open() { return make_sqlite_index(options_, clock_, log_); }
  [[nodiscard]] std::string database() const { return options_.path + "/prompt_cache.db"; }

  // What a failed test needs to know.
  std::string state(Index& index) {
    const auto found = index.lookup(some_scope(), std::vector{hash_number(1)}, kStart);
    return log_.all() + "now: " + (found.ok() ? "in use" : found.error().message);
  }
  static bool can_say(Index& index, std::uint64_t n = 1) {
    return index.lookup(some_scope(), std::vector{hash_number(n)}, kStart).ok();
  }
  static bool has(Index& index, std::uint64_t n) {
    const auto found = index.lookup(some_scope(), std::vector{hash_number(n)}, kStart);
    return found.ok() && found->has_value();
  }
  // Whether what is committed from now on is written to the files at the path.
  bool works(Index& index, std::uint64_t n) {
    return eventually([&] {
      index.commit(writing({entry_number(n)}));
      if (!index.flush(kSecond) || !has(index, n)) return false;
      SqliteShell shell(database());
      return shell.number("SELECT count(*) FROM entries WHERE tokens = " +
                          std::to_string(entry_number(n).cumulative_token_count)) == 1;
    });
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  CapturedLog log_;
  SqliteIndexOptions options_;
};

void overwrite(const std::string& path, std::size_t bytes) {
  std::mt19937 random(42);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (std::size_t i = 0; i < bytes; ++i) file.put(static_cast<char>(random()));
}

// ------------------------------------------------------------------------------------- at opening

TEST_F(SqliteFaultTest, AnIndexThatCannotBeOpenedIsNoErrorAndIsTriedAgain) {
  std::ofstream(directory_ / "file").put('x');
  options_.path = directory_ / "file/index";
  const auto index = open();
  const auto found = index->lookup(some_scope(), std::vector{hash_number(1)}, kStart);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().status, core::Status::kIo);
  EXPECT_EQ(index->counts().lookup_failures, 1U);
  EXPECT_EQ(log_.count("cannot be opened"), 1U) << log_.all();
  EXPECT_FALSE(index->forget().ok());
  EXPECT_TRUE(index->commit(writing({entry_number(1)})));  // waits
  fs::remove(directory_ / "file");
  EXPECT_TRUE(eventually([&] { return can_say(*index); }));
  EXPECT_TRUE(index->flush(60 * kSecond));
  EXPECT_TRUE(find(*index, {hash_number(1)}));
  EXPECT_EQ(log_.count("is in use again"), 1U) << log_.all();
}

TEST_F(SqliteFaultTest, ASymbolicLinkIsNotFollowedAsDirectoryNorAsFile) {
  fs::create_directory(directory_ / "elsewhere");
  fs::create_directory_symlink(directory_ / "elsewhere", options_.path);
  {
    const auto index = open();
    EXPECT_FALSE(can_say(*index));
    EXPECT_EQ(log_.count("index is a symbolic link"), 1U) << log_.all();
    EXPECT_TRUE(fs::is_empty(directory_ / "elsewhere"));
  }
  fs::remove(options_.path);
  for (const char* name :
       {"prompt_cache.db", "prompt_cache.db-wal", "prompt_cache.db-shm", "prompt_cache.lock"}) {
    fs::remove_all(options_.path);
    fs::create_directory(options_.path);
    fs::create_symlink(directory_ / "target", options_.path + '/' + name);
    const auto index = open();
    EXPECT_FALSE(can_say(*index)) << name;
    EXPECT_EQ(log_.count(std::string(name) + " is a symbolic link"), 1U) << log_.all();
    EXPECT_FALSE(fs::exists(directory_ / "target")) << name;
  }
}

TEST_F(SqliteFaultTest, WhatIsNoDatabaseIsSetAsideAndMadeAnew) {
  for (const std::size_t bytes : {600U, 4096U, 100'000U}) {
    fs::create_directories(options_.path);
    overwrite(database(), bytes);
    const auto index = open();
    EXPECT_TRUE(can_say(*index)) << bytes;
    EXPECT_TRUE(works(*index, bytes));
    EXPECT_EQ(fs::file_size(database() + ".damaged"), bytes);
    fs::remove_all(options_.path);
  }
  EXPECT_EQ(log_.count("was set aside as .damaged"), 3U) << log_.all();
  // A few bytes are no database to SQLite, and no damage either.
  fs::create_directories(options_.path);
  overwrite(database(), 1);
  EXPECT_TRUE(works(*open(), 1));
}

TEST_F(SqliteFaultTest, AnEmptyDatabaseAndGarbageBesideItAreNoHindrance) {
  fs::create_directories(options_.path);
  for (const char* name : {"", "-wal", "-shm"})
    overwrite(database() + name, *name == 0 ? 0 : 50'000);
  const auto index = open();
  EXPECT_TRUE(works(*index, 1));
}

TEST_F(SqliteFaultTest, TheRestOfADatabaseThatIsGoneIsNotTakenForThatOfANewOne) {
  { open()->commit(writing({entry_number(1)})); }
  {
    SqliteShell shell(database());
    shell.execute("PRAGMA wal_autocheckpoint=0; UPDATE entries SET tokens = tokens");
    fs::copy(database() + "-wal", directory_ / "wal");
  }
  fs::remove_all(options_.path);
  fs::create_directories(options_.path);
  fs::copy(directory_ / "wal", database() + "-wal");
  const auto index = open();
  EXPECT_FALSE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(works(*index, 2));
}

// ------------------------------------------------------------------------------------ while in use

TEST_F(SqliteFaultTest, ADeletedDirectoryIsMadeAgain) {
  const auto index = open();
  ASSERT_TRUE(works(*index, 1));
  fs::remove_all(options_.path);
  // The next lookups may still find it, in files that have no name any more; then it is said.
  EXPECT_TRUE(eventually([&] { return !has(*index, 1); }));
  EXPECT_TRUE(works(*index, 2));
  EXPECT_FALSE(has(*index, 1));
  EXPECT_EQ(log_.count("is out of use"), 1U) << log_.all();
  EXPECT_EQ(log_.count("is in use again"), 1U) << log_.all();
}

TEST_F(SqliteFaultTest, EntriesThatWaitWhenTheDirectoryGoesAreWrittenToTheNewOne) {
  const auto index = open();
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::uint64_t n = 0; n < 20; ++n) index->commit(writing({entry_number(100 * round + n)}));
    std::error_code made_meanwhile;
    fs::remove_all(options_.path, made_meanwhile);  // the index's thread may be at work in it
    ASSERT_TRUE(works(*index, 100 * round + 50));
  }
  EXPECT_EQ(index->counts().entries_dropped, 0U);
}

TEST_F(SqliteFaultTest, AnyFileRemovedCutShortOrOverwrittenIsSurvived) {
  std::uint64_t n = 0;
  for (const char* name : {"", "-wal", "-shm"}) {
    const std::vector<std::function<void(const std::string&)>> faults = {
        [](const std::string& path) { fs::remove(path); },
        [](const std::string& path) { fs::resize_file(path, 0); },
        [](const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); },
        [](const std::string& path) { overwrite(path, 10); },
        [](const std::string& path) { overwrite(path, 200'000); },
        [](const std::string& path) {
          fs::remove(path);
          overwrite(path, 5000);
        }};
    for (std::size_t fault = 0; fault < faults.size(); ++fault) {
      const auto index = open();
      std::vector<Entry> entries;
      for (int i = 0; i < 300; ++i) entries.push_back(entry_number(++n));
      ASSERT_TRUE(index->commit(writing(entries)));
      ASSERT_TRUE(index->flush(60 * kSecond));
      faults[fault](database() + name);
      for (const Entry& entry : entries) {
        const auto found = index->lookup(some_scope(), std::vector{entry.hash}, kStart);
        if (found.ok() && *found) {
          EXPECT_EQ((**found).cumulative_token_count, entry.cumulative_token_count);
        }
      }
      EXPECT_TRUE(works(*index, ++n)) << "fault " << fault << " on prompt_cache.db" << name << '\n'
                                      << log_.all();
    }
  }
}

// The same at random moments, under threads that look up and commit. What is found must be right;
// that the process lives is the point.
TEST_F(SqliteFaultTest, FilesAreDestroyedOverAndOverUnderLoad) {
  options_.max_waiting_entries = 1000;
  const auto index = open();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> next{1};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      while (!stop) {
        if (random() % 8 == 0) index->commit(writing({entry_number(next++)}));
        const std::uint64_t n = 1 + random() % next;
        const std::vector<PrefixHash> candidates = {hash_number(n + 5'000'000), hash_number(n)};
        const auto found = index->lookup(some_scope(), candidates, kStart);
        if (found.ok() && *found && (**found).cumulative_token_count != 1000 + n) ++wrong;
      }
    });
  }
  std::mt19937 random(7);
  const char* const names[] = {"", "-wal", "-shm"};
  for (int round = 0; round < 300; ++round) {
    const std::string path = database() + names[random() % 3];
    std::error_code ignored;
    switch (random() % 6) {
      case 0:
        fs::remove(path, ignored);
        break;
      case 1:
        fs::resize_file(path, 0, ignored);
        break;
      case 2:
        fs::resize_file(path, random() % 40'000, ignored);
        break;
      case 3:
        if (fs::exists(path)) overwrite(path, random() % 50'000);
        break;
      case 4:
        if (fs::exists(path)) {
          std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
          file.seekp(static_cast<std::streamoff>(random() % 30'000));
          for (int i = 0; i < 500; ++i) file.put(static_cast<char>(random()));
        }
        break;
      default:
        fs::remove_all(options_.path, ignored);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(works(*index, 4'000'000)) << state(*index);
}

TEST_F(SqliteFaultTest, OneProcessThatFindsDamageDoesNotHarmTheOthers) {
  const auto first = open();
  const auto second = open();
  ASSERT_TRUE(works(*first, 1));
  ASSERT_TRUE(has(*second, 1));
  overwrite(database(), 200'000);
  fs::resize_file(database() + "-wal", 0);
  for (std::uint64_t n = 10; n < 30; ++n) {
    ASSERT_TRUE(works(*first, n)) << log_.all();
    ASSERT_TRUE(works(*second, n + 100)) << log_.all();
  }
  EXPECT_TRUE(eventually([&] { return has(*first, 129) && has(*second, 29); }));
}

// ------------------------------------------------------------------------- what the system refuses

// Runs `body` in a child process; 0 is what a child returns that found all as it should be.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

constexpr int kSkipped = 77;

TEST_F(SqliteFaultTest, ADirectoryWithoutPermissionIsNoCrashAndIsTriedAgain) {
  fs::create_directory(options_.path);
  // Root may write everywhere; nobody may not.
  fs::permissions(directory_.path(), fs::perms::all);
  ASSERT_EQ(chmod(options_.path.c_str(), 0555), 0);
  const bool root = geteuid() == 0;
  const int found = in_child([&] {
    if (root && (setgid(65534) != 0 || setuid(65534) != 0)) return kSkipped;
    const auto index = open();
    if (can_say(*index)) return 1;
    if (log_.count("ermission denied") != 1) return 2;
    if (!index->commit(writing({entry_number(1)}))) return 3;
    if (!root) {
      chmod(options_.path.c_str(), 0700);
      if (!works(*index, 2)) return 4;
    }
    return 0;
  });
  if (found == kSkipped) GTEST_SKIP() << "cannot become another user";
  EXPECT_EQ(found, 0);
}

// A limit on file sizes: the system refuses to let files grow, and raises SIGXFSZ, whose default is
// the end of the process.
TEST_F(SqliteFaultTest, WhereFilesMayNotGrowEntriesAreDroppedAndLookupsGoOn) {
  options_.commit_deadline_ns = 200 * core::kNanosPerMilli;
  const int found = in_child([&] {
    const auto index = open();
    index->commit(writing({entry_number(1)}));
    if (!index->flush(60 * kSecond)) return 1;
    const rlimit limit{200'000, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return kSkipped;
    for (std::uint64_t n = 100; n < 3100; n += 10) {
      std::vector<Entry> entries;
      for (std::uint64_t i = n; i < n + 10; ++i) entries.push_back(entry_number(i));
      index->commit(writing(entries));
      if (!has(*index, 1)) return 2;
    }
    if (!eventually([&] { return index->counts().entries_dropped > 0; })) return 3;
    if (log_.count("cannot be written") == 0) return 4;
    if (!has(*index, 1)) return 5;
    const rlimit lifted{RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &lifted) != 0) return kSkipped;
    if (!works(*index, 9000)) return 6;
    return eventually([&] { return log_.count("is written again") > 0; }) ? 0 : 7;
  });
  if (found == kSkipped) GTEST_SKIP() << "no limits here";
  EXPECT_EQ(found, 0);
}

TEST_F(SqliteFaultTest, AFullDiskCostsEntriesAndNothingElse) {
  fs::create_directory(options_.path);
  options_.commit_deadline_ns = 200 * core::kNanosPerMilli;
  const int found = in_child([&] {
    // A file system of our own, gone with this process.
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", options_.path.c_str(), "tmpfs", 0, "size=2m,mode=0700") != 0) {
      return kSkipped;
    }
    const auto index = open();
    index->commit(writing({entry_number(1)}));
    if (!index->flush(60 * kSecond)) return 1;
    std::ofstream hog(options_.path + "/hog", std::ios::binary);
    while (hog.put('x') && hog.flush()) {
      if (hog.tellp() > 1'900'000)
        hog << std::string(4096, 'x');
      else
        hog << std::string(100'000, 'x');
    }
    hog.close();
    for (std::uint64_t n = 100; n < 20'100; n += 100) {
      std::vector<Entry> entries;
      for (std::uint64_t i = n; i < n + 100; ++i) entries.push_back(entry_number(i));
      index->commit(writing(entries));
      if (!has(*index, 1)) return 2;
    }
    if (!eventually([&] { return index->counts().entries_dropped > 0; })) return 3;
    if (log_.count("cannot be written") == 0) return 4;
    if (!has(*index, 1)) return 5;
    fs::remove(options_.path + "/hog");
    if (!works(*index, 90'000)) return 6;
    return 0;
  });
  if (found == kSkipped) GTEST_SKIP() << "cannot mount a file system of our own";
  EXPECT_EQ(found, 0);
}

TEST_F(SqliteFaultTest, ADiskThatIsFullFromTheStartIsNoCrash) {
  fs::create_directory(options_.path);
  const int found = in_child([&] {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", options_.path.c_str(), "tmpfs", 0, "size=16k,mode=0700") != 0) {
      return kSkipped;
    }
    std::ofstream(options_.path + "/hog") << std::string(16'384, 'x') << std::flush;
    const auto index = open();
    if (can_say(*index)) return 1;
    if (log_.count("cannot be opened") != 1) return 2;
    if (mount(nullptr, options_.path.c_str(), nullptr, MS_REMOUNT, "size=4m") != 0) return 3;
    return works(*index, 1) ? 0 : 4;
  });
  if (found == kSkipped) GTEST_SKIP() << "cannot mount a file system of our own";
  EXPECT_EQ(found, 0);
}

TEST_F(SqliteFaultTest, AReadOnlyFileSystemIsTriedAgain) {
  fs::create_directory(options_.path);
  const int found = in_child([&] {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", options_.path.c_str(), "tmpfs", 0, "size=8m,mode=0700") != 0) {
      return kSkipped;
    }
    {
      const auto index = open();
      index->commit(writing({entry_number(1)}));
      if (!index->flush(60 * kSecond)) return 1;
    }
    if (mount(nullptr, options_.path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      return kSkipped;
    }
    const auto index = open();
    if (can_say(*index)) return 2;  // a WAL cannot be shared without writing
    if (log_.count("cannot be opened") != 1) return 3;
    if (mount(nullptr, options_.path.c_str(), nullptr, MS_REMOUNT, nullptr) != 0) return 4;
    if (!works(*index, 2)) return 5;
    return has(*index, 1) ? 0 : 6;
  });
  if (found == kSkipped) GTEST_SKIP() << "cannot mount a file system of our own";
  EXPECT_EQ(found, 0);
}

}  // namespace
}  // namespace satchel::prompt_cache
