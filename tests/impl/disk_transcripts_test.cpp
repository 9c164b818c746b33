#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "transcript_fixture.hpp"

namespace satchel::cascade {
namespace {

class DiskTranscriptsTest : public TranscriptFixture {
 protected:
  void as_reference() {
    settings_.dedup = TranscriptSettings::Dedup::kFirst;
    settings_.depth = 1;
  }
  // By one object that lives as long as the test, beside those that input() makes.
  std::uint64_t kept_input() {
    if (kept_ == nullptr) kept_ = open();
    return kept_->windows(kNow).windows.seven_day.input;
  }
  // Both agree; what they say.
  std::uint64_t both() {
    const std::uint64_t kept = kept_input();
    EXPECT_EQ(input(), kept);
    return kept;
  }

 private:
  std::unique_ptr<DiskTranscripts> kept_;
};

// ---- which files ----

TEST_F(DiskTranscriptsTest, WithoutAProjectsDirectoryTheDirectoryIsMissing) {
  EXPECT_EQ(windows().error, UsageError::kDirectoryMissing);
  std::filesystem::create_directories(directory_ / "config");
  EXPECT_EQ(windows().error, UsageError::kDirectoryMissing);
}

TEST_F(DiskTranscriptsTest, WithoutALineThatCountsThereAreNoEntries) {
  std::filesystem::create_directories(path("p"));
  EXPECT_EQ(windows().error, UsageError::kNoEntries);
  write("p/a.jsonl", "not json\n{\"timestamp\":\"bad\"}\n");
  EXPECT_EQ(windows().error, UsageError::kNoEntries);
}

TEST_F(DiskTranscriptsTest, AnEntryOutsideOfTheWindowsIsAnAnswerOfZero) {
  write("p/a.jsonl", line_of(after(kNow, -30 * 86'400), 5));
  const TranscriptAnswer answer = windows();
  EXPECT_EQ(answer.error, UsageError::kNone);
  EXPECT_EQ(answer.windows.seven_day.input, 0U);
  EXPECT_FALSE(answer.windows.five_hour);
}

TEST_F(DiskTranscriptsTest, ProjectsThatIsAFileIsAnIoErrorWithALogLine) {
  std::filesystem::create_directories(directory_ / "config");
  std::ofstream(directory_ / "config/projects") << "x";
  EXPECT_EQ(windows().error, UsageError::kIoError);
  EXPECT_EQ(log_.count("cannot list"), 1U);
}

TEST_F(DiskTranscriptsTest, ReadsAllConfigurationDirectories) {
  settings_.config_dirs = {directory_ / "none", directory_ / "config", directory_ / "other"};
  write("p/a.jsonl", line_of(kNow, 1));
  std::filesystem::create_directories(directory_ / "other/projects/q");
  std::ofstream(directory_ / "other/projects/q/a.jsonl") << line_of(kNow, 2);
  EXPECT_EQ(input(), 3U);
}

TEST_F(DiskTranscriptsTest, ReadsEveryLevelOrAsManyAsItIsTold) {
  write("top.jsonl", line_of(kNow, 1));
  write("p/a.jsonl", line_of(kNow, 10));
  write("p/s/a.jsonl", line_of(kNow, 100));
  write("p/s/t/a.jsonl", line_of(kNow, 1000));
  EXPECT_EQ(input(), 1111U);
  settings_.depth = 1;
  EXPECT_EQ(input(), 10U);
  settings_.depth = 2;
  EXPECT_EQ(input(), 110U);
}

TEST_F(DiskTranscriptsTest, OnlyNamesWithTheExtensionCount) {
  write("p/.jsonl", line_of(kNow, 1));
  write("p/a.jsonl2", line_of(kNow, 10));
  write("p/a.JSONL", line_of(kNow, 100));
  write("p/jsonl", line_of(kNow, 1000));
  write("p/.a.jsonl", line_of(kNow, 10'000));
  EXPECT_EQ(input(), 10'000U);
}

TEST_F(DiskTranscriptsTest, WhatIsNoRegularFileNeitherCountsNorBlocks) {
  write("p/a.jsonl", line_of(kNow, 1));
  write("p/directory.jsonl/b.jsonl", line_of(kNow, 2));
  ASSERT_EQ(mkfifo(path("p/fifo.jsonl").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket_path = path("p/socket.jsonl");
  ASSERT_LT(socket_path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  std::filesystem::create_symlink("/dev/zero", path("p/device.jsonl"));
  std::filesystem::create_symlink(path("p/fifo.jsonl"), path("p/link.jsonl"));
  EXPECT_EQ(input(), 3U);
  ::close(socket);
}

TEST_F(DiskTranscriptsTest, LinksToFilesAndDirectoriesAreFollowed) {
  std::filesystem::create_directories(directory_ / "elsewhere");
  std::ofstream(directory_ / "elsewhere/a.jsonl") << line_of(kNow, 1);
  std::ofstream(directory_ / "file") << line_of(kNow, 10);
  std::filesystem::create_directories(path("p"));
  std::filesystem::create_directory_symlink(directory_ / "elsewhere", path("q"));
  std::filesystem::create_symlink(directory_ / "file", path("p/b.jsonl"));
  std::filesystem::create_symlink(directory_ / "nowhere", path("p/c.jsonl"));
  EXPECT_EQ(input(), 11U);
  settings_.depth = 1;
  EXPECT_EQ(input(), 11U);
}

TEST_F(DiskTranscriptsTest, LinksThatLeadBackAreReadOnce) {
  write("p/a.jsonl", line_of(kNow, 1));
  std::filesystem::create_directory_symlink(path(""), path("p/up"));
  std::filesystem::create_directory_symlink(path("p"), path("p/self"));
  for (const char* other : {"x", "y", "z"}) {
    std::filesystem::create_directories(path(other));
    for (const char* target : {"x", "y", "z", "p"}) {
      std::filesystem::create_directory_symlink(path(target),
                                                path(std::string(other) + "/to" + target));
    }
  }
  EXPECT_EQ(input(), 1U);
}

TEST_F(DiskTranscriptsTest, OneLevelIsReadUnderEachOfItsNamesAsTheReferenceDoes) {
  write("p/a.jsonl", line_of(kNow, 1) + line_of(kNow, 10, "id"));
  std::filesystem::create_directory_symlink(path("p"), path("q"));
  settings_.depth = 1;
  EXPECT_EQ(input(), 12U);
}

TEST_F(DiskTranscriptsTest, DirectoriesBeyondSixtyFourLevelsAreNotEntered) {
  std::string deep = "p";
  for (int i = 2; i <= 64; ++i) deep += "/d";
  write(deep + "/a.jsonl", line_of(kNow, 1));
  write(deep + "/d/a.jsonl", line_of(kNow, 10));
  EXPECT_EQ(input(), 1U);
}

TEST_F(DiskTranscriptsTest, FilesOfAnotherUserAreSkippedWithOneLogLineUnlessWanted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  write("p/a.jsonl", line_of(kNow, 1));
  write("p/b.jsonl", line_of(kNow, 10));
  ASSERT_EQ(::chown(path("p/b.jsonl").c_str(), 12'345, 12'345), 0);
  EXPECT_EQ(kept_input(), 1U);
  EXPECT_EQ(kept_input(), 1U);
  EXPECT_EQ(log_.count("p/b.jsonl belongs to user 12345"), 1U);
  settings_.any_owner = true;
  EXPECT_EQ(input(), 11U);
}

TEST_F(DiskTranscriptsTest, AFileThatIsGivenAwayNoLongerCounts) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  write("p/a.jsonl", line_of(kNow, 1));
  write("p/b.jsonl", line_of(kNow, 10));
  EXPECT_EQ(both(), 11U);
  ASSERT_EQ(::chown(path("p/b.jsonl").c_str(), 12'345, 12'345), 0);
  EXPECT_EQ(both(), 1U);
}

TEST_F(DiskTranscriptsTest, NamesAreBytes) {
  write("p\xff/a\xfe\n.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  append("p\xff/a\xfe\n.jsonl", line_of(kNow, 2));
  EXPECT_EQ(both(), 3U);
}

// ---- what becomes of files ----

TEST_F(DiskTranscriptsTest, ALineThatWasAppendedCountsAtOnce) {
  write("p/a.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  append("p/a.jsonl", line_of(kNow, 2));
  EXPECT_EQ(both(), 3U);
}

TEST_F(DiskTranscriptsTest, ALastLineWithoutItsLineFeedWaitsCompleteOrNot) {
  const std::string line = line_of(kNow, 2);
  write("p/a.jsonl", line_of(kNow, 1) + line.substr(0, line.size() - 1));
  EXPECT_EQ(both(), 1U);
  append("p/a.jsonl", "\n");
  EXPECT_EQ(both(), 3U);
  append("p/a.jsonl", line.substr(0, 20));
  EXPECT_EQ(both(), 3U);
  append("p/a.jsonl", line.substr(20));
  EXPECT_EQ(both(), 5U);
}

TEST_F(DiskTranscriptsTest, LinesMayEndAsOnOtherSystems) {
  std::string line = line_of(kNow, 1);
  line.insert(line.size() - 1, "\r");
  write("p/a.jsonl", line + "\r\n\n" + line);
  EXPECT_EQ(input(), 2U);
}

TEST_F(DiskTranscriptsTest, AFileThatWasCutShortIsReadAgain) {
  const std::string first = line_of(kNow, 1);
  write("p/a.jsonl", first + line_of(kNow, 10));
  EXPECT_EQ(both(), 11U);
  std::filesystem::resize_file(path("p/a.jsonl"), first.size());
  EXPECT_EQ(both(), 1U);
  append("p/a.jsonl", line_of(kNow, 100));
  EXPECT_EQ(both(), 101U);
}

TEST_F(DiskTranscriptsTest, AFileThatWasCutAndGrewPastItsOldSizeIsReadAgain) {
  write("p/a.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  write("p/a.jsonl", line_of(kNow, 20) + line_of(kNow, 30));
  EXPECT_EQ(both(), 50U);
}

TEST_F(DiskTranscriptsTest, AFileThatWasRenamedOverIsReadAgain) {
  write("p/a.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  write("p/new", line_of(kNow, 7));
  std::filesystem::rename(path("p/new"), path("p/a.jsonl"));
  EXPECT_EQ(both(), 7U);
}

TEST_F(DiskTranscriptsTest, AFileThatWasRotatedLeavesOnlyItsSuccessor) {
  write("p/a.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  std::filesystem::rename(path("p/a.jsonl"), path("p/a.jsonl.1"));
  write("p/a.jsonl", line_of(kNow, 7));
  EXPECT_EQ(both(), 7U);
}

TEST_F(DiskTranscriptsTest, AFileThatWasRewrittenInPlaceAtTheSameSizeIsReadAgain) {
  write("p/a.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  write("p/a.jsonl", line_of(kNow, 9));
  EXPECT_EQ(both(), 9U);
}

// Numbers of eight digits, so that one can stand in another's place.
std::string thousand_lines(std::uint64_t input) {
  std::string lines;
  for (int i = 0; i < 1'000; ++i) lines += line_of(kNow, 10'000'000 + input);
  return lines;
}

TEST_F(DiskTranscriptsTest, AFileThatGrewAndOfWhichOneLineWasRewrittenIsReadAgain) {
  const std::string others = thousand_lines(0);
  ASSERT_GT(others.size(), 100'000U);
  write("p/a.jsonl", others + line_of(kNow, 10'000'001) + others);
  EXPECT_EQ(both(), 20'010'000'001U);
  write("p/a.jsonl", others + line_of(kNow, 10'000'007) + others + line_of(kNow, 20'000'000));
  EXPECT_EQ(both(), 20'030'000'007U);
}

TEST_F(DiskTranscriptsTest, ALargeFileThatGrewAndOfWhichAPartWasRewrittenIsReadAgain) {
  const std::string others = thousand_lines(0);
  std::string before = others;
  std::string behind;
  for (int i = 0; i < 40; ++i) behind += others;
  ASSERT_GT(behind.size(), std::size_t{4} << 20);
  write("p/a.jsonl", before + thousand_lines(0) + behind);
  EXPECT_EQ(both(), 420'000'000'000U);
  write("p/a.jsonl", before + thousand_lines(1) + behind + line_of(kNow, 20'000'000));
  EXPECT_EQ(both(), 420'020'001'000U);
}

TEST_F(DiskTranscriptsTest, AWriteWithinOneTickOfTheFilesystemsClockIsSeen) {
  settings_.state_dir.clear();
  std::filesystem::create_directories(path("p"));
  const int file = ::open(path("p/a.jsonl").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const auto transcripts = open();
  for (std::uint64_t round = 0; round < 500; ++round) {
    const std::string line = line_of(kNow, 100 + round);
    ASSERT_EQ(::pwrite(file, line.data(), line.size(), 0), static_cast<ssize_t>(line.size()));
    ASSERT_EQ(transcripts->windows(kNow).windows.seven_day.input, 100 + round);
  }
  ::close(file);
}

TEST_F(DiskTranscriptsTest, DeletedFilesAndDirectoriesTakeTheirLinesWithThem) {
  write("p/a.jsonl", line_of(kNow, 1));
  write("p/b.jsonl", line_of(kNow, 10));
  write("q/c.jsonl", line_of(kNow, 100));
  EXPECT_EQ(both(), 111U);
  std::filesystem::remove(path("p/a.jsonl"));
  EXPECT_EQ(both(), 110U);
  std::filesystem::remove_all(path("q"));
  EXPECT_EQ(both(), 10U);
  std::filesystem::remove_all(path("p"));
  EXPECT_EQ(windows().error, UsageError::kNoEntries);
  write("r/d.jsonl", line_of(kNow, 1000));
  EXPECT_EQ(both(), 1000U);
}

TEST_F(DiskTranscriptsTest, AFileOfManyPartsAndLinesLongerThanBuffersIsReadInFull) {
  settings_.threads = 4;
  std::string content;
  std::uint64_t lines = 0;
  const std::string filler(3'000'000, 'x');
  while (content.size() < (std::size_t{40} << 20)) {
    const std::size_t length = lines % 40 == 0 ? filler.size() : lines * 7919 % 5'000;
    content += "{" + at(kNow) + R"(,"x":")" + filler.substr(0, length) +
               R"(","message":{"usage":{"input_tokens":1}}})" + "\n";
    ++lines;
  }
  write("p/a.jsonl", content + "unfinished");
  EXPECT_EQ(both(), lines);
  append("p/a.jsonl", "\n" + content);
  EXPECT_EQ(both(), 2 * lines);
}

TEST_F(DiskTranscriptsTest, ALineThatIsTooLongDoesNotCountAndHidesNoOther) {
  settings_.max_line_bytes = 600'000;
  const auto line = [](std::size_t length) {
    std::string text = "{" + at(kNow) + R"(,"message":{"usage":{"input_tokens":1}},"x":")";
    text.append(length - text.size() - 2, 'x');
    return text + "\"}\n";
  };
  write("p/a.jsonl", line(600'000) + line(600'001) + line(5'000'000) + line(100) + line(9'000'000));
  EXPECT_EQ(both(), 2U);
  EXPECT_EQ(log_.count("has a line of more than 600000 bytes"), 1U);
  append("p/a.jsonl", line(200));
  EXPECT_EQ(both(), 3U);
}

TEST_F(DiskTranscriptsTest, AFileOfOneLineThatNeverEndsHoldsUpNothing) {
  settings_.max_line_bytes = 100'000;
  write("p/a.jsonl", std::string(20'000'000, 'x'));
  write("p/b.jsonl", line_of(kNow, 1));
  EXPECT_EQ(both(), 1U);
  append("p/a.jsonl", "\n" + line_of(kNow, 2));
  EXPECT_EQ(both(), 3U);
}

// ---- duplicates ----

std::string said(std::uint64_t output, const std::string& id, const std::string& request,
                 core::Timestamp time = kNow) {
  Message message;
  message.id = id;
  message.request = request;
  message.tokens.output = output;
  message.tokens.input = 1;
  return line_of(time, message);
}

class DuplicatesTest : public DiskTranscriptsTest {
 protected:
  std::uint64_t output() { return windows().windows.seven_day.output; }
};

TEST_F(DuplicatesTest, OfOneMessageAndRequestTheMostOutputCounts) {
  write("p/a.jsonl", said(5, "m", "r") + said(90, "m", "r") + said(7, "m", "r"));
  EXPECT_EQ(output(), 90U);
}

TEST_F(DuplicatesTest, AnotherRequestOrNoneIsAnotherMessage) {
  write("p/a.jsonl",
        said(5, "m", "r") + said(90, "m", "s") + said(700, "m", "") + said(600, "m", ""));
  EXPECT_EQ(output(), 795U);
}

TEST_F(DuplicatesTest, AmongEqualsTheLatestReadCounts) {
  write("p/b.jsonl", said(5, "m", "r", after(kNow, -10 * 86'400)));
  write("p/a.jsonl", said(5, "m", "r"));
  EXPECT_EQ(output(), 0U) << "b is read after a, and its entry is old";
}

TEST_F(DuplicatesTest, TheFirstInTheOrderOfReadingCountsAsInTheReference) {
  settings_.dedup = TranscriptSettings::Dedup::kFirst;
  write("p/b.jsonl", said(1, "m", "r") + said(10, "n", "r"));
  write("p/a.jsonl", said(100, "m", "s") + said(1000, "m", "r"));
  write("a/z.jsonl", said(10'000, "n", ""));
  EXPECT_EQ(output(), 10'100U);
}

TEST_F(DuplicatesTest, TheOrderOfReadingIsThatOfTheDirectoriesFirst) {
  settings_.dedup = TranscriptSettings::Dedup::kFirst;
  settings_.config_dirs = {directory_ / "zz", directory_ / "config"};
  std::filesystem::create_directories(directory_ / "zz/projects/q");
  std::ofstream(directory_ / "zz/projects/q/z.jsonl") << said(1, "m", "");
  write("p/a.jsonl", said(10, "m", ""));
  EXPECT_EQ(output(), 1U);
}

TEST_F(DuplicatesTest, AFirstWithoutUsageKeepsThoseBehindItOut) {
  write("p/a.jsonl", "{" + at(kNow) + R"(,"message":{"id":"m"}})" + "\n" + said(10, "m", ""));
  EXPECT_EQ(output(), 10U);
  settings_.dedup = TranscriptSettings::Dedup::kFirst;
  EXPECT_EQ(output(), 0U);
}

TEST_F(DuplicatesTest, LinesWithoutAnIdAreAllKept) {
  write("p/a.jsonl", said(5, "", "r") + said(5, "", "r"));
  write("p/b.jsonl", said(5, "", "r"));
  EXPECT_EQ(output(), 15U);
}

TEST_F(DuplicatesTest, WhenTheWinnersFileGoesTheOtherCountsAgain) {
  for (const auto dedup :
       {TranscriptSettings::Dedup::kComplete, TranscriptSettings::Dedup::kFirst}) {
    settings_.dedup = dedup;
    write("p/a.jsonl", said(90, "m", "r"));
    write("p/b.jsonl", said(5, "m", "r"));
    EXPECT_EQ(output(), 90U);
    std::filesystem::remove(path("p/a.jsonl"));
    EXPECT_EQ(output(), 5U);
    write("p/a.jsonl", said(90, "m", "r"));
    EXPECT_EQ(output(), 90U);
    write("p/a.jsonl", "");
    EXPECT_EQ(output(), 5U);
  }
}

TEST_F(DuplicatesTest, IdsThatOnlyDifferInWhatIsNoUtf8AreTheSame) {
  write("p/a.jsonl", said(5, "m\xff", "") + said(6, "m\xfe", "") + said(7, "m\\ufffd", ""));
  EXPECT_EQ(output(), 7U);
}

// ---- the states of the vectors, as the reference answered them ----

TEST_F(DiskTranscriptsTest, AnswersAsTheReferenceWhenToldSo) {
  as_reference();
  const auto entry = [](const char* time, std::uint64_t input, std::uint64_t output,
                        std::uint64_t creation, std::uint64_t read, const char* id) {
    Message message;
    message.id = id;
    message.tokens = {input, output, creation, 0, read};
    return line_of(*core::parse_timestamp(time), message);
  };
  std::string last = entry("2026-11-20T09:56:40Z", 1, 1, 1, 1, "");
  last.pop_back();
  write("p/a.jsonl", entry("2026-11-20T01:30:00Z", 5, 6, 7, 8, "m0") +
                         entry("2026-11-20T09:23:20Z", 100, 20, 3, 4, "m1") +
                         entry("2026-11-20T09:40:00Z", 999, 999, 999, 999, "m1") + "broken\n" +
                         last);
  write("q/b.jsonl", entry("2026-11-12T10:30:00Z", 1000, 1000, 0, 0, "") +
                         entry("2026-11-20T10:28:20Z", 10, 2, 0, 0, "m9"));
  write("q/ignored.txt", entry("2026-11-20T10:28:20Z", 1, 1, 1, 1, "m10"));
  const TranscriptAnswer answer = windows();
  ASSERT_TRUE(answer.windows.five_hour);
  EXPECT_EQ(core::format_timestamp(answer.windows.five_hour->start), "2026-11-20T09:00:00Z");
  EXPECT_EQ(answer.windows.five_hour->tokens, (TokenCounts{110, 22, 3, 4}));
  EXPECT_EQ(answer.windows.seven_day, (TokenCounts{115, 28, 10, 12}));
}

TEST_F(DiskTranscriptsTest, TheEdgesOfTheWindowsAreInThem) {
  as_reference();
  write("p/a.jsonl", line_of(*core::parse_timestamp("2026-11-13T10:30:00Z"), 1, "e0") +
                         line_of(*core::parse_timestamp("2026-11-13T10:29:59Z"), 2, "e1") +
                         line_of(*core::parse_timestamp("2026-11-20T04:30:00Z"), 4, "e2") +
                         line_of(*core::parse_timestamp("2026-11-20T09:30:00Z"), 8, "e3") +
                         line_of(*core::parse_timestamp("2026-11-20T10:30:00Z"), 16, "e4"));
  const TranscriptAnswer answer = windows();
  ASSERT_TRUE(answer.windows.five_hour);
  EXPECT_EQ(core::format_timestamp(answer.windows.five_hour->start), "2026-11-20T04:00:00Z");
  EXPECT_EQ(answer.windows.five_hour->tokens.input, 28U);
  EXPECT_EQ(answer.windows.seven_day.input, 29U);
}

TEST_F(DiskTranscriptsTest, SumsSaturateAndComeBackWhenTheirPartsGo) {
  write("p/a.jsonl", line_of(kNow, ~std::uint64_t{0}));
  write("p/b.jsonl", line_of(kNow, 7));
  EXPECT_EQ(both(), ~std::uint64_t{0});
  std::filesystem::remove(path("p/a.jsonl"));
  EXPECT_EQ(both(), 7U);
}

TEST_F(DiskTranscriptsTest, TheClockMayStandAnywhereAndGoBack) {
  write("p/a.jsonl", line_of(kNow, 1) + line_of(after(kNow, 3600), 10));
  const auto transcripts = open();
  EXPECT_EQ(transcripts->windows(after(kNow, 7200)).windows.seven_day.input, 11U);
  EXPECT_EQ(transcripts->windows(kNow).windows.seven_day.input, 1U);
  const TranscriptAnswer before = transcripts->windows(after(kNow, -1));
  EXPECT_EQ(before.windows.seven_day.input, 0U);
  ASSERT_TRUE(before.windows.five_hour) << "entries of the future are activity";
  EXPECT_EQ(before.windows.five_hour->tokens.input, 11U);
  EXPECT_FALSE(transcripts->windows(after(kNow, 6 * 3600 + 1)).windows.five_hour);
  EXPECT_EQ(transcripts->windows({core::kEarliestSecond, 0}).error, UsageError::kNone);
  EXPECT_EQ(transcripts->windows({core::kLatestSecond, 999'999'999}).error, UsageError::kNone);
}

TEST_F(DiskTranscriptsTest, EntriesAtTheEndsOfTimeAreEntries) {
  const core::Timestamp first{core::kEarliestSecond, 0};
  const core::Timestamp last{core::kLatestSecond, 999'999'999};
  write("p/a.jsonl", line_of(first, 1) + line_of(last, 10));
  EXPECT_EQ(windows(first).windows.seven_day.input, 1U);
  EXPECT_EQ(windows(last).windows.seven_day.input, 10U);
  std::filesystem::remove(path("p/a.jsonl"));
  write("p/a.jsonl", line_of(first, 1));
  const TranscriptAnswer answer = windows(first);
  ASSERT_TRUE(answer.windows.five_hour);
  EXPECT_EQ(answer.windows.five_hour->start, first) << "it cannot be floored";
}

}  // namespace
}  // namespace satchel::cascade
