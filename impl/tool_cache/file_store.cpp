#include "tool_cache/file_store.hpp"

#include <fcntl.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): realpath is POSIX

#include <algorithm>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "tool_cache/file_store_eviction.hpp"
#include "tool_cache/file_store_impl.hpp"
#include "tool_cache/orphans.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

// A root that is a link stays the directory that it is now: entries must not move to another one
// in the middle of an operation.
std::string resolved(const std::string& root) {
  if (core::file_facts(root).kind != core::FileKind::kSymlink) return root;
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(root.c_str(), nullptr), std::free);
  return real == nullptr ? root : real.get();
}

}  // namespace

core::Result<std::unique_ptr<FileStore>> FileStore::open(Options options, core::Log& log) {
  while (options.root.size() > 1 && options.root.back() == '/') options.root.pop_back();
  if (options.root.empty() || options.root.front() != '/') {
    return core::Error{core::Status::kArgument, "the store's directory must be an absolute path"};
  }
  options.root = resolved(options.root);
  if (core::Result<void> made = core::make_private_directory(options.root); !made.ok()) {
    return full_disk_told_apart(made.take_error());
  }
  return std::unique_ptr<FileStore>(new FileStore(std::make_unique<Impl>(std::move(options), log)));
}

FileStore::FileStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileStore::~FileStore() = default;

const std::string& FileStore::root() const { return impl_->options.root; }

core::Result<void> FileStore::persist(const Key& key, std::string_view payload, Meta meta) {
  core::Result<std::unique_ptr<PayloadWriter>> writer = impl_->begin(key);
  if (!writer.ok()) return writer.take_error();
  if (core::Result<void> written = (*writer)->write(payload); !written.ok()) return written;
  core::Result<std::shared_ptr<const Meta>> stored = (*writer)->commit(std::move(meta));
  if (!stored.ok()) return stored.take_error();
  return {};
}

core::Result<std::unique_ptr<PayloadWriter>> FileStore::begin(const Key& key) {
  return impl_->begin(key);
}

core::Result<Stored> FileStore::lookup(const Key& key) { return impl_->lookup(key); }

core::Result<bool> FileStore::remove(const Key& key) { return impl_->remove(key); }

bool FileStore::contains(const Key& key) {
  const Impl::Stamps now = impl_->stamps(key);
  return now.payload && now.meta;
}

core::Result<std::uint64_t> FileStore::total_bytes() { return count_bytes(root()); }

core::Result<std::vector<Key>> FileStore::evict_to_cap(std::uint64_t cap) {
  core::Result<std::uint64_t> total = total_bytes();
  if (!total.ok()) return total.take_error();
  std::vector<Key> removed;
  if (*total <= cap) return removed;
  core::Result<std::vector<EntryAge>> entries = entries_by_age(root());
  if (!entries.ok()) return entries.take_error();
  for (const EntryAge& entry : *entries) {
    if (*total <= cap) break;
    if (!remove(entry.key).ok()) continue;
    *total -= std::min(*total, entry.bytes);
    removed.push_back(entry.key);
  }
  return removed;
}

core::Result<void> FileStore::iterate(const std::function<void(const Key&, const Meta&)>& visit) {
  for (int shard = 0; shard < kShards; ++shard) {
    std::vector<Key> keys;
    core::Result<void> listed = list_shard(shard, [&](const EntryFiles& entry) {
      if (entry.meta) keys.push_back(entry.key);
    });
    if (!listed.ok()) return listed;
    for (const Key& key : keys) {
      const core::Result<std::optional<StampedMeta>> meta = read_meta_file(key);
      if (meta.ok() && *meta) visit(key, (*meta)->meta);
    }
  }
  return {};
}

std::optional<core::FileStamp> FileStore::shard_stamp(int shard) {
  const std::string path = root() + '/' + shard_name(shard);
  std::optional<core::FileStamp> stamp = core::stamp_of_itself(AT_FDCWD, path.c_str());
  if (stamp && !S_ISDIR(stamp->mode)) return std::nullopt;
  return stamp;
}

core::Result<void> FileStore::list_shard(int shard,
                                         const std::function<void(const EntryFiles&)>& visit) {
  core::Result<core::UniqueFd> fd = open_below(root(), shard_name(shard), Missing::kLeave);
  if (!fd.ok()) return fd.take_error();
  if (!fd->valid()) return {};
  std::unordered_map<Key, EntryFiles, KeyHash> entries;
  const int problem = for_each_name(fd->get(), [&](const char* file) {
    const std::string_view name = file;
    const bool payload = name.ends_with(kPayloadSuffix);
    if (!payload && !name.ends_with(kMetaSuffix)) return;
    const std::size_t suffix = payload ? kPayloadSuffix.size() : kMetaSuffix.size();
    const std::optional<Key> key = Key::of_name(name.substr(0, name.size() - suffix));
    // In another's shard no lookup finds it.
    if (!key || shard_of(*key) != shard) return;
    const std::optional<core::FileStamp> stamp = core::stamp_of_itself(fd->get(), file);
    if (!stamp) return;
    EntryFiles& entry = entries[*key];
    entry.key = *key;
    (payload ? entry.payload : entry.meta) = stamp;
  });
  if (problem != 0) {
    return core::io_error("cannot read directory " + root() + '/' + shard_name(shard), problem);
  }
  for (const auto& [key, entry] : entries) visit(entry);
  return {};
}

core::Result<std::optional<FileStore::StampedMeta>> FileStore::read_meta_file(const Key& key) {
  return impl_->read_meta_file(key);
}

std::optional<core::FileStamp> FileStore::meta_stamp(const Key& key) {
  return impl_->stamps(key).meta;
}

std::optional<core::FileStamp> FileStore::payload_stamp(const Key& key) {
  return impl_->stamps(key).payload;
}

core::Result<std::uint64_t> FileStore::sweep(std::int64_t min_age_ns) {
  return sweep_orphans(root(), impl_->locks, min_age_ns);
}

}  // namespace satchel::tool_cache
