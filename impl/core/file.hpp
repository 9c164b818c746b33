// Files that belong to us alone: private directories and files, never through a symbolic link,
// and locks between processes that the kernel releases when a process dies.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.hpp"

namespace satchel::core {

// kIo: "<what>: <text of errno>".
Error io_error(const std::string& what, int os_errno);

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  void reset();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Which file it is, whatever its name.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

enum class FileKind : std::uint8_t { kAbsent, kRegular, kDirectory, kSymlink, kOther };

struct FileFacts {
  FileKind kind = FileKind::kAbsent;
  FileIdentity identity;
  std::uint64_t size = 0;
};

// What stands at `path`, a symbolic link itself and not what it points to. Opens nothing: closing
// any descriptor of a file drops the POSIX locks that this process holds on it, SQLite's too.
// An error of the system counts as absent.
FileFacts file_facts(const std::string& path);
FileIdentity file_identity(int fd);

// Makes the directory with mode 0700, its parents too. One that exists is taken as it is, unless
// it is a symbolic link or no directory.
Result<void> make_private_directory(const std::string& given);

// Opens for reading and writing; makes the file with mode 0600 where it is missing. An error for
// what is no regular file, or has a second name.
Result<UniqueFd> open_private_file(const std::string& path);
// Makes an empty file with mode 0600; an error where anything stands there already.
Result<void> create_private_file(const std::string& path);

// Up to `capacity` bytes at `offset`, fewer only at the end of the file; -1 and errno.
std::ptrdiff_t read_at(int fd, std::uint64_t offset, char* out, std::size_t capacity);
// 0 or errno.
int write_all(int fd, std::string_view bytes);

// A path behind the working directory as it is now, for a host may change it; an absolute one, and
// none, as it is. So is a relative one where the working directory is not known.
std::string absolute_path(std::string_view path);

enum class LockKind : std::uint8_t { kNone, kShared, kExclusive };

// Locks [offset, offset + length) for this open file description, without waiting: 0, or EAGAIN
// where another holds it, or another errno. Unlike POSIX locks of a process these hold between two
// descriptors of one process, and closing an unrelated descriptor does not drop them; with both
// kinds held by different owners, each sees the other.
int lock_range(int fd, LockKind kind, std::int64_t offset, std::int64_t length);
// The strongest lock that somebody else holds there; *os_errno is 0 or why it is not known.
LockKind lock_of_others(int fd, std::int64_t offset, std::int64_t length, int* os_errno);

// A lock of an open file description is inherited by fork and lives until parent and child have
// both closed it: a parent that dies would leave its locks with a child that knows nothing of them.
// While one of these lives, a forked child closes `fd` first of all.
class ClosedInChild {
 public:
  explicit ClosedInChild(int fd);
  ClosedInChild(const ClosedInChild&) = delete;
  ClosedInChild& operator=(const ClosedInChild&) = delete;
  ~ClosedInChild();

 private:
  int slot_ = -1;
};

}  // namespace satchel::core
