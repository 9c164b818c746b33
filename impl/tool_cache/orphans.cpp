#include "tool_cache/orphans.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "tool_cache/file_store_staging.hpp"
#include "tool_cache/lease_records.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

class Sweep {
 public:
  Sweep(const std::string& root, KeyLocks& locks, std::int64_t min_age_ns)
      : root_(root), locks_(locks), min_age_ns_(min_age_ns) {}

  core::Result<std::uint64_t> run();

 private:
  core::Result<void> sweep_shard(int shard);
  core::Result<void> sweep_staging();
  core::Result<void> drop_half(int directory_fd, const Key& key);
  void drop_staged(int directory_fd, const std::string& name);
  void drop_reference_staged(int directory_fd, const std::string& name);

  // By the later of its times: a file may be made with an mtime of long ago.
  [[nodiscard]] bool is_old(const core::FileStamp& stamp) const {
    if (min_age_ns_ <= 0) return true;
    const std::int64_t changed = std::max(stamp.mtime_ns, stamp.ctime_ns);
    return changed <= core::system_clock().unix_ns() - min_age_ns_;
  }
  void remove(int directory_fd, const std::string& name) {
    if (::unlinkat(directory_fd, name.c_str(), 0) == 0) ++removed_;
  }

  const std::string& root_;
  KeyLocks& locks_;
  const std::int64_t min_age_ns_;
  std::uint64_t removed_ = 0;
};

// Under the lock of the key, for half of an entry is what a writer makes first.
core::Result<void> Sweep::drop_half(int directory_fd, const Key& key) {
  core::Result<KeyLocks::Held> lock = locks_.hold(key);
  if (!lock.ok()) return lock.take_error();
  const std::string names[] = {payload_name(key), meta_name(key)};
  const auto payload = core::stamp_of_itself(directory_fd, names[0].c_str());
  const auto meta = core::stamp_of_itself(directory_fd, names[1].c_str());
  if (payload.has_value() == meta.has_value()) return {};
  const core::FileStamp& left = payload ? *payload : *meta;
  if (S_ISREG(left.mode) && is_old(left)) remove(directory_fd, payload ? names[0] : names[1]);
  return {};
}

void Sweep::drop_staged(int directory_fd, const std::string& name) {
  const core::UniqueFd fd(
      ::openat(directory_fd, name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  const std::optional<core::FileStamp> stamp = fd.valid() ? core::stamp_of(fd.get()) : std::nullopt;
  if (!stamp || !S_ISREG(stamp->mode) || !is_old(*stamp)) return;
  if (staged_file_is_abandoned(fd.get())) remove(directory_fd, name);
}

void Sweep::drop_reference_staged(int directory_fd, const std::string& name) {
  const std::optional<core::FileStamp> stamp = core::stamp_of_itself(directory_fd, name.c_str());
  if (stamp && S_ISREG(stamp->mode) && is_old(*stamp)) remove(directory_fd, name);
}

core::Result<void> Sweep::sweep_shard(int shard) {
  core::Result<core::UniqueFd> fd = open_below(root_, shard_name(shard), Missing::kLeave);
  if (!fd.ok()) return fd.take_error();
  if (!fd->valid()) return {};
  std::unordered_map<Key, unsigned, KeyHash> halves;  // a bit for each file that is there
  std::vector<std::string> staged;
  const int problem = for_each_name(fd->get(), [&](const char* file) {
    const std::string_view name = file;
    for (const auto& [suffix, bit] : {std::pair(kPayloadSuffix, 1U), std::pair(kMetaSuffix, 2U)}) {
      if (!name.ends_with(suffix)) continue;
      const auto key = Key::of_name(name.substr(0, name.size() - suffix.size()));
      if (key && shard_of(*key) == shard) halves[*key] |= bit;
    }
    if (name.starts_with(kStagedPrefix) || name.starts_with(kReferencePrefix)) {
      staged.emplace_back(name);
    }
  });
  if (problem != 0) {
    return core::io_error("cannot read directory " + root_ + '/' + shard_name(shard), problem);
  }
  for (const std::string& name : staged) {
    name.starts_with(kStagedPrefix) ? drop_staged(fd->get(), name)
                                    : drop_reference_staged(fd->get(), name);
  }
  for (const auto& [key, bits] : halves) {
    if (bits == 3) continue;
    if (core::Result<void> dropped = drop_half(fd->get(), key); !dropped.ok()) return dropped;
  }
  return {};
}

core::Result<void> Sweep::sweep_staging() {
  core::Result<core::UniqueFd> fd = open_below(root_, kStagingDirectory, Missing::kLeave);
  if (!fd.ok()) return fd.take_error();
  if (!fd->valid()) return {};
  std::vector<std::string> names;
  const int problem = for_each_name(fd->get(), [&](const char* name) { names.emplace_back(name); });
  if (problem != 0) {
    return core::io_error("cannot read directory " + root_ + '/' + std::string(kStagingDirectory),
                          problem);
  }
  for (const std::string& name : names) drop_staged(fd->get(), name);
  return {};
}

// All that can be swept is, whatever stands in the way elsewhere.
core::Result<std::uint64_t> Sweep::run() {
  core::Result<void> first = sweep_staging();
  for (int shard = 0; shard < kShards; ++shard) {
    core::Result<void> swept = sweep_shard(shard);
    if (first.ok() && !swept.ok()) first = std::move(swept);
  }
  core::Result<std::uint64_t> records = LeaseRecords::sweep(root_);
  if (!records.ok()) return records.take_error();
  removed_ += *records;
  if (!first.ok()) return first.take_error();
  return removed_;
}

}  // namespace

core::Result<std::uint64_t> sweep_orphans(const std::string& root, KeyLocks& locks,
                                          std::int64_t min_age_ns) {
  return Sweep(root, locks, min_age_ns).run();
}

}  // namespace satchel::tool_cache
