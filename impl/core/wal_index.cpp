#include "core/wal_index.hpp"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace satchel::core {
namespace {

// The layout of walformat.html: two copies of the header, then the checkpoint's words, then page
// numbers and hash tables, in regions of 32 KiB.
constexpr std::size_t kRegionBytes = 32768;
constexpr std::size_t kHeaderCopyBytes = 48;
constexpr std::size_t kCheckpointBegin = 2 * kHeaderCopyBytes;
constexpr std::size_t kHeaderEnd = 136;
// Bytes 120 to 127 carry the locks and are never written; 128 is the "dead man switch": whoever
// has the file open holds it shared, and who finds nobody resets the file.
constexpr std::size_t kLockBytesBegin = 120;
constexpr std::size_t kLockBytesEnd = 128;
constexpr std::int64_t kDeadManSwitch = 128;
constexpr int kWriteLock = 0;
// A WAL of 4 million pages. Whoever wants more believes garbage.
constexpr std::size_t kMaxRegions = 1024;
// What SQLite cuts the file to: less than a header, and recognisable.
constexpr off_t kResetBytes = 3;

std::byte* bytes_of(const std::unique_ptr<std::uint64_t[]>& memory) {
  return reinterpret_cast<std::byte*>(memory.get());
}

bool read_exactly(int fd, std::byte* out, std::size_t count, std::uint64_t at) {
  while (count > 0) {
    const ssize_t got = ::pread(fd, out, count, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    at += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_exactly(int fd, const std::byte* from, std::size_t count, std::uint64_t at) {
  while (count > 0) {
    const ssize_t put = ::pwrite(fd, from, count, static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    at += static_cast<std::uint64_t>(put);
    count -= static_cast<std::size_t>(put);
  }
  return true;
}

std::uint32_t mask_of(int offset, int count) {
  return ((1U << static_cast<unsigned>(count)) - 1U) << static_cast<unsigned>(offset);
}

}  // namespace

std::optional<FileIdentity> WalIndex::identity() const {
  if (!file_.valid()) return std::nullopt;
  return file_identity(file_.get());
}

// Opens the file and joins those who use it, or finds that nobody does and resets it: its content
// may be from before a crash of the machine. The order - look first, then lock - is SQLite's: to
// take the shared lock where the exclusive one was refused could join a file whose owner died on
// the point of resetting it.
int WalIndex::attach() {
  Result<UniqueFd> opened = open_private_file(path_);
  if (!opened.ok()) return SQLITE_CANTOPEN;
  UniqueFd file = std::move(opened.value());
  int os_errno = 0;
  const LockKind others = lock_of_others(file.get(), kDeadManSwitch, 1, &os_errno);
  if (os_errno != 0) return SQLITE_IOERR_LOCK;
  if (others == LockKind::kExclusive) return SQLITE_BUSY;
  if (others == LockKind::kNone) {
    const int refused = lock_range(file.get(), LockKind::kExclusive, kDeadManSwitch, 1);
    if (refused != 0) return refused == EAGAIN ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
    if (::ftruncate(file.get(), kResetBytes) != 0) return SQLITE_IOERR_SHMOPEN;
  }
  const int refused = lock_range(file.get(), LockKind::kShared, kDeadManSwitch, 1);
  if (refused != 0) return refused == EAGAIN ? SQLITE_BUSY : SQLITE_IOERR_LOCK;
  file_ = std::move(file);
  closed_in_child_.emplace(file_.get());
  return SQLITE_OK;
}

// Zeros up to `bytes`, written rather than implied, so that a full disk says so here.
bool WalIndex::extend_to(std::uint64_t bytes) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return false;
  static constexpr std::array<std::byte, 4096> kZeros{};
  auto size = static_cast<std::uint64_t>(status.st_size);
  while (size < bytes) {
    const std::size_t count = std::min<std::uint64_t>(kZeros.size(), bytes - size);
    if (!write_exactly(file_.get(), kZeros.data(), count, size)) return false;
    size += count;
  }
  return true;
}

int WalIndex::add_region(bool extend, bool* added) {
  *added = false;
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return SQLITE_IOERR_SHMSIZE;
  const std::uint64_t needed = (regions_.size() + 1) * kRegionBytes;
  if (static_cast<std::uint64_t>(status.st_size) < needed) {
    if (!extend) return SQLITE_OK;
    if (!extend_to(needed)) return SQLITE_IOERR_SHMSIZE;
  }
  Region region;
  region.memory = std::make_unique<std::uint64_t[]>(kRegionBytes / 8);
  region.published = std::make_unique<std::uint64_t[]>(kRegionBytes / 8);
  regions_.push_back(std::move(region));
  if (!read_region(regions_.size() - 1)) {
    regions_.pop_back();
    return SQLITE_IOERR_SHMMAP;
  }
  *added = true;
  return SQLITE_OK;
}

// SQLite needs one more than there are, never two: it got the number from a header that somebody
// else wrote to, which it takes unchecked when it rolls back.
bool WalIndex::skips_regions(std::size_t region) const {
  struct stat status {};
  if (region <= regions_.size() || ::fstat(file_.get(), &status) != 0) return false;
  return static_cast<std::uint64_t>(status.st_size) < region * kRegionBytes;
}

int WalIndex::map(int region, int region_bytes, bool extend, void volatile** out) noexcept {
  *out = nullptr;
  if (broken_ || region < 0 || region_bytes != static_cast<int>(kRegionBytes)) {
    return SQLITE_IOERR_SHMMAP;
  }
  try {
    if (!file_.valid()) {
      const int rc = attach();
      if (rc != SQLITE_OK) return rc;
    }
    const auto index = static_cast<std::size_t>(region);
    if (index >= kMaxRegions || (extend && skips_regions(index))) {
      give_up();
      return SQLITE_IOERR_SHMMAP;
    }
    while (regions_.size() <= index) {
      bool added = false;
      const int rc = add_region(extend, &added);
      if (rc != SQLITE_OK) return rc;
      if (!added) return SQLITE_OK;  // and no memory: SQLite comes back with the write lock
    }
    *out = regions_[index].memory.get();
    return SQLITE_OK;
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

int WalIndex::lock(int offset, int count, int flags) noexcept {
  if (!file_.valid() || offset < 0 || count < 1 || offset + count > SQLITE_SHM_NLOCK) {
    return SQLITE_IOERR_SHMLOCK;
  }
  const std::uint32_t mask = mask_of(offset, count);
  const auto first = static_cast<std::int64_t>(kLockBytesBegin) + offset;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    if (((shared_ | exclusive_) & mask) == 0) return SQLITE_OK;
    if (!broken_ && (exclusive_ & mask) != 0 && !publish()) give_up();
    shared_ &= ~mask;
    exclusive_ &= ~mask;
    const int refused = lock_range(file_.get(), LockKind::kNone, first, count);
    return refused == 0 ? SQLITE_OK : SQLITE_IOERR_UNLOCK;
  }
  if (broken_) return SQLITE_IOERR_SHMLOCK;
  const bool shared = (flags & SQLITE_SHM_SHARED) != 0;
  if (shared && (shared_ & mask) != 0) return SQLITE_OK;
  // What is changed under the locks held so far must be out before this one is in.
  if (!publish()) {
    give_up();
    return SQLITE_IOERR_SHMLOCK;
  }
  const LockKind kind = shared ? LockKind::kShared : LockKind::kExclusive;
  const int refused = lock_range(file_.get(), kind, first, count);
  if (refused != 0) return refused == EAGAIN ? SQLITE_BUSY : SQLITE_IOERR_SHMLOCK;
  (shared ? shared_ : exclusive_) |= mask;
  // A shared lock guards nothing that is read before the barrier that follows it.
  if (shared || regions_.empty()) return SQLITE_OK;
  // A writer that died may have left entries beyond the header's last frame, and did not change
  // the header: who becomes the writer needs to see them, to clear them away.
  if (offset == kWriteLock ? reload_all() : reload_header()) return SQLITE_OK;
  give_up();
  exclusive_ &= ~mask;
  lock_range(file_.get(), LockKind::kNone, first, count);
  return SQLITE_IOERR_SHMLOCK;
}

void WalIndex::barrier() noexcept {
  if (broken_ || regions_.empty() || (shared_ | exclusive_) == 0) return;
  if (!publish() || !reload_header()) give_up();
}

void WalIndex::unmap() noexcept {
  closed_in_child_.reset();
  file_.reset();
  regions_.clear();
  shared_ = 0;
  exclusive_ = 0;
}

// A header of zeros is one that SQLite does not believe, so that what it has begun with the old one
// ends at the next comparison.
void WalIndex::give_up() {
  broken_ = true;
  if (!regions_.empty()) std::memset(regions_[0].memory.get(), 0, kHeaderEnd);
}

bool WalIndex::read_region(std::size_t region) {
  std::byte* published = bytes_of(regions_[region].published);
  if (!read_exactly(file_.get(), published, kRegionBytes, region * kRegionBytes)) return false;
  std::memcpy(regions_[region].memory.get(), published, kRegionBytes);
  return true;
}

// Page numbers and hash tables change with the header, so that they are read only when it did; the
// header is read first, so that they are never older than it.
bool WalIndex::reload_header() {
  std::array<std::byte, kHeaderEnd> header;
  if (!read_exactly(file_.get(), header.data(), header.size(), 0)) return false;
  const bool changed =
      std::memcmp(header.data(), regions_[0].published.get(), kCheckpointBegin) != 0;
  std::memcpy(regions_[0].published.get(), header.data(), header.size());
  std::memcpy(regions_[0].memory.get(), header.data(), header.size());
  if (!changed) return true;
  const std::size_t rest = kRegionBytes - kHeaderEnd;
  std::byte* published = bytes_of(regions_[0].published) + kHeaderEnd;
  if (!read_exactly(file_.get(), published, rest, kHeaderEnd)) return false;
  std::memcpy(bytes_of(regions_[0].memory) + kHeaderEnd, published, rest);
  for (std::size_t region = 1; region < regions_.size(); ++region) {
    if (!read_region(region)) return false;
  }
  return true;
}

bool WalIndex::reload_all() {
  for (std::size_t region = 0; region < regions_.size(); ++region) {
    if (!read_region(region)) return false;
  }
  return true;
}

// Writes what SQLite changed: page numbers and hash tables, the header's second copy, the
// checkpoint's words - one by one, for each belongs to another lock - and the header's first copy
// last of all. While the copies differ nobody believes the header, and whoever finds them so with
// the writer gone builds everything anew from the WAL; so it does not matter where in between a
// process dies. SQLite itself changes the words after the first copy, within a few instructions;
// here system calls lie between, and a killed process dies when it returns from one.
bool WalIndex::publish() {
  if (exclusive_ == 0 || regions_.empty()) return true;
  const bool writer = (exclusive_ & mask_of(kWriteLock, 1)) != 0;
  if (writer) {
    for (std::size_t region = regions_.size(); region-- > 0;) {
      if (!publish_body(region)) return false;
    }
    if (!publish_span(0, kHeaderCopyBytes, 2 * kHeaderCopyBytes)) return false;
  }
  for (std::size_t word = kCheckpointBegin; word < kHeaderEnd; word += 4) {
    if (word >= kLockBytesBegin && word < kLockBytesEnd) continue;
    if (!publish_span(0, word, word + 4)) return false;
  }
  return !writer || publish_span(0, 0, kHeaderCopyBytes);
}

// The changed stretch of a region behind the header, as one write. What lies between two changes
// belongs to the same lock and is written as it is.
bool WalIndex::publish_body(std::size_t region) {
  const std::uint64_t* memory = regions_[region].memory.get();
  const std::uint64_t* published = regions_[region].published.get();
  static_assert(kHeaderEnd % 8 == 0);
  std::size_t begin = region == 0 ? kHeaderEnd / 8 : 0;
  std::size_t end = kRegionBytes / 8;
  if (std::memcmp(memory + begin, published + begin, (end - begin) * 8) == 0) return true;
  while (memory[begin] == published[begin]) ++begin;
  while (memory[end - 1] == published[end - 1]) --end;
  return publish_span(region, begin * 8, end * 8);
}

bool WalIndex::publish_span(std::size_t region, std::size_t begin, std::size_t end) {
  const std::byte* memory = bytes_of(regions_[region].memory) + begin;
  std::byte* published = bytes_of(regions_[region].published) + begin;
  if (std::memcmp(memory, published, end - begin) == 0) return true;
  if (!write_exactly(file_.get(), memory, end - begin, region * kRegionBytes + begin)) return false;
  std::memcpy(published, memory, end - begin);
  return true;
}

}  // namespace satchel::core
