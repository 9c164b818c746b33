#include "prompt_cache/redis_debts.hpp"

namespace satchel::prompt_cache {

bool RedisDebts::concern(const EntryKey& key) const {
  if (!any()) return false;
  const std::lock_guard lock(mutex_);
  return debts_.contains(key);
}

std::vector<bool> RedisDebts::concern(const ScopeId& scope,
                                      std::span<const PrefixHash> candidates) const {
  std::vector<bool> concerned(candidates.size());
  if (!any()) return concerned;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    concerned[i] = debts_.contains({scope, candidates[i]});
  }
  return concerned;
}

bool RedisDebts::add(const EntryKey& key, const RedisDebt& debt) {
  const std::lock_guard lock(mutex_);
  const auto known = debts_.find(key);
  if (known == debts_.end()) {
    if (debts_.size() >= most_) return false;
    debts_.emplace(key, debt);
  } else if (debt.entry) {
    known->second = debt;
  } else {
    known->second.expires_at = debt.expires_at;
    known->second.stamp_us = debt.stamp_us;
    if (known->second.entry) known->second.entry->expires_at = debt.expires_at;
  }
  count_.store(debts_.size(), std::memory_order_release);
  return true;
}

void RedisDebts::forget(const EntryKey& key) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  debts_.erase(key);
  count_.store(debts_.size(), std::memory_order_release);
}

void RedisDebts::forget_all() {
  const std::lock_guard lock(mutex_);
  debts_.clear();
  count_.store(0, std::memory_order_release);
}

std::vector<std::pair<EntryKey, RedisDebt>> RedisDebts::some(std::size_t most) const {
  std::vector<std::pair<EntryKey, RedisDebt>> found;
  if (!any()) return found;
  const std::lock_guard lock(mutex_);
  for (const auto& debt : debts_) {
    if (found.size() == most) break;
    found.push_back(debt);
  }
  return found;
}

}  // namespace satchel::prompt_cache
