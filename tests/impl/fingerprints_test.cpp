#include "tool_cache/fingerprints.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "fingerprints_fixture.hpp"

namespace satchel::tool_cache {
namespace {

TEST_F(FingerprintsTest, AnUnchangedFileIsHashedOnce) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  const std::string path = directory_.write("a", "hello");
  let_settle();
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("hello"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(*fingerprints_, path), hash_of("hello"));
  const FingerprintCounts counts = fingerprints_->counts();
  EXPECT_EQ(counts.hashed, 1U);
  EXPECT_EQ(counts.bytes_hashed, 5U);
  EXPECT_EQ(counts.remembered, 3U);
  EXPECT_EQ(fingerprints_->settle_pending(), 0U);
}

TEST_F(FingerprintsTest, AFileChangedAMomentAgoIsRememberedOnceThatIsPast) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  const std::string path = directory_.write("a", "hello");
  EXPECT_FALSE(asked_without_hashing(*fingerprints_, path));
  EXPECT_FALSE(asked_without_hashing(*fingerprints_, path));
  let_settle();
  EXPECT_EQ(fingerprints_->settle_pending(), 0U);
  EXPECT_TRUE(asked_without_hashing(*fingerprints_, path));
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("hello"));
}

TEST_F(FingerprintsTest, ADirectoryIsRememberedUntilItsNamesChange) {
  directory_.write("a", "");
  make_known(directory_.path(), Form::kDirectory);
  const std::string before = ask(*fingerprints_, directory_.path(), Form::kDirectory);
  directory_.write("b", "");
  EXPECT_NE(ask(*fingerprints_, directory_.path(), Form::kDirectory), before);
  ASSERT_EQ(::unlink(directory_.file("b").c_str()), 0);
  EXPECT_EQ(ask(*fingerprints_, directory_.path(), Form::kDirectory), before);
}

TEST_F(FingerprintsTest, NewContentOfTheSameSizeAndTimeIsNoticed) {
  const std::string path = directory_.write("a", "one");
  let_settle();
  ask(*fingerprints_, path);
  const core::FileStamp before = *core::stamp_of(path);
  overwrite(path, "two");
  set_mtime_back(path, before);
  EXPECT_EQ(core::stamp_of(path)->mtime_ns, before.mtime_ns);
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("two"));
}

TEST_F(FingerprintsTest, AFileRenamedOverItWithTheSameSizeAndTimeIsNoticed) {
  const std::string path = directory_.write("a", "one");
  const std::string other = directory_.write("b", "two");
  set_mtime_back(other, *core::stamp_of(path));
  let_settle();
  ask(*fingerprints_, path);
  ASSERT_EQ(::rename(other.c_str(), path.c_str()), 0);
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("two"));
}

TEST_F(FingerprintsTest, AFileMadeAnewInTheInodeOfTheOldOneIsNoticed) {
  const std::string path = directory_.write("a", "one");
  let_settle();
  ask(*fingerprints_, path);
  for (int i = 0; i < 20; ++i) {  // ext4 gives the same inode at once, mostly
    const core::FileStamp before = *core::stamp_of(path);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    const std::string content = std::to_string(100 + i);
    directory_.write("a", content);
    set_mtime_back(path, before);
    ASSERT_EQ(ask(*fingerprints_, path), hash_of(content));
  }
}

// Each change follows the answer before it at once: within one tick of the clock that stamps files.
TEST_F(FingerprintsTest, ChangesWithinOneTickAreNoticed) {
  const std::string path = directory_.write("a", "0000");
  const core::FileStamp first = *core::stamp_of(path);
  for (int i = 0; i < 2000; ++i) {
    const std::string content = std::to_string(1000 + i);
    overwrite(path, content);
    if (i % 2 == 0) set_mtime_back(path, first);
    if (i % 3 == 0) fingerprints_->settle_pending();
    ASSERT_EQ(ask(*fingerprints_, path), hash_of(content)) << i;
    if (i % 5 == 0) fingerprints_->settle_pending();
    if (i % 500 == 0) let_settle();
  }
}

TEST_F(FingerprintsTest, AChangeBetweenHashingAndSettlingIsNoticed) {
  const std::string path = directory_.write("a", "one");
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("one"));
  overwrite(path, "two");
  let_settle();
  fingerprints_->settle_pending();
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("two"));
}

