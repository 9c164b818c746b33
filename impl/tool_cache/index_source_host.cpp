// A host's store as a source: hashes in the place of what stat says.
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "core/sha256.hpp"
#include "tool_cache/index_source.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

// 32 bytes of hash in the fields that are compared; sizes and times have to be told apart.
core::FileStamp stamp_of_hash(const core::Hash256& hash) {
  std::array<std::uint64_t, 4> words;
  std::memcpy(words.data(), hash.data(), sizeof words);
  core::FileStamp stamp;
  stamp.device = words[0];
  stamp.inode = words[1];
  stamp.mtime_ns = static_cast<std::int64_t>(words[2]);
  stamp.ctime_ns = static_cast<std::int64_t>(words[3]);
  return stamp;
}

class HostSource final : public IndexSource {
 public:
  HostSource(Store& store, core::Clock& clock) : store_(store), clock_(clock) {}

  std::string identity() override { return "host"; }

  core::Result<void> look(bool everything) override {
    const std::lock_guard lock(mutex_);
    std::map<Key, Entry> before = std::move(entries_);
    entries_.clear();
    const std::int64_t now = clock_.unix_ns();
    core::Result<void> seen = store_.iterate([&](const Key& key, const Meta& meta) {
      Entry entry;
      entry.stamp = stamp_of_hash(core::sha256(write_meta(meta)));
      entry.bytes = meta.bytes;
      const auto old = before.find(key);
      const bool same = old != before.end() && old->second.stamp == entry.stamp;
      entry.written_ns = same ? old->second.written_ns : now;
      if (!same || everything) entry.meta = std::make_shared<const Meta>(meta);
      if (same && entry.meta == nullptr) entry.meta = old->second.meta;
      entries_[key] = std::move(entry);
    });
    if (!seen) {
      entries_ = std::move(before);
      return seen;
    }
    restamp();
    return {};
  }

  void looked() override {
    const std::lock_guard lock(mutex_);
    for (auto& [key, entry] : entries_) entry.meta.reset();
  }

  std::optional<core::FileStamp> shard_stamp(int shard) override {
    const std::lock_guard lock(mutex_);
    return shards_[static_cast<std::size_t>(shard)];
  }

  core::Result<void> list_shard(int shard,
                                const std::function<void(const EntryFiles&)>& visit) override {
    const std::lock_guard lock(mutex_);
    Key from;
    from.bytes[0] = static_cast<std::uint8_t>(shard);
    for (auto at = entries_.lower_bound(from); at != entries_.end(); ++at) {
      if (shard_of(at->first) != shard) break;
      core::FileStamp payload;
      payload.size = at->second.bytes;
      payload.mtime_ns = at->second.written_ns;
      visit({at->first, payload, at->second.stamp});
    }
    return {};
  }

  core::Result<std::optional<StampedMeta>> read_meta(const Key& key) override {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::optional<StampedMeta>();
    if (found->second.meta == nullptr) {
      return core::Error{core::Status::kInternal, "a meta was asked for twice"};
    }
    return std::optional(StampedMeta{*found->second.meta, found->second.stamp});
  }

  std::optional<core::FileStamp> meta_stamp(const Key& key) override {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    return found->second.stamp;
  }

  std::int64_t now_ns() override { return 0; }
  bool settled(const core::FileStamp& /*stamp*/, std::int64_t /*now_ns*/) override { return true; }

 private:
  struct Entry {
    core::FileStamp stamp;
    std::uint64_t bytes = 0;
    std::int64_t written_ns = 0;
    std::shared_ptr<const Meta> meta;
  };

  void restamp() {
    std::array<std::string, kShards> said;
    for (const auto& [key, entry] : entries_) {
      std::string& text = said[key.bytes[0]];
      text.append(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size());
      const std::array<std::uint64_t, 2> words = {entry.stamp.device, entry.stamp.inode};
      text.append(reinterpret_cast<const char*>(words.data()), sizeof words);
    }
    for (std::size_t shard = 0; shard < said.size(); ++shard) {
      shards_[shard].reset();
      if (!said[shard].empty()) shards_[shard] = stamp_of_hash(core::sha256(said[shard]));
    }
  }

  Store& store_;
  core::Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::array<std::optional<core::FileStamp>, kShards> shards_;
};

}  // namespace

std::unique_ptr<IndexSource> host_source(Store& store, core::Clock& clock) {
  return std::make_unique<HostSource>(store, clock);
}

}  // namespace satchel::tool_cache
