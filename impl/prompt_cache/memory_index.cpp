#include "prompt_cache/memory_index.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "prompt_cache/entry_key.hpp"

namespace satchel::prompt_cache {
namespace {

struct Value {
  std::uint32_t tokens = 0;
  Tier tier = Tier::k5m;
  std::int64_t expires_at = 0;
};

// A part of the index under a lock of its own. Which entry expires soonest is known by a heap of
// (expiry, key). A refresh only adds to the heap; an item whose entry has another expiry by now is
// stale and skipped when it comes up, and the heap is made anew when most of it is stale.
class Shard {
 public:
  std::optional<Value> find(const EntryKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    return found->second;
  }

  // Returns how many entries had to go.
  std::size_t write(const EntryKey& key, const Value& value, std::size_t max_entries) {
    const std::lock_guard lock(mutex_);
    std::size_t evicted = 0;
    const auto found = entries_.find(key);
    if (found != entries_.end()) {
      found->second = value;
    } else {
      while (entries_.size() >= max_entries && drop_soonest()) ++evicted;
      entries_.emplace(key, value);
    }
    remember(key, value.expires_at);
    return evicted;
  }

  bool refresh(const EntryKey& key, std::int64_t expires_at) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    found->second.expires_at = expires_at;
    remember(key, expires_at);
    return true;
  }

  // Drops what has expired, if the last time was `interval` ago. A few at a time: the rest goes
  // with the next writes, so that no request pays for all.
  std::size_t sweep(std::int64_t unix_ns, std::int64_t monotonic_ns, std::int64_t interval) {
    constexpr std::size_t kMost = 64;
    const std::lock_guard lock(mutex_);
    if (monotonic_ns < next_sweep_ns_) return 0;
    std::size_t swept = 0;
    while (swept < kMost) {
      drop_stale();
      if (heap_.empty() || heap_.front().expires_at > unix_ns) {
        next_sweep_ns_ = monotonic_ns + interval;
        break;
      }
      drop_soonest();
      ++swept;
    }
    return swept;
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
    heap_.clear();
  }

 private:
  struct Expiry {
    std::int64_t expires_at;
    EntryKey key;
    friend bool operator>(const Expiry& a, const Expiry& b) { return a.expires_at > b.expires_at; }
  };
  static constexpr std::size_t kSmallHeap = 64;

  void remember(const EntryKey& key, std::int64_t expires_at) {
    if (heap_.size() >= kSmallHeap && heap_.size() >= 2 * entries_.size()) {
      heap_.clear();
      for (const auto& [each, value] : entries_) heap_.push_back({value.expires_at, each});
      std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
      return;
    }
    heap_.push_back({expires_at, key});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  void drop_stale() {
    while (!heap_.empty()) {
      const auto found = entries_.find(heap_.front().key);
      if (found != entries_.end() && found->second.expires_at == heap_.front().expires_at) return;
      pop();
    }
  }

  bool drop_soonest() {
    drop_stale();
    if (heap_.empty()) return false;
    entries_.erase(heap_.front().key);
    pop();
    return true;
  }

  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }

  mutable std::mutex mutex_;
  std::unordered_map<EntryKey, Value, EntryKeyHash> entries_;
  std::vector<Expiry> heap_;
  std::int64_t next_sweep_ns_ = 0;
};

class MemoryIndex final : public Index {
 public:
  MemoryIndex(const MemoryIndexOptions& options, core::Clock& clock)
      : clock_(clock),
        sweep_interval_ns_(options.sweep_interval_ns),
        shards_(shard_count(options.max_entries)),
        max_per_shard_(std::max<std::size_t>(options.max_entries / shards_.size(), 1)) {}

  core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                            std::span<const PrefixHash> candidates,
                                            std::int64_t now) override {
    lookups_.fetch_add(1, std::memory_order_relaxed);
    if (candidates.empty()) return std::optional<Entry>();
    EntryKey key{scope_id(scope), {}};
    for (const PrefixHash& candidate : candidates) {
      key.hash = candidate;
      const std::optional<Value> value = shard_of(key).find(key);
      if (!value || now >= value->expires_at) continue;
      hits_.fetch_add(1, std::memory_order_relaxed);
      return std::optional<Entry>(Entry{candidate, value->tokens, value->tier, value->expires_at});
    }
    return std::optional<Entry>();
  }

  bool commit(Commit commit) override {
    if (commit.empty()) return true;
    EntryKey key{scope_id(commit.scope), {}};
    const std::int64_t unix_ns = clock_.unix_ns();
    const std::int64_t monotonic_ns = clock_.monotonic_ns();
    std::size_t swept = 0;
    for (const Entry& entry : commit.writes) {
      key.hash = entry.hash;
      Shard& shard = shard_of(key);
      swept += shard.sweep(unix_ns, monotonic_ns, sweep_interval_ns_);
      swept += shard.write(key, {entry.cumulative_token_count, entry.tier, entry.expires_at},
                           max_per_shard_);
    }
    written_.fetch_add(commit.writes.size(), std::memory_order_relaxed);
    if (commit.refresh) {
      key.hash = commit.refresh->hash;
      if (shard_of(key).refresh(key, commit.refresh->expires_at)) {
        refreshed_.fetch_add(1, std::memory_order_relaxed);
      }
    }
    swept_.fetch_add(swept, std::memory_order_relaxed);
    return true;
  }

  bool flush(std::int64_t /*timeout_ns*/) override { return true; }

  core::Result<void> forget() override {
    for (Shard& shard : shards_) shard.clear();
    return {};
  }

  IndexCounts counts() override {
    IndexCounts counts;
    counts.lookups = lookups_.load(std::memory_order_relaxed);
    counts.hits = hits_.load(std::memory_order_relaxed);
    counts.entries_written = written_.load(std::memory_order_relaxed);
    counts.entries_refreshed = refreshed_.load(std::memory_order_relaxed);
    counts.entries_swept = swept_.load(std::memory_order_relaxed);
    return counts;
  }

 private:
  // Many shards for many threads, but one while the index is small, so that its bound is exact.
  static std::size_t shard_count(std::size_t max_entries) {
    return std::clamp<std::size_t>(max_entries / 1024, 1, 64);
  }

  // The high bits: a shard's own hash map goes by the low ones.
  Shard& shard_of(const EntryKey& key) { return shards_[(key.condensed() >> 32) % shards_.size()]; }

  core::Clock& clock_;
  const std::int64_t sweep_interval_ns_;
  std::vector<Shard> shards_;
  const std::size_t max_per_shard_;
  std::atomic<std::uint64_t> lookups_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> refreshed_{0};
  std::atomic<std::uint64_t> swept_{0};
};

}  // namespace

std::shared_ptr<Index> make_memory_index(const MemoryIndexOptions& options, core::Clock& clock,
                                         core::Log& /*log*/) {
  return std::make_shared<MemoryIndex>(options, clock);
}

}  // namespace satchel::prompt_cache
