#include "cascade/disk_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "core/clock.hpp"

namespace satchel::cascade {

using core::Error;
using core::io_error;
using core::Result;
using core::Status;
using core::UniqueFd;

namespace {

// Kernels stamp files with a clock that ticks up to every 10 ms, some file systems keep whole
// seconds of it: a file that was written to so short ago may be written to again without another
// stamp.
constexpr std::int64_t kTicks = 50 * core::kNanosPerMilli;
constexpr std::int64_t kSeconds = 2 * core::kNanosPerSecond;

core::Timestamp time_of(const timespec& time) {
  return {time.tv_sec, static_cast<std::int32_t>(time.tv_nsec)};
}

FileStamp stamp_of(const struct stat& status) {
  return {{status.st_dev, status.st_ino},
          static_cast<std::uint64_t>(status.st_size),
          time_of(status.st_mtim),
          time_of(status.st_ctim)};
}

bool is_settled(const FileStamp& stamp) {
  timespec now{};
  if (::clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0) return false;
  const std::int64_t age = core::unix_ns_of(time_of(now)) - core::unix_ns_of(stamp.changed);
  return age > (stamp.changed.nanos == 0 ? kSeconds : kTicks);
}

Result<std::string> read_all(int fd, std::size_t expected, const std::string& path) {
  std::string bytes(expected + 1, '\0');
  std::size_t got = 0;
  for (;;) {
    const ssize_t n = ::read(fd, bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("cannot read " + path, errno);
    got += static_cast<std::size_t>(n);
    // Less than there was room for: that was the end of it.
    if (n == 0 || got == expected) break;
    if (got > kUsageFileMaxBytes) {
      return Error{Status::kIo, path + " is larger than 1 MiB", EFBIG};
    }
    if (got == bytes.size()) bytes.resize(2 * bytes.size());
  }
  bytes.resize(got);
  return bytes;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

const char* usage_file_name(UsageFile file) {
  switch (file) {
    case UsageFile::kCache:
      return "usage.json";
    case UsageFile::kLock:
      return "usage.lock";
    case UsageFile::kObserved:
      break;
  }
  return "satchel-observed.json";
}

DiskFiles::DiskFiles(const std::string& directory) : directory_(directory) {
  for (std::size_t i = 0; i < kUsageFileCount; ++i) {
    paths_[i] = directory + "/" + usage_file_name(static_cast<UsageFile>(i));
  }
}

Result<FileContent> DiskFiles::read(UsageFile file, const FileStamp* known) {
  const std::string& where = path(file);
  struct stat status {};
  if (known != nullptr && ::lstat(where.c_str(), &status) == 0 && stamp_of(status) == *known) {
    return FileContent{FileContent::State::kUnchanged, {}, {}, {}};
  }
  const UniqueFd fd(::open(where.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    if (errno == ENOENT) return FileContent{};
    return io_error("cannot open " + where, errno);
  }
  if (::fstat(fd.get(), &status) != 0) return io_error("cannot stat " + where, errno);
  if (!S_ISREG(status.st_mode)) return Error{Status::kIo, where + " is no regular file", EINVAL};
  const FileStamp stamp = stamp_of(status);
  Result<std::string> bytes =
      read_all(fd.get(), std::min<std::size_t>(stamp.size, kUsageFileMaxBytes), where);
  if (!bytes) return bytes.take_error();
  FileContent content{FileContent::State::kRead, std::move(*bytes), stamp.modified, {}};
  if (content.bytes.size() == stamp.size && is_settled(stamp)) content.stamp = stamp;
  return content;
}

Result<void> DiskFiles::write(UsageFile file, std::string_view bytes) {
  if (Result<void> made = make_cache_directory(directory_); !made) return made;
  const std::string& target = path(file);
  std::string temporary = directory_ + "/.satchel-XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return io_error("cannot make a file in " + directory_, errno);
  const bool written = write_all(fd.get(), bytes) &&
                       (file == UsageFile::kObserved || ::fsync(fd.get()) == 0) &&
                       ::rename(temporary.c_str(), target.c_str()) == 0;
  if (written) return {};
  const int os_errno = errno;
  ::unlink(temporary.c_str());
  return io_error("cannot write " + target, os_errno);
}

Result<void> DiskFiles::remove(UsageFile file) {
  if (::unlink(path(file).c_str()) == 0 || errno == ENOENT) return {};
  return io_error("cannot remove " + path(file), errno);
}

Result<void> make_cache_directory(const std::string& directory) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
  return core::make_private_directory(directory);
}

}  // namespace satchel::cascade
