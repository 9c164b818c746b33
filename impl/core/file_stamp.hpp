// What one stat says of a file: enough to know that it is the same file with the same content, if
// one more thing is known: that its times were past when its content was looked at.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace satchel::core {

struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t mode = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

FileStamp stamp_of(const struct stat& status);
// Follows symbolic links. Nothing, and errno, where the system says no.
std::optional<FileStamp> stamp_of(const std::string& path);
std::optional<FileStamp> stamp_of(int fd);
// Does not follow a link at the last component.
std::optional<FileStamp> stamp_of_itself(int directory_fd, const char* name);

// The clock that stamps files on this machine, and whether it has been set. A stamp betrays every
// later change as long as this clock only goes forward; what was learned under another epoch proves
// nothing. (REALTIME - BOOTTIME moves only when REALTIME is set; both are slewed alike.)
struct ClockEpoch {
  std::array<std::uint8_t, 16> boot{};  // /proc/sys/kernel/random/boot_id; zero: unknown
  std::int64_t offset_ns = 0;           // REALTIME - BOOTTIME

  // Unknown is like nothing, not even itself.
  [[nodiscard]] bool same_as(const ClockEpoch& other) const;
};
ClockEpoch clock_epoch();

// The time that the kernel would write into a file changed now: CLOCK_REALTIME_COARSE.
std::int64_t file_clock_ns();

// Whether whatever happens to the file or directory from `now_ns` (file_clock_ns()) on gets a later
// ctime than `stamp` has. False within the granularity of its times, and for times in the future.
bool settled(const FileStamp& stamp, std::int64_t now_ns);

// Whether the filesystem's stamps can be believed at all: local ones that stamp every write. False
// for network filesystems and FUSE, and whatever is not known; `content`: false too where writes
// through a mapping leave no trace (tmpfs, and an overlay unless the file lies on ext4 or XFS).
bool stamps_betray_changes(int fd, bool content);

}  // namespace satchel::core
