#include "tool_cache/file_store_staging.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/sha256.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

constexpr int kAttempts = 100;

// Unlike any other's: processes of different containers may share a store, and their numbers.
std::string unique_name() {
  static std::atomic<std::uint64_t> next{0};
  std::array<std::uint8_t, 8> random{};
  if (::getrandom(random.data(), random.size(), GRND_NONBLOCK) < 0) random = {};
  return std::string(kStagedPrefix) + std::to_string(::getpid()) + '-' + std::to_string(next++) +
         '-' + core::hex(random.data(), random.size());
}

bool has_a_name(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

bool staged_file_is_abandoned(int fd) {
  return core::lock_range(fd, core::LockKind::kExclusive, 0, 1) == 0;
}

core::Result<std::unique_ptr<StagedFile>> StagedFile::make(
    std::shared_ptr<const StagingPlace> place) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string name = unique_name();
    core::UniqueFd fd(::openat(place->fd.get(), name.c_str(),
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.valid() && errno == EEXIST) continue;
    if (!fd.valid()) return disk_error("cannot make a file in " + place->path, errno);
    give_to_owner_of(place->fd.get(), fd.get());
    const int problem = core::lock_range(fd.get(), core::LockKind::kExclusive, 0, 1);
    // A sweep may have come between making and locking: it holds the lock, or has removed the file.
    if (problem == EAGAIN || (problem == 0 && !has_a_name(fd.get()))) continue;
    // Where there are no locks at all it goes without: sweeps find none to be abandoned.
    return std::unique_ptr<StagedFile>(
        new StagedFile(std::move(place), std::move(name), std::move(fd)));
  }
  return disk_error("cannot make a file in " + place->path, EEXIST);
}

StagedFile::StagedFile(std::shared_ptr<const StagingPlace> place, std::string name,
                       core::UniqueFd fd)
    : place_(std::move(place)), name_(std::move(name)), fd_(std::move(fd)), process_(::getpid()) {}

StagedFile::~StagedFile() {
  // A forked child has a copy of this, but the file is its parent's.
  if (named_ && ::getpid() == process_) ::unlinkat(place_->fd.get(), name_.c_str(), 0);
}

std::string StagedFile::path() const { return place_->path + '/' + name_; }

core::Result<void> StagedFile::write(std::string_view bytes) {
  const int problem = core::write_all(fd_.get(), bytes);
  if (problem != 0) return disk_error("cannot write " + path(), problem);
  return {};
}

bool StagedFile::may_rename_to(int directory_fd) const {
  return core::file_identity(directory_fd).device == core::file_identity(fd_.get()).device;
}

int StagedFile::rename_to(int directory_fd, const std::string& name) {
  if (::renameat(place_->fd.get(), name_.c_str(), directory_fd, name.c_str()) != 0) return errno;
  named_ = false;
  return 0;
}

core::Result<std::unique_ptr<StagedFile>> StagedFile::copy_to(
    std::shared_ptr<const StagingPlace> place) {
  core::Result<std::unique_ptr<StagedFile>> copy = make(std::move(place));
  std::vector<char> piece(1 << 20);
  for (std::uint64_t offset = 0; copy.ok();) {
    const std::ptrdiff_t n = core::read_at(fd_.get(), offset, piece.data(), piece.size());
    if (n < 0) return core::io_error("cannot read " + path(), errno);
    if (n == 0) break;
    core::Result<void> written = (*copy)->write({piece.data(), static_cast<std::size_t>(n)});
    if (!written.ok()) return written.take_error();
    offset += static_cast<std::uint64_t>(n);
  }
  return copy;
}

}  // namespace satchel::tool_cache
