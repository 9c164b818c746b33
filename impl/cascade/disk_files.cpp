#include "cascade/disk_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/file_stamp.hpp"

namespace satchel::cascade {

using core::Error;
using core::FileStamp;
using core::io_error;
using core::Result;
using core::Status;
using core::UniqueFd;

namespace {

// The file's times are older than whatever its file system may round them to, and some more: a file
// that was written to so short ago may be written to again without another stamp.
constexpr std::int64_t kPatience = 50 * core::kNanosPerMilli;

bool is_settled(const FileStamp& stamp) {
  return core::settled(stamp, core::file_clock_ns() - kPatience);
}

// With `expected` bytes in one look, as a rule.
Result<std::string> read_all(int fd, std::size_t expected, const std::string& path) {
  std::string bytes;
  std::size_t got = 0;
  for (std::size_t room = expected + 1; got == bytes.size(); room = kUsageFileMaxBytes + 1) {
    bytes.resize(room);
    const std::ptrdiff_t n = core::read_at(fd, got, bytes.data() + got, room - got);
    if (n < 0) return io_error("cannot read " + path, errno);
    got += static_cast<std::size_t>(n);
    if (got > kUsageFileMaxBytes) {
      return Error{Status::kIo, path + " is larger than 1 MiB", EFBIG};
    }
  }
  bytes.resize(got);
  return bytes;
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
  if (known != nullptr && core::stamp_of_itself(AT_FDCWD, where.c_str()) == *known) {
    return FileContent{FileContent::State::kUnchanged, {}, {}, {}};
  }
  const UniqueFd fd(::open(where.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) {
    if (errno == ENOENT) return FileContent{};
    return io_error("cannot open " + where, errno);
  }
  const std::optional<FileStamp> stamp = core::stamp_of(fd.get());
  if (!stamp) return io_error("cannot stat " + where, errno);
  if (!S_ISREG(stamp->mode)) return Error{Status::kIo, where + " is no regular file", EINVAL};
  Result<std::string> bytes =
      read_all(fd.get(), std::min<std::size_t>(stamp->size, kUsageFileMaxBytes), where);
  if (!bytes) return bytes.take_error();
  FileContent content{
      FileContent::State::kRead, std::move(*bytes), core::timestamp_of_ns(stamp->mtime_ns), {}};
  if (content.bytes.size() == stamp->size && is_settled(*stamp)) content.stamp = stamp;
  return content;
}

Result<void> DiskFiles::write(UsageFile file, std::string_view bytes) {
  if (Result<void> made = make_cache_directory(directory_); !made) return made;
  const std::string& target = path(file);
  std::string temporary = directory_ + "/.satchel-XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return io_error("cannot make a file in " + directory_, errno);
  const int problem = core::write_all(fd.get(), bytes);
  const bool written = problem == 0 && (file == UsageFile::kObserved || ::fsync(fd.get()) == 0) &&
                       ::rename(temporary.c_str(), target.c_str()) == 0;
  if (written) return {};
  const int os_errno = problem != 0 ? problem : errno;
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
