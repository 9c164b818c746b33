#include "core/file.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace satchel::core {
namespace {

FileFacts facts_of(const struct stat& status) {
  FileFacts facts;
  facts.identity = {status.st_dev, status.st_ino};
  facts.size = static_cast<std::uint64_t>(status.st_size);
  if (S_ISREG(status.st_mode)) {
    facts.kind = FileKind::kRegular;
  } else if (S_ISDIR(status.st_mode)) {
    facts.kind = FileKind::kDirectory;
  } else if (S_ISLNK(status.st_mode)) {
    facts.kind = FileKind::kSymlink;
  } else {
    facts.kind = FileKind::kOther;
  }
  return facts;
}

short system_lock_kind(LockKind kind) {
  switch (kind) {
    case LockKind::kNone:
      return F_UNLCK;
    case LockKind::kShared:
      return F_RDLCK;
    case LockKind::kExclusive:
      return F_WRLCK;
  }
  return F_UNLCK;
}

struct flock range_of(LockKind kind, std::int64_t offset, std::int64_t length) {
  struct flock range {};  // l_pid must be 0
  range.l_type = system_lock_kind(kind);
  range.l_whence = SEEK_SET;
  range.l_start = offset;
  range.l_len = length;
  return range;
}

// Makes the parents of `path` that are missing.
Result<void> make_parents(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST) {
      // A directory above that exists may say EACCES or EROFS before it says EEXIST.
      const int os_errno = errno;
      if (file_facts(parent).kind == FileKind::kAbsent) {
        return io_error("cannot make directory " + parent, os_errno);
      }
    }
  }
  return {};
}

// A new file, or -1 and errno. What root makes in another user's directory is that user's: a
// gateway that was started by root once must not lock itself out.
UniqueFd make_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid() || ::geteuid() != 0) return fd;
  struct stat directory {};
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  if (::stat(parent.c_str(), &directory) == 0 && directory.st_uid != 0) {
    // Where it is refused the file is root's, as any other that root makes.
    if (::fchown(fd.get(), directory.st_uid, directory.st_gid) != 0) errno = 0;
  }
  return fd;
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Descriptors that a child closes. A fixed array of atomics, for in a forked child of a process
// with threads nothing else may be touched; what does not fit is not guarded.
constexpr std::size_t kGuarded = 256;
constinit std::array<std::atomic<int>, kGuarded> guarded{};  // fd + 1; 0 is free

void close_guarded_in_child() {
  for (std::atomic<int>& slot : guarded) {
    const int fd = slot.exchange(0) - 1;
    if (fd >= 0) ::close(fd);
  }
}

// While the library is loaded, for the life of the process.
const int registered = ::pthread_atfork(nullptr, nullptr, close_guarded_in_child);

}  // namespace

Error io_error(const std::string& what, int os_errno) {
  return {Status::kIo, what + ": " + std::generic_category().message(os_errno), os_errno};
}

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

FileFacts file_facts(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  return facts_of(status);
}

FileIdentity file_identity(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return {};
  return facts_of(status).identity;
}

Result<void> make_private_directory(const std::string& given) {
  const std::string path = without_trailing_slashes(given);
  if (path.empty()) return Error{Status::kIo, "no directory given", ENOENT};
  if (file_facts(path).kind == FileKind::kAbsent) {
    if (Result<void> made = make_parents(path); !made.ok()) return made;
    // Another process may have been faster: what counts is what stands there now.
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return io_error("cannot make directory " + path, errno);
    }
  }
  switch (file_facts(path).kind) {
    case FileKind::kDirectory:
      return {};
    case FileKind::kSymlink:
      return Error{Status::kIo, path + " is a symbolic link, not followed", ELOOP};
    case FileKind::kAbsent:
      return io_error("cannot make directory " + path, ENOENT);
    case FileKind::kRegular:
    case FileKind::kOther:
      break;
  }
  return Error{Status::kIo, path + " is not a directory", ENOTDIR};
}

Result<UniqueFd> open_private_file(const std::string& path) {
  // Made or opened, never both in one call: what is done to a new file must not be done to another.
  for (int attempt = 0; attempt < 100; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid() && errno == ENOENT) {
      fd = make_file(path);
      if (!fd.valid() && errno == EEXIST) continue;  // another process was faster
    }
    if (!fd.valid()) {
      if (errno != ELOOP) return io_error("cannot open " + path, errno);
      return Error{Status::kIo, path + " is a symbolic link, not followed", ELOOP};
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return io_error("cannot stat " + path, errno);
    // A file with a second name is one that somebody wants us to write to.
    if (!S_ISREG(status.st_mode) || status.st_nlink > 1) {
      return Error{Status::kIo, path + " is not a regular file with one name", EINVAL};
    }
    return fd;
  }
  return io_error("cannot make " + path, EEXIST);
}

Result<void> create_private_file(const std::string& path) {
  if (!make_file(path).valid()) return io_error("cannot make " + path, errno);
  return {};
}

std::ptrdiff_t read_at(int fd, std::uint64_t offset, char* out, std::size_t capacity) {
  std::size_t done = 0;
  while (done < capacity) {
    const ssize_t n = ::pread(fd, out + done, capacity - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<std::ptrdiff_t>(done);
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

std::string absolute_path(std::string_view path) {
  if (path.empty() || path.front() == '/') return std::string(path);
  std::error_code unknown;
  const std::filesystem::path here = std::filesystem::current_path(unknown);
  return unknown ? std::string(path) : here.string() + "/" + std::string(path);
}

int lock_range(int fd, LockKind kind, std::int64_t offset, std::int64_t length) {
  struct flock range = range_of(kind, offset, length);
  while (::fcntl(fd, F_OFD_SETLK, &range) != 0) {
    if (errno == EINTR) continue;
    return errno == EACCES ? EAGAIN : errno;
  }
  return 0;
}

LockKind lock_of_others(int fd, std::int64_t offset, std::int64_t length, int* os_errno) {
  struct flock range = range_of(LockKind::kExclusive, offset, length);
  *os_errno = 0;
  if (::fcntl(fd, F_OFD_GETLK, &range) != 0) {
    *os_errno = errno;
    return LockKind::kNone;
  }
  if (range.l_type == F_UNLCK) return LockKind::kNone;
  return range.l_type == F_RDLCK ? LockKind::kShared : LockKind::kExclusive;
}

ClosedInChild::ClosedInChild(int fd) {
  if (registered != 0 || fd < 0) return;
  for (std::size_t i = 0; i < kGuarded; ++i) {
    int free = 0;
    if (guarded[i].compare_exchange_strong(free, fd + 1)) {
      slot_ = static_cast<int>(i);
      return;
    }
  }
}

ClosedInChild::~ClosedInChild() {
  if (slot_ >= 0) guarded[static_cast<std::size_t>(slot_)].store(0);
}

}  // namespace satchel::core
