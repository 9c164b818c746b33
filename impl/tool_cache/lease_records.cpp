#include "tool_cache/lease_records.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/file_stamp.hpp"
#include "core/sha256.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::string_view kDirectory = ".satchel/leases";
constexpr std::uint64_t kTokens = std::uint64_t{1} << 62;  // offsets in a file have 63 bits
constexpr int kAttempts = 16;

// Goes on while the machine sleeps: a lease is for as long as its owner said.
std::int64_t boottime_ns() {
  struct timespec time {};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return time.tv_sec * core::kNanosPerSecond + time.tv_nsec;
}

std::string boot_hex() {
  const core::ClockEpoch epoch = core::clock_epoch();
  return core::hex(epoch.boot.data(), epoch.boot.size());
}

core::Result<std::uint64_t> new_token() {
  std::uint64_t token = 0;
  if (::getrandom(&token, sizeof token, 0) != sizeof token) {
    return core::io_error("cannot make a token", errno);
  }
  return token % kTokens;
}

}  // namespace

// As text of a fixed length: 32 digits of boot, 16 of deadline, 16 of token.
struct LeaseRecords::Record {
  static constexpr std::size_t kLength = 32 + 1 + 16 + 1 + 16 + 1;
  std::string boot;
  std::uint64_t deadline_ns = 0;  // by CLOCK_BOOTTIME
  std::uint64_t token = 0;

  [[nodiscard]] std::string text() const {
    std::array<char, kLength + 1> line{};
    std::snprintf(line.data(), line.size(), "%.32s %016" PRIx64 " %016" PRIx64 "\n", boot.c_str(),
                  deadline_ns, token);
    return line.data();
  }
  // Nothing for what we do not write: garbage is nobody's lease.
  static std::optional<Record> parse(const std::string& text) {
    Record record;
    std::array<char, 33> boot{};
    if (text.size() != kLength ||
        std::sscanf(text.c_str(), "%32[0-9a-f] %16" SCNx64 " %16" SCNx64, boot.data(),
                    &record.deadline_ns, &record.token) != 3 ||
        record.token >= kTokens) {
      return std::nullopt;
    }
    record.boot = boot.data();
    return record;
  }
  // Deadlines of another boot are past.
  [[nodiscard]] bool is_past() const {
    return boot != boot_hex() || deadline_ns <= static_cast<std::uint64_t>(boottime_ns());
  }
};

LeaseRecords::LeaseRecords(const std::string& root)
    : root_(root), held_(root, std::string(kDirectory), "held"), locks_(root, "leases") {}

core::Result<core::UniqueFd> LeaseRecords::open_directory() {
  return open_below(root_, kDirectory, Missing::kMake);
}

core::Result<std::optional<LeaseRecords::Record>> LeaseRecords::read(int directory_fd,
                                                                     const Key& key) {
  core::Result<OpenedFile> file =
      open_file(directory_fd, key.hex(), root_ + '/' + std::string(kDirectory));
  if (!file.ok()) return file.take_error();
  if (!file->fd.valid()) return std::optional<Record>();
  std::string text(Record::kLength + 1, '\0');
  const std::ptrdiff_t n = core::read_at(file->fd.get(), 0, text.data(), text.size());
  if (n < 0) return core::io_error("cannot read the lease of " + key.hex(), errno);
  text.resize(static_cast<std::size_t>(n));
  return Record::parse(text);
}

// Seen from `held`, whose own leases do not count: what is this cache's is known in memory.
core::Result<bool> LeaseRecords::is_held(int directory_fd, const Key& key,
                                         const LockFile::Opened& held, bool past_deadline_too) {
  core::Result<std::optional<Record>> record = read(directory_fd, key);
  if (!record.ok()) return record.take_error();
  if (!*record || (!past_deadline_too && (*record)->is_past())) return false;
  int os_errno = 0;
  const auto offset = static_cast<std::int64_t>((*record)->token);
  const core::LockKind kind = core::lock_of_others(held.fd(), offset, 1, &os_errno);
  if (os_errno != 0) return core::io_error("cannot look at the locks of " + held_.path(), os_errno);
  return kind != core::LockKind::kNone;
}

