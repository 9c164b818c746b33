#include "tool_cache/shard_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "core/sha256.hpp"

namespace satchel::tool_cache {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

core::UniqueFd open_component(int parent, const char* name) {
  return core::UniqueFd(::openat(parent, name, kDirectoryFlags | O_NOFOLLOW));
}

core::Error not_a_directory(int parent, const char* name, const std::string& path, int os_errno) {
  struct stat status {};
  if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode)) {
    return {core::Status::kIo, path + " is a symbolic link, not followed", ELOOP};
  }
  return disk_error("cannot open directory " + path, os_errno);
}

// Makes `name` if it is missing, which another process may do at the same moment.
core::Result<core::UniqueFd> make_component(int parent, const char* name, const std::string& path) {
  const bool made = ::mkdirat(parent, name, 0700) == 0;
  if (!made && errno != EEXIST) return disk_error("cannot make directory " + path, errno);
  core::UniqueFd fd = open_component(parent, name);
  if (!fd.valid()) return not_a_directory(parent, name, path, errno);
  if (made) give_to_owner_of(parent, fd.get());
  return fd;
}

// With its links followed: it is what the host named.
core::Result<core::UniqueFd> open_root(const std::string& root, Missing missing) {
  core::UniqueFd fd(::open(root.c_str(), kDirectoryFlags));
  if (!fd.valid() && errno == ENOENT && missing == Missing::kMake) {
    if (core::Result<void> made = core::make_private_directory(root); !made.ok()) {
      return full_disk_told_apart(made.take_error());
    }
    fd = core::UniqueFd(::open(root.c_str(), kDirectoryFlags));
  }
  if (fd.valid() || (errno == ENOENT && missing == Missing::kLeave)) return fd;
  return disk_error("cannot open directory " + root, errno);
}

// Component by component. Not valid where one is missing and left so.
core::Result<core::UniqueFd> walk_below(const std::string& root, std::string_view below,
                                        Missing missing) {
  core::Result<core::UniqueFd> fd = open_root(root, missing);
  std::string path = root;
  while (fd.ok() && fd->valid() && !below.empty()) {
    const std::string name(below.substr(0, below.find('/')));
    below.remove_prefix(std::min(below.size(), name.size() + 1));
    path.append("/").append(name);
    core::UniqueFd next = open_component(fd->get(), name.c_str());
    if (next.valid() || (errno == ENOENT && missing == Missing::kLeave)) {
      fd = std::move(next);
    } else if (errno != ENOENT) {
      return not_a_directory(fd->get(), name.c_str(), path, errno);
    } else {
      fd = make_component(fd->get(), name.c_str(), path);
    }
  }
  return fd;
}

}  // namespace

std::string shard_name(int shard) {
  const auto byte = static_cast<std::uint8_t>(shard);
  return core::hex(&byte, 1);
}

std::string payload_name(const Key& key) { return key.hex().append(kPayloadSuffix); }

std::string meta_name(const Key& key) { return key.hex().append(kMetaSuffix); }

core::Error disk_error(const std::string& what, int os_errno) {
  return full_disk_told_apart(core::io_error(what, os_errno));
}

core::Error full_disk_told_apart(core::Error error) {
  if (error.os_errno == ENOSPC || error.os_errno == EDQUOT) error.status = core::Status::kNoSpace;
  return error;
}

core::Result<core::UniqueFd> open_below(const std::string& root, std::string_view below,
                                        Missing missing) {
  if (below.find('/') != std::string_view::npos) return walk_below(root, below, missing);
  const std::string path = root + '/' + std::string(below);
  core::UniqueFd fd = open_component(AT_FDCWD, path.c_str());
  if (fd.valid()) return fd;
  if (errno != ENOENT) return not_a_directory(AT_FDCWD, path.c_str(), path, errno);
  if (missing == Missing::kLeave) return fd;
  return walk_below(root, below, missing);
}

void give_to_owner_of(int directory_fd, int fd) {
  struct stat directory {};
  if (::geteuid() != 0 || ::fstat(directory_fd, &directory) != 0 || directory.st_uid == 0) return;
  // Where it is refused it is root's, as anything that root makes.
  if (::fchown(fd, directory.st_uid, directory.st_gid) != 0) errno = 0;
}

core::Result<OpenedFile> open_file(int directory_fd, const std::string& name,
                                   const std::string& directory) {
  // O_NONBLOCK: a FIFO must not make us wait for its writer.
  OpenedFile file;
  file.fd = core::UniqueFd(
      ::openat(directory_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  const std::string path = directory + '/' + name;
  if (!file.fd.valid()) {
    if (errno == ENOENT) return file;
    if (errno != ELOOP) return core::io_error("cannot open " + path, errno);
    return core::Error{core::Status::kIo, path + " is a symbolic link, not followed", ELOOP};
  }
  struct stat status {};
  if (::fstat(file.fd.get(), &status) != 0) return core::io_error("cannot stat " + path, errno);
  if (S_ISDIR(status.st_mode)) return core::io_error("cannot read " + path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    return core::Error{core::Status::kIo, path + " is not a regular file", EINVAL};
  }
  file.stamp = core::stamp_of(status);
  return file;
}

int for_each_name(int directory_fd, const std::function<void(const char* name)>& visit) {
  // A description of its own: the place in the directory belongs to it.
  const int own = ::openat(directory_fd, ".", kDirectoryFlags);
  if (own < 0) return errno;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(own), ::closedir);
  if (directory == nullptr) {
    const int os_errno = errno;
    ::close(own);
    return os_errno;
  }
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) return errno;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visit(entry->d_name);
  }
}

}  // namespace satchel::tool_cache