TEST_F(FingerprintsTest, AFileOpenForWritingIsNotRememberedUntilItIsClosed) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  const std::string path = directory_.write("a", "hello");
  let_settle();
  {
    const core::UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    EXPECT_FALSE(asked_without_hashing(*fingerprints_, path));
    EXPECT_EQ(fingerprints_->settle_pending(), 1U);
    EXPECT_FALSE(asked_without_hashing(*fingerprints_, path));
  }
  EXPECT_EQ(fingerprints_->settle_pending(), 0U);
  EXPECT_TRUE(asked_without_hashing(*fingerprints_, path));
}

TEST_F(FingerprintsTest, AFileThatStaysOpenForWritingIsWaitedForSomeSecondsOnly) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  core::ManualClock clock;
  Fingerprints fingerprints({}, nullptr, clock, log_);
  const std::string path = directory_.write("a", "hello");
  const core::UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ask(fingerprints, path);
  EXPECT_EQ(fingerprints.settle_pending(), 1U);
  clock.advance(core::kNanosPerSecond);
  EXPECT_EQ(fingerprints.settle_pending(), 1U);
  clock.advance(9 * core::kNanosPerSecond);
  EXPECT_EQ(fingerprints.settle_pending(), 0U);
  ask(fingerprints, path);  // until it is asked for again
  EXPECT_EQ(fingerprints.settle_pending(), 1U);
}

// A page that is mapped and dirty takes writes that leave no trace in the file's times.
TEST_F(FingerprintsTest, WritesThroughAMappingThatWasThereBeforeAreNoticed) {
  const std::string path = directory_.write("a", std::string(4096, 'a'));
  void* mapped = MAP_FAILED;
  {
    const core::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
  }
  volatile char* const page = static_cast<char*>(mapped);
  std::string content(4096, 'a');
  for (char c = 'b'; c < 'g'; ++c) {
    *page = c;
    content[0] = c;
    if (c == 'd') let_settle();
    fingerprints_->settle_pending();
    EXPECT_EQ(ask(*fingerprints_, path), hash_of(content)) << c;
  }
  ::munmap(mapped, 4096);
}

TEST_F(FingerprintsTest, WritesThroughAMappingMadeAfterwardsAreNoticed) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  const std::string path = directory_.write("a", std::string(4096, 'a'));
  make_known(path);
  const core::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  volatile char* const page = static_cast<char*>(mapped);
  *page = 'b';
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("b" + std::string(4095, 'a')));
  let_settle();
  fingerprints_->settle_pending();
  *page = 'c';
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("c" + std::string(4095, 'a')));
  ::munmap(mapped, 4096);
}

TEST_F(FingerprintsTest, ALinkThatPointsElsewhereIsNoticed) {
  directory_.write("a", "one");
  directory_.write("b", "two");
  ASSERT_EQ(::symlink("a", directory_.file("link").c_str()), 0);
  let_settle();
  const std::string path = directory_.file("link");
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("one"));
  ask(*fingerprints_, directory_.file("b"));
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::symlink("b", path.c_str()), 0);
  EXPECT_EQ(ask(*fingerprints_, path), hash_of("two"));
}

TEST_F(FingerprintsTest, ALinkAmongTheDirectoriesAboveThatPointsElsewhereIsNoticed) {
  ASSERT_EQ(::mkdir(directory_.file("x").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir(directory_.file("y").c_str(), 0700), 0);
  directory_.write("x/a", "one");
  set_mtime_back(directory_.write("y/a", "two"), *core::stamp_of(directory_.file("x/a")));
  ASSERT_EQ(::symlink("x", directory_.file("now").c_str()), 0);
  let_settle();
  EXPECT_EQ(ask(*fingerprints_, directory_.file("now/a")), hash_of("one"));
  ASSERT_EQ(::symlink("y", directory_.file("next").c_str()), 0);
  ASSERT_EQ(::rename(directory_.file("next").c_str(), directory_.file("now").c_str()), 0);
  EXPECT_EQ(ask(*fingerprints_, directory_.file("now/a")), hash_of("two"));
}

TEST_F(FingerprintsTest, FilesOnTmpfsAreHashedEachTimeAndDirectoriesAreNot) {
  if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm";
  ShelfInMemory shelf;
  const auto fingerprints = make({}, &shelf);
  const ScratchFiles memory("/dev/shm");
  const std::string path = memory.write("a", "hello");
  let_settle();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(asked_without_hashing(*fingerprints, path));
    EXPECT_EQ(ask(*fingerprints, path), hash_of("hello"));
    EXPECT_EQ(fingerprints->settle_pending(), 0U);
  }
  EXPECT_EQ(shelf.finds, 1);  // it is known that nothing is there
  EXPECT_FALSE(asked_without_hashing(*fingerprints, memory.path(), Form::kDirectory));
  EXPECT_TRUE(asked_without_hashing(*fingerprints, memory.path(), Form::kDirectory));
}

