// What is remembered may be damaged, foreign, out of reach or held by others: the answer stays
// right.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

#include "sqlite_shell.hpp"
#include "transcript_fixture.hpp"

namespace satchel::cascade {
namespace {

using prompt_cache::SqliteShell;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void overwrite(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

class DiskTranscriptsFaultTest : public TranscriptFixture {
 protected:
  DiskTranscriptsFaultTest() {
    write("p/a.jsonl", line_of(kNow, 1, "one") + line_of(after(kNow, -3600), 10, "two"));
    write("p/b.jsonl", line_of(kNow, 100, "three") + line_of(after(kNow, -86'400), 1000) +
                           line_of(after(kNow, -100), 10'000, "one"));
  }
  // The line with id "one" that is read last counts.
  static constexpr std::uint64_t kSum = 11'110;
  bool had_warning() { return log_.count("warn") > 0; }
};

TEST_F(DiskTranscriptsFaultTest, TheFilesArePrivate) {
  EXPECT_EQ(input(), kSum);
  struct stat status {};
  ASSERT_EQ(::stat(settings_.state_dir.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  for (const auto& entry : std::filesystem::directory_iterator(settings_.state_dir)) {
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    EXPECT_EQ(entry.path().filename().string().rfind("satchel-transcripts-", 0), 0U);
  }
}

TEST_F(DiskTranscriptsFaultTest, DifferentSettingsShareNoDatabase) {
  EXPECT_EQ(input(), kSum);
  settings_.dedup = TranscriptSettings::Dedup::kFirst;
  EXPECT_EQ(input(), 1'111U);
  settings_.dedup = TranscriptSettings::Dedup::kComplete;
  settings_.depth = 1;
  EXPECT_EQ(input(), kSum);
  std::size_t databases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(settings_.state_dir)) {
    if (entry.path().extension() == ".db") ++databases;
  }
  EXPECT_EQ(databases, 3U);
  EXPECT_FALSE(had_warning()) << log_.all();
}

TEST_F(DiskTranscriptsFaultTest, WhatWasReadIsNotReadAgain) {
  EXPECT_EQ(input(), kSum);
  SqliteShell shell(database());
  ASSERT_EQ(shell.number("SELECT max(id) FROM transcripts"), 2);
  append("p/a.jsonl", line_of(kNow, 5));
  EXPECT_EQ(input(), kSum + 5);
  EXPECT_EQ(shell.number("SELECT max(id) FROM transcripts"), 2) << "no file got a new number";
}

TEST_F(DiskTranscriptsFaultTest, GarbageIsSetAsideAndMadeAnew) {
  EXPECT_EQ(input(), kSum);
  const std::string path = database();
  ASSERT_EQ(SqliteShell(path).execute("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  const std::string sound = content_of(path);
  for (const std::string& garbage :
       {std::string(20'000, 'x'), std::string(8'192, '\0'), sound.substr(0, sound.size() / 2)}) {
    overwrite(path, garbage);
    std::filesystem::remove(path + "-wal");
    EXPECT_EQ(input(), kSum);
    EXPECT_EQ(input(), kSum);
    EXPECT_TRUE(std::filesystem::exists(path + ".damaged"));
    std::filesystem::remove(path + ".damaged");
  }
  EXPECT_EQ(log_.count("was set aside as .damaged"), 3U) << log_.all();
}

TEST_F(DiskTranscriptsFaultTest, ADatabaseThatIsDamagedWhileItIsOpenIsMadeAnew) {
  const auto transcripts = open();
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  {
    SqliteShell shell(database());
    ASSERT_EQ(shell.execute("UPDATE buckets SET sums = zeroblob(length(sums))"), SQLITE_OK);
  }
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  EXPECT_EQ(log_.count("was set aside as .damaged"), 1U) << log_.all();
}

TEST_F(DiskTranscriptsFaultTest, RowsThatAreGoneAreNoticed) {
  for (const char* loss :
       {"DELETE FROM buckets WHERE id = (SELECT max(id) FROM buckets)", "DELETE FROM entries",
        "DELETE FROM records", "DELETE FROM activity", "DELETE FROM facts WHERE name = 'totals'",
        "DELETE FROM facts WHERE name = 'models'", "DELETE FROM transcripts WHERE id = 1",
        "UPDATE transcripts SET read_to = 0", "UPDATE records SET bytes = zeroblob(40)",
        "UPDATE buckets SET id = id + 1000000", "DROP TABLE entries", "DELETE FROM facts"}) {
    EXPECT_EQ(input(), kSum);
    {
      SqliteShell shell(database());
      ASSERT_EQ(shell.execute(loss), SQLITE_OK) << loss;
    }
    // A change in every table: rows are needed only then.
    append("p/a.jsonl", line_of(after(kNow, -5), 50'000, "four"));
    EXPECT_EQ(input(), 61'110U) << loss;
    std::filesystem::remove(path("p/b.jsonl"));
    EXPECT_EQ(input(), 50'011U) << loss;
    EXPECT_TRUE(open()->report(kNow, {})) << loss;
    write("p/a.jsonl", line_of(kNow, 1, "one") + line_of(after(kNow, -3600), 10, "two"));
    write("p/b.jsonl", line_of(kNow, 100, "three") + line_of(after(kNow, -86'400), 1000) +
                           line_of(after(kNow, -100), 10'000, "one"));
  }
}

TEST_F(DiskTranscriptsFaultTest, NoFlippedBitMakesAnAnswerWrong) {
  EXPECT_EQ(input(), kSum);
  {
    SqliteShell shell(database());  // moves all into the database
    ASSERT_EQ(shell.execute("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  }
  const std::string path = database();
  const std::string sound = content_of(path);
  std::mt19937 random(3);
  unsigned noticed = 0;
  for (int round = 0; round < 300; ++round) {
    std::string other = sound;
    // Most of a small database is empty: into what is not.
    std::size_t at = random() % other.size();
    while (round % 4 != 0 && other[at] == 0) at = random() % other.size();
    other[at] = static_cast<char>(other[at] ^ 1 << random() % 8);
    for (const char* tail : {"", "-wal", "-shm", ".damaged"}) std::filesystem::remove(path + tail);
    overwrite(path, other);
    const core::Timestamp later = after(kNow, 10);
    ASSERT_EQ(input(later), kSum) << "byte " << at;
    append("p/a.jsonl", line_of(kNow, 7));
    ASSERT_EQ(input(later), kSum + 7) << "byte " << at;
    noticed += std::filesystem::exists(path + ".damaged") ? 1U : 0U;
    write("p/a.jsonl", line_of(kNow, 1, "one") + line_of(after(kNow, -3600), 10, "two"));
  }
  EXPECT_GT(noticed, 50U);
}

TEST_F(DiskTranscriptsFaultTest, AnOlderCopyOfTheDatabaseIsBroughtUpToDate) {
  EXPECT_EQ(input(), kSum);
  const std::string path = database();
  std::filesystem::copy(settings_.state_dir, directory_ / "copy");
  append("p/a.jsonl", line_of(kNow, 5));
  std::filesystem::remove(this->path("p/b.jsonl"));
  EXPECT_EQ(input(), 16U);
  std::filesystem::remove_all(settings_.state_dir);
  std::filesystem::rename(directory_ / "copy", settings_.state_dir);
  EXPECT_EQ(input(), 16U);
}

TEST_F(DiskTranscriptsFaultTest, ADatabaseOfSomebodyElseIsLeftAloneAndDoneWithout) {
  EXPECT_EQ(input(), kSum);
  const std::string path = database();
  std::filesystem::remove_all(settings_.state_dir);
  std::filesystem::create_directories(settings_.state_dir);
  {
    SqliteShell shell(path);
    ASSERT_EQ(shell.execute("PRAGMA application_id = 77; CREATE TABLE theirs(x)"), SQLITE_OK);
  }
  const auto transcripts = open();
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  append("p/a.jsonl", line_of(kNow, 5));
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum + 5);
  EXPECT_EQ(log_.count("is remembered in memory only"), 1U) << log_.all();
  EXPECT_EQ(SqliteShell(path).number("SELECT count(*) FROM theirs"), 0);
}

TEST_F(DiskTranscriptsFaultTest, ALaterVersionIsLeftAloneAndDoneWithout) {
  EXPECT_EQ(input(), kSum);
  {
    SqliteShell shell(database());
    ASSERT_EQ(shell.execute("PRAGMA user_version = 99"), SQLITE_OK);
  }
  EXPECT_EQ(input(), kSum);
  EXPECT_EQ(SqliteShell(database()).number("PRAGMA user_version"), 99);
  EXPECT_EQ(log_.count("schema version 99"), 1U) << log_.all();
}

TEST_F(DiskTranscriptsFaultTest, WithoutAPlaceToRememberAllIsRememberedInMemory) {
  std::ofstream(directory_ / "file") << "x";
  std::filesystem::create_directories(directory_ / "target");
  std::filesystem::create_directory_symlink(directory_ / "target", directory_ / "link");
  for (const std::string& place :
       {std::string(), directory_ / "file", directory_ / "file/below", directory_ / "link"}) {
    settings_.state_dir = place;
    const auto transcripts = open();
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum) << place;
    append("p/a.jsonl", line_of(kNow, 5));
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum + 5) << place;
    write("p/a.jsonl", line_of(kNow, 1, "one") + line_of(after(kNow, -3600), 10, "two"));
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum) << place;
  }
  EXPECT_EQ(log_.count("is remembered in memory only"), 3U) << log_.all();
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "target"));
}

TEST_F(DiskTranscriptsFaultTest, ADatabaseThatIsALinkIsNotFollowed) {
  EXPECT_EQ(input(), kSum);
  const std::string path = database();
  std::filesystem::remove_all(settings_.state_dir);
  std::filesystem::create_directories(settings_.state_dir);
  std::filesystem::create_symlink(directory_ / "elsewhere", path);
  EXPECT_EQ(input(), kSum);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "elsewhere"));
}

TEST_F(DiskTranscriptsFaultTest, ADirectoryThatGoesAwayIsMadeAgain) {
  const auto transcripts = open();
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  std::filesystem::remove_all(settings_.state_dir);
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  EXPECT_FALSE(database().empty());
}

TEST_F(DiskTranscriptsFaultTest, ItIsTriedAgainAfterAWhile) {
  std::ofstream(settings_.state_dir) << "x";
  const auto transcripts = open();
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  std::filesystem::remove(settings_.state_dir);
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  EXPECT_TRUE(database().empty());
  clock_.advance(60 * core::kSecond);
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum);
  EXPECT_FALSE(database().empty());
  EXPECT_EQ(log_.count("is in use again"), 1U) << log_.all();
}

TEST_F(DiskTranscriptsFaultTest, WhileAnotherProcessWritesTheAnswerComesFromMemory) {
  EXPECT_EQ(input(), kSum);
  const auto transcripts = open();
  {
    SqliteShell writer(database());
    ASSERT_EQ(writer.execute("BEGIN IMMEDIATE"), SQLITE_OK);
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum) << "nothing to write";
    append("p/a.jsonl", line_of(kNow, 5));
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum + 5);
    EXPECT_EQ(input(), kSum + 5);
    append("p/a.jsonl", line_of(kNow, 5));
    EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum + 10);
    ASSERT_EQ(writer.execute("ROLLBACK"), SQLITE_OK);
  }
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, kSum + 10);
  EXPECT_FALSE(had_warning()) << log_.all();
}

// What a child of ours finds, as its exit status.
template <class Work>
int in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST_F(DiskTranscriptsFaultTest, AFullDiskCostsNoAnswer) {
  std::string lines;
  for (int i = 0; i < 3'000; ++i) lines += line_of(after(kNow, -i), 1, "id" + std::to_string(i));
  write("p/many.jsonl", lines);
  // Files may grow to so many bytes: nothing at all, the tables, a part of the first update.
  for (const rlim_t limit : {0, 4'096, 20'000, 60'000, 100'000, 200'000, 300'000}) {
    std::filesystem::remove_all(settings_.state_dir);
    EXPECT_EQ(in_child([&] {
                ::signal(SIGXFSZ, SIG_IGN);
                const rlimit files{limit, limit};
                if (::setrlimit(RLIMIT_FSIZE, &files) != 0) return 10;
                const auto transcripts = open();
                if (transcripts->windows(kNow).windows.seven_day.input != kSum + 3'000) return 1;
                if (transcripts->windows(kNow).windows.seven_day.input != kSum + 3'000) return 2;
                return input() == kSum + 3'000 ? 0 : 3;
              }),
              0)
        << limit;
    EXPECT_EQ(input(), kSum + 3'000) << "and afterwards there is room again, " << limit;
  }
}

TEST_F(DiskTranscriptsFaultTest, ProcessesThatUpdateAtOnceAllAnswerRight) {
  constexpr int kProcesses = 6;
  constexpr int kLines = 60;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    const auto transcripts = open();
    const std::string name = "q/" + std::to_string(i) + ".jsonl";
    std::uint64_t before = 0;
    write(name, "");
    for (int line = 0; line < kLines; ++line) {
      append(name, line_of(kNow, 1, "line" + std::to_string(line)));
      // The lines of all have the same ids: what counts grows, and is never more than there is.
      const std::uint64_t sum = transcripts->windows(kNow).windows.seven_day.input;
      if (sum < before || sum < kSum + 1U + static_cast<unsigned>(line) || sum > kSum + kLines) {
        ::_exit(1);
      }
      before = sum;
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(input(), kSum + kLines);
}

TEST_F(DiskTranscriptsFaultTest, ThreadsMayAskOneObjectAtOnce) {
  const auto transcripts = open();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 30; ++round) {
        append("p/" + std::to_string(i) + "t.jsonl", line_of(after(kNow, 1), 1));
        if (transcripts->windows(kNow).windows.seven_day.input != kSum) ++wrong;
        if (!transcripts->report(kNow, {})) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(input(after(kNow, 1)), kSum + 120);
}

class DiskTranscriptsKillTest : public DiskTranscriptsFaultTest {};

TEST_F(DiskTranscriptsKillTest, AProcessThatDiesInTheMiddleLeavesNothingWrong) {
  std::mt19937 random(5);
  std::uint64_t sum = kSum;
  std::uint64_t next = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto transcripts = open();
      for (;;) {
        (void)transcripts->windows(kNow);
        std::filesystem::rename(path("p/a.jsonl"), path("p/x.jsonl"));
        (void)transcripts->windows(kNow);
        std::filesystem::rename(path("p/x.jsonl"), path("p/a.jsonl"));
      }
    }
    std::string lines;
    for (int i = 0; i < 200; ++i) lines += line_of(kNow, 1, "more" + std::to_string(next++));
    append("p/b.jsonl", lines);
    sum += 200;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    if (std::filesystem::exists(path("p/x.jsonl"))) {
      std::filesystem::rename(path("p/x.jsonl"), path("p/a.jsonl"));
    }
    ASSERT_EQ(input(), sum) << "round " << round << '\n' << log_.all();
  }
  EXPECT_EQ(log_.count("damaged"), 0U) << log_.all();
}

}  // namespace
}  // namespace satchel::cascade