core::Result<std::optional<LeaseRecords::Taken>> LeaseRecords::take(const Key& key,
                                                                    std::int64_t lease_ns) {
  core::Result<KeyLocks::Held> lock = locks_.hold(key);
  if (!lock.ok()) return lock.take_error();
  core::Result<core::UniqueFd> directory = open_directory();
  if (!directory.ok()) return directory.take_error();
  Taken taken;
  std::string text;
  int problem = EAGAIN;
  for (int i = 0; problem == EAGAIN && i < kAttempts; ++i) {
    core::Result<std::shared_ptr<LockFile::Opened>> file = held_.open();
    if (!file.ok()) return file.take_error();
    if (!held_.is_current(**file)) continue;  // removed by somebody: it is made anew
    core::Result<bool> others = is_held(directory->get(), key, **file, false);
    if (!others.ok()) return others.take_error();
    if (*others) return std::optional<Taken>();
    core::Result<std::uint64_t> token = new_token();
    if (!token.ok()) return token.take_error();
    taken = {std::move(*file), *token};
    text = Record{boot_hex(), static_cast<std::uint64_t>(boottime_ns() + lease_ns), *token}.text();
    problem = core::lock_range(taken.held->fd(), core::LockKind::kExclusive,
                               static_cast<std::int64_t>(taken.token), 1);
  }
  if (problem != 0) return core::io_error("cannot lock " + held_.path(), problem);
  // The token is locked before others can read it: who reads it finds its holder alive.
  const core::UniqueFd fd(::openat(directory->get(), key.hex().c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  problem = fd.valid() ? 0 : errno;
  if (problem == 0) {
    give_to_owner_of(directory->get(), fd.get());
    problem = core::write_all(fd.get(), text);
  }
  if (problem == 0) return std::optional<Taken>(std::move(taken));
  (void)core::lock_range(taken.held->fd(), core::LockKind::kNone,
                         static_cast<std::int64_t>(taken.token), 1);
  return disk_error("cannot write a lease in " + root_ + '/' + std::string(kDirectory), problem);
}

core::Result<bool> LeaseRecords::still_has(const Key& key, const Taken& taken) {
  core::Result<KeyLocks::Held> lock = locks_.hold(key);
  if (!lock.ok()) return lock.take_error();
  core::Result<core::UniqueFd> directory = open_directory();
  if (!directory.ok()) return directory.take_error();
  core::Result<std::optional<Record>> record = read(directory->get(), key);
  if (!record.ok()) return record.take_error();
  return *record && (*record)->token == taken.token;
}

void LeaseRecords::release(const Key& key, const Taken& taken) noexcept {
  try {
    const core::Result<KeyLocks::Held> lock = locks_.hold(key);
    core::Result<core::UniqueFd> directory = open_below(root_, kDirectory, Missing::kLeave);
    if (lock.ok() && directory.ok() && directory->valid()) {
      const core::Result<std::optional<Record>> record = read(directory->get(), key);
      if (record.ok() && *record && (*record)->token == taken.token) {
        ::unlinkat(directory->get(), key.hex().c_str(), 0);
      }
    }
  } catch (const std::bad_alloc&) {
    // It is released all the same.
  }
  // Where the record could not be removed it is a dead one's from here on.
  (void)core::lock_range(taken.held->fd(), core::LockKind::kNone,
                         static_cast<std::int64_t>(taken.token), 1);
}

core::Result<bool> LeaseRecords::is_free(const Key& key) {
  core::Result<KeyLocks::Held> lock = locks_.hold(key);
  if (!lock.ok()) return lock.take_error();
  core::Result<core::UniqueFd> directory = open_directory();
  if (!directory.ok()) return directory.take_error();
  core::Result<std::shared_ptr<LockFile::Opened>> held = held_.open();
  if (!held.ok()) return held.take_error();
  core::Result<bool> others = is_held(directory->get(), key, **held, false);
  if (!others.ok()) return others.take_error();
  return !*others;
}

core::Result<std::uint64_t> LeaseRecords::sweep(const std::string& root) {
  core::Result<core::UniqueFd> directory = open_below(root, kDirectory, Missing::kLeave);
  if (!directory.ok()) return directory.take_error();
  if (!directory->valid()) return std::uint64_t{0};
  std::vector<Key> keys;
  const int problem = for_each_name(directory->get(), [&](const char* name) {
    if (const std::optional<Key> key = Key::of_name(name)) keys.push_back(*key);
  });
  if (problem != 0) {
    return core::io_error("cannot read directory " + root + '/' + std::string(kDirectory), problem);
  }
  // With a description of its own, for which the leases of this process are another's too.
  LeaseRecords records(root);
  std::uint64_t removed = 0;
  for (const Key& key : keys) {
    core::Result<KeyLocks::Held> lock = records.locks_.hold(key);
    if (!lock.ok()) return lock.take_error();
    core::Result<std::shared_ptr<LockFile::Opened>> held = records.held_.open();
    if (!held.ok()) return held.take_error();
    const core::Result<bool> others = records.is_held(directory->get(), key, **held, true);
    if (!others.ok() || *others) continue;
    if (::unlinkat(directory->get(), key.hex().c_str(), 0) == 0) ++removed;
  }
  return removed;
}

}  // namespace satchel::tool_cache