TEST_F(FingerprintsTest, StrictBelievesNoStamp) {
  Fingerprints::Options options;
  options.strict = true;
  ShelfInMemory shelf;
  const auto strict = make(options, &shelf);
  const std::string path = directory_.write("a", "hello");
  let_settle();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(asked_without_hashing(*strict, path));
    EXPECT_FALSE(asked_without_hashing(*strict, directory_.path(), Form::kDirectory));
    EXPECT_EQ(strict->settle_pending(), 0U);
  }
  EXPECT_TRUE(shelf.kept.empty());
  EXPECT_EQ(shelf.finds, 0);
  EXPECT_EQ(ask(*strict, path), hash_of("hello"));
}

TEST_F(FingerprintsTest, WhatCannotBeReadIsAnErrorEachTime) {
  ASSERT_EQ(::mkfifo(directory_.file("fifo").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("loop", directory_.file("loop").c_str()), 0);
  const struct {
    std::string path;
    Form form;
    int os_errno;
  } cases[] = {
      {directory_.file("none"), Form::kContent, ENOENT},
      {directory_.file("none"), Form::kDirectory, ENOENT},
      {directory_.file("none"), Form::kStat, ENOENT},
      {directory_.write("a", "") + "/below", Form::kContent, ENOTDIR},
      {directory_.file("loop"), Form::kContent, ELOOP},
      {directory_.file("fifo"), Form::kContent, EINVAL},
      {directory_.path(), Form::kContent, EISDIR},
      {directory_.file("a"), Form::kDirectory, ENOTDIR},
  };
  for (const auto& c : cases) {
    for (int i = 0; i < 2; ++i) {
      const core::Result<std::string> now = fingerprints_->current(c.path, c.form);
      ASSERT_FALSE(now.ok()) << c.path;
      EXPECT_EQ(now.error().status, core::Status::kIo);
      EXPECT_EQ(now.error().os_errno, c.os_errno) << c.path;
    }
  }
  EXPECT_EQ(fingerprints_->settle_pending(), 0U);
}

TEST_F(FingerprintsTest, AFileThatVanishedIsNotWaitedFor) {
  const std::string path = directory_.write("a", "hello");
  ask(*fingerprints_, path);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(fingerprints_->settle_pending(), 0U);
  EXPECT_FALSE(fingerprints_->current(path, Form::kContent).ok());
}

// One byte, so that no reader sees half of a write.
TEST_F(FingerprintsTest, AnAnswerIsOfAContentThatTheFileHadSinceItWasAsked) {
  const std::string path = directory_.write("a", std::string(1, '\0'));
  std::vector<std::string> hashes;
  for (int i = 0; i < 256; ++i) hashes.push_back(hash_of(std::string(1, static_cast<char>(i))));
  std::atomic<int> written{0};   // begun
  std::atomic<int> finished{0};  // done
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  const auto reader = [&] {
    while (!stop) {
      const int from = finished.load();
      const std::string answer = ask(*fingerprints_, path);
      const int to = written.load();
      bool right = false;
      for (int i = from; i <= to && !right; ++i) right = answer == hashes[i % 256];
      if (!right) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(reader);
  threads.emplace_back([&] {
    while (!stop) {
      fingerprints_->settle_pending();
      sleep_ms(1);
    }
  });
  for (int i = 1; i <= 600; ++i) {
    const std::string content(1, static_cast<char>(i % 256));
    written = i;
    overwrite(path, content);
    finished = i;
    // Long enough to be remembered, now and then.
    if (i % 100 == 0) let_settle();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(ask(*fingerprints_, path), hashes[600 % 256]);
}

}  // namespace
}  // namespace satchel::tool_cache
