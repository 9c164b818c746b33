// What PostgreSQL has taken and Redis could not be told: until it was, Redis is not believed where
// it speaks of these entries.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "prompt_cache/entry_key.hpp"

namespace satchel::prompt_cache {

struct RedisDebt {
  std::optional<Entry> entry;   // or only its expiry, of whatever is there
  std::int64_t expires_at = 0;  // also the entry's
  std::int64_t stamp_us = 0;
};

// Any thread.
class RedisDebts {
 public:
  explicit RedisDebts(std::size_t most) : most_(most) {}

  [[nodiscard]] bool any() const { return count_.load(std::memory_order_acquire) != 0; }
  [[nodiscard]] bool concern(const EntryKey& key) const;
  // For each candidate.
  [[nodiscard]] std::vector<bool> concern(const ScopeId& scope,
                                          std::span<const PrefixHash> candidates) const;

  // Over an older debt of the same key; an expiry is that of the entry that is owed. False: there
  // are too many.
  bool add(const EntryKey& key, const RedisDebt& debt);
  void forget(const EntryKey& key);
  void forget_all();

  // One that has expired stays too: what Redis still has under its key may live longer.
  [[nodiscard]] std::vector<std::pair<EntryKey, RedisDebt>> some(std::size_t most) const;

 private:
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<EntryKey, RedisDebt, EntryKeyHash> debts_;
  std::atomic<std::size_t> count_{0};
};

}  // namespace satchel::prompt_cache
