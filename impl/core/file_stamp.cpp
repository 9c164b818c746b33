#include "core/file_stamp.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/process_wide.hpp"

namespace satchel::core {
namespace {

// By how much the clock may have been set without same_as() seeing it.
constexpr std::int64_t kEpochTolerance = 10 * kNanosPerMilli;
// The longest tick of a kernel; file times move by ticks.
constexpr std::int64_t kTick = 10 * kNanosPerMilli;
// What a filesystem that keeps whole seconds only needs besides.
constexpr std::int64_t kWholeSeconds = 2 * kNanosPerSecond;

// Far times are all alike: nothing is proven by them.
std::int64_t nanoseconds(std::int64_t seconds, std::int64_t nanos) {
  std::int64_t total = 0;
  if (__builtin_mul_overflow(seconds, kNanosPerSecond, &total) ||
      __builtin_add_overflow(total, nanos, &total)) {
    return seconds < 0 ? std::numeric_limits<std::int64_t>::min()
                       : std::numeric_limits<std::int64_t>::max();
  }
  return total;
}

std::int64_t clock_ns(clockid_t clock) {
  struct timespec time {};
  ::clock_gettime(clock, &time);
  return nanoseconds(time.tv_sec, time.tv_nsec);
}

// Zero where /proc is not there or says something else.
std::array<std::uint8_t, 16> read_boot_id() {
  std::array<std::uint8_t, 16> id{};
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[37];
  if (!fd.valid() || ::read(fd.get(), text, sizeof text) != sizeof text) return id;
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-' || c == '\n') continue;
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0 || digits == 2 * id.size()) return {};
    id[digits / 2] = static_cast<std::uint8_t>(id[digits / 2] << 4 | digit);
    ++digits;
  }
  return digits == 2 * id.size() ? id : std::array<std::uint8_t, 16>{};
}

constinit ProcessWide<std::array<std::uint8_t, 16>> boot_id(read_boot_id);

// An overlay looks like one whatever lies beneath; a tmpfs beneath must not be taken for a disk.
// Only ext4 says that a file has extents (flags), only XFS how many.
bool overlay_keeps_files_on_disk(int fd) {
  int flags = 0;  // whatever the macro says of a long
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_EXTENT_FL) != 0) return true;
  struct fsxattr attributes {};
  return ::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 && attributes.fsx_nextents > 0;
}

}  // namespace

FileStamp stamp_of(const struct stat& status) {
  FileStamp stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = static_cast<std::uint64_t>(status.st_size);
  stamp.mtime_ns = nanoseconds(status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  stamp.ctime_ns = nanoseconds(status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  stamp.mode = status.st_mode;
  return stamp;
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return stamp_of(status);
}

std::optional<FileStamp> stamp_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  return stamp_of(status);
}

std::optional<FileStamp> stamp_of_itself(int directory_fd, const char* name) {
  struct stat status {};
  if (::fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return stamp_of(status);
}

bool ClockEpoch::same_as(const ClockEpoch& other) const {
  if (boot == std::array<std::uint8_t, 16>{} || boot != other.boot) return false;
  std::int64_t apart = 0;
  if (__builtin_sub_overflow(offset_ns, other.offset_ns, &apart)) return false;
  return apart >= -kEpochTolerance && apart <= kEpochTolerance;
}

ClockEpoch clock_epoch() {
  // The two clocks cannot be read at once. A reading that was interrupted is repeated; of several,
  // the one that took least is nearest to the truth.
  constexpr std::int64_t kGood = 1000;
  ClockEpoch epoch{boot_id.get(), 0};
  std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < 5 && shortest > kGood; ++i) {
    const std::int64_t before = clock_ns(CLOCK_BOOTTIME);
    const std::int64_t real = clock_ns(CLOCK_REALTIME);
    const std::int64_t took = clock_ns(CLOCK_BOOTTIME) - before;
    if (took >= shortest) continue;
    shortest = took;
    epoch.offset_ns = real - before - took / 2;
  }
  return epoch;
}

std::int64_t file_clock_ns() { return clock_ns(CLOCK_REALTIME_COARSE); }

bool settled(const FileStamp& stamp, std::int64_t now_ns) {
  const bool whole_seconds =
      stamp.ctime_ns % kNanosPerSecond == 0 && stamp.mtime_ns % kNanosPerSecond == 0;
  const std::int64_t limit = now_ns - kTick - kEpochTolerance - (whole_seconds ? kWholeSeconds : 0);
  return std::max(stamp.ctime_ns, stamp.mtime_ns) < limit;
}

bool stamps_betray_changes(int fd, bool content) {
  struct statfs filesystem {};
  if (::fstatfs(fd, &filesystem) != 0) return false;
  switch (static_cast<std::uint32_t>(filesystem.f_type)) {
    case EXT4_SUPER_MAGIC:  // and ext2, ext3
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
      return true;
    case OVERLAYFS_SUPER_MAGIC:
      return !content || overlay_keeps_files_on_disk(fd);
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return !content;
    default:
      return false;
  }
}

}  // namespace satchel::core
