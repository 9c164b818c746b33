#include "tool_cache/writers.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>

namespace satchel::tool_cache {
namespace {

// The kernel grants a read lease only if no open file description can write to the file. A mapping
// keeps its description, and so does every write that is under way, direct and asynchronous ones
// too: all that could change the content without opening the file first is covered. Who opens it
// for writing while we hold the lease waits until we let go, a few instructions later. (With
// O_NONBLOCK it is told to come again.)
//
// It is for the file's owner, and for those with CAP_LEASE.
Writers ask_for_a_lease(int fd) {
  // The kernel would announce such a writer by SIGIO to the process, which ends it. To this thread,
  // by a signal that is ignored unless somebody wants it, it is harmless.
  const struct f_owner_ex thread { F_OWNER_TID, ::gettid() };
  if (::fcntl(fd, F_SETOWN_EX, &thread) != 0 || ::fcntl(fd, F_SETSIG, SIGURG) != 0) {
    return Writers::kUnknown;
  }
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return Writers::kNone;
  }
  return errno == EAGAIN ? Writers::kSome : Writers::kUnknown;
}

// Whether the overlay that the file is on ignores fsync: the mount option `volatile`, which newer
// kernels print as fsync=volatile. True where that is not known, or a path in the line sounds like
// it.
bool ignores_fsync(int fd) {
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0 ||
      (status.stx_mask & STATX_MNT_ID) == 0) {
    return true;
  }
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream words(line);
    std::uint64_t id = 0;
    if (words >> id && id == status.stx_mnt_id) {
      return line.find("volatile") != std::string::npos;
    }
  }
  return true;
}

// A mapping of a file on an overlay keeps the description of the file beneath and not the
// overlay's, so that a lease does not see it once its descriptor is closed. Writing the file's
// pages to the disk makes them read-only in every mapping: the next write through one faults, and
// stamps the file.
bool mappings_must_fault(int fd) { return !ignores_fsync(fd) && ::fdatasync(fd) == 0; }

}  // namespace

bool on_overlay(int fd) {
  struct statfs filesystem {};
  return ::fstatfs(fd, &filesystem) == 0 &&
         static_cast<std::uint32_t>(filesystem.f_type) == OVERLAYFS_SUPER_MAGIC;
}

Writers writers_of(int fd, bool may_wait) {
  const Writers writers = ask_for_a_lease(fd);
  if (writers != Writers::kNone || !on_overlay(fd)) return writers;
  if (!may_wait) return Writers::kSome;
  return mappings_must_fault(fd) ? Writers::kNone : Writers::kUnknown;
}

}  // namespace satchel::tool_cache
