// Refreshes that Redis has seen and PostgreSQL has not: a prefix that is read many times within
// some seconds costs PostgreSQL one update.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/pending_commits.hpp"

namespace satchel::prompt_cache {

// Any thread; one at a time takes due() to done().
class RedisRefreshes {
 public:
  // `wait_ns`: how long the first refresh of an entry waits for others.
  RedisRefreshes(std::int64_t wait_ns, std::size_t most) : wait_(wait_ns), most_(most) {}

  // Whoever adds asks full() first, once for a batch.
  void add(const Scope& scope, const ScopeId& id, const Refresh& refresh);
  // The entry was written whole: older refreshes of it are void.
  void forget(const EntryKey& key);
  void forget_all();
  [[nodiscard]] bool full() const { return count_.load(std::memory_order_relaxed) >= most_; }

  // For each candidate.
  [[nodiscard]] std::vector<std::optional<std::int64_t>> expiries(
      const ScopeId& scope, std::span<const PrefixHash> candidates) const;

  // Those whose wait is over, or all, up to `most`. They stay until done(), unless they change.
  [[nodiscard]] std::vector<PendingCommit> due(bool all, std::size_t most) const;
  void done(std::span<const PendingCommit> written);

 private:
  using Steady = std::chrono::steady_clock;
  struct Waiting {
    Scope scope;
    std::int64_t expires_at = 0;
    Steady::time_point since;
  };

  const std::chrono::nanoseconds wait_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<EntryKey, Waiting, EntryKeyHash> waiting_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace satchel::prompt_cache
