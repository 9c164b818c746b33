#include "core/file_stamp.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <limits>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "scratch_files.hpp"

namespace satchel::core {
namespace {

constexpr std::int64_t kMilli = kNanosPerMilli;
constexpr std::int64_t kSecond = kNanosPerSecond;
constexpr std::int64_t kNow = 1'700'000'000 * kSecond;

FileStamp stamped(std::int64_t ctime_ns, std::int64_t mtime_ns) {
  FileStamp stamp;
  stamp.ctime_ns = ctime_ns;
  stamp.mtime_ns = mtime_ns;
  return stamp;
}

TEST(FileStamp, SaysWhatStatSays) {
  const ScratchFiles directory;
  const std::string path = directory.write("a", "hello");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const std::optional<FileStamp> stamp = stamp_of(path);
  ASSERT_TRUE(stamp.has_value());
  EXPECT_EQ(stamp->size, 5U);
  EXPECT_EQ(stamp->inode, status.st_ino);
  EXPECT_EQ(stamp->device, status.st_dev);
  EXPECT_EQ(stamp->mode, status.st_mode);
  EXPECT_EQ(stamp->mtime_ns, status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec);
  EXPECT_EQ(stamp->ctime_ns, status.st_ctim.tv_sec * kSecond + status.st_ctim.tv_nsec);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(stamp_of(fd.get()), stamp);
}

TEST(FileStamp, FollowsALinkUnlessTheLinkItselfIsMeant) {
  const ScratchFiles directory;
  const std::string path = directory.write("a", "hello");
  const std::string link = directory.path() + "/link";
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  EXPECT_EQ(stamp_of(link), stamp_of(path));
  const UniqueFd fd(::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_NE(stamp_of_itself(fd.get(), "link"), stamp_of(path));
  EXPECT_EQ(stamp_of_itself(fd.get(), "a"), stamp_of(path));
}

TEST(FileStamp, OfWhatIsMissingThereIsNoneAndErrnoSaysWhy) {
  const ScratchFiles directory;
  EXPECT_FALSE(stamp_of(directory.path() + "/none").has_value());
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(stamp_of(-1).has_value());
  EXPECT_EQ(errno, EBADF);
}

TEST(FileStamp, TimesBeyondWhatNanosecondsHoldAreInTheFuture) {
  struct stat status {};
  status.st_mtim.tv_sec = 15'000'000'000;  // the year 2445
  EXPECT_EQ(stamp_of(status).mtime_ns, std::numeric_limits<std::int64_t>::max());
  EXPECT_FALSE(settled(stamp_of(status), kNow));
}

TEST(Settled, OnlyWhatLiesMoreThanATickBehind) {
  struct Case {
    std::int64_t ctime_ns;
    std::int64_t mtime_ns;
    bool settled;
  };
  const std::int64_t odd = kNow - 500 * kMilli;  // not a whole second
  const Case cases[] = {
      {odd, odd, true},
      {kNow - 21 * kMilli, odd, true},
      {kNow - 20 * kMilli, odd, false},
      {kNow - kMilli, odd, false},
      {odd, kNow - kMilli, false},
      {kNow + kSecond, odd, false},
      {odd, kNow + 1000 * kSecond, false},  // touched into the future
      // Whole seconds in both: the filesystem may have no others.
      {kNow - 2 * kSecond, kNow - 2 * kSecond, false},
      {kNow - 3 * kSecond, kNow - 3 * kSecond, true},
      {kNow - kSecond, odd, true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(settled(stamped(c.ctime_ns, c.mtime_ns), kNow), c.settled)
        << c.ctime_ns - kNow << " " << c.mtime_ns - kNow;
  }
}

TEST(Settled, AFileWrittenNowIsNot) {
  const ScratchFiles directory;
  const std::int64_t before = file_clock_ns();
  const FileStamp stamp = *stamp_of(directory.write("a", "hello"));
  EXPECT_FALSE(settled(stamp, file_clock_ns()));
  EXPECT_GE(stamp.ctime_ns, before);  // it is this clock that stamps
  EXPECT_TRUE(settled(stamp, stamp.ctime_ns + kSecond));
}

TEST(ClockEpoch, IsTheSameUntilTheClockIsSetOrTheMachineStartsAgain) {
  const ClockEpoch epoch{{1, 2, 3}, 5 * kSecond};
  ClockEpoch other = epoch;
  EXPECT_TRUE(epoch.same_as(other));
  for (const std::int64_t slight : {-10 * kMilli, 10 * kMilli}) {
    other.offset_ns = epoch.offset_ns + slight;
    EXPECT_TRUE(epoch.same_as(other));
  }
  for (const std::int64_t set : {-11 * kMilli, 11 * kMilli, kSecond, -kSecond}) {
    other.offset_ns = epoch.offset_ns + set;
    EXPECT_FALSE(epoch.same_as(other));
  }
  other = epoch;
  other.boot[15] = 1;
  EXPECT_FALSE(epoch.same_as(other));
}

TEST(ClockEpoch, UnknownIsLikeNothing) {
  const ClockEpoch unknown;
  EXPECT_FALSE(unknown.same_as(unknown));
  EXPECT_FALSE(unknown.same_as(clock_epoch()));
}

TEST(ClockEpoch, ReadManyTimesItStaysTheSame) {
  const ClockEpoch first = clock_epoch();
  EXPECT_NE(first.boot, ClockEpoch().boot);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(first.same_as(clock_epoch()));
}

TEST(StampsBetrayChanges, OnTmpfsOnlyOfDirectories) {
  const UniqueFd fd(::open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) GTEST_SKIP() << "no /dev/shm";
  EXPECT_FALSE(stamps_betray_changes(fd.get(), true));
  EXPECT_TRUE(stamps_betray_changes(fd.get(), false));
}

TEST(StampsBetrayChanges, NeverWhereTheFilesystemIsNotKnown) {
  const UniqueFd fd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(stamps_betray_changes(fd.get(), true));
  EXPECT_FALSE(stamps_betray_changes(fd.get(), false));
  EXPECT_FALSE(stamps_betray_changes(-1, true));
}

}  // namespace
}  // namespace satchel::core
