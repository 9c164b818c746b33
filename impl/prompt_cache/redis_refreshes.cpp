#include "prompt_cache/redis_refreshes.hpp"

namespace satchel::prompt_cache {

void RedisRefreshes::add(const Scope& scope, const ScopeId& id, const Refresh& refresh) {
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = waiting_.try_emplace({id, refresh.hash});
  if (is_new) {
    known->second.scope = scope;
    known->second.since = Steady::now();
  }
  known->second.expires_at = refresh.expires_at;
  count_.store(waiting_.size(), std::memory_order_relaxed);
}

void RedisRefreshes::forget(const EntryKey& key) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(key);
  count_.store(waiting_.size(), std::memory_order_relaxed);
}

void RedisRefreshes::forget_all() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  count_.store(0, std::memory_order_relaxed);
}

std::vector<std::optional<std::int64_t>> RedisRefreshes::expiries(
    const ScopeId& scope, std::span<const PrefixHash> candidates) const {
  std::vector<std::optional<std::int64_t>> found(candidates.size());
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto known = waiting_.find({scope, candidates[i]});
    if (known != waiting_.end()) found[i] = known->second.expires_at;
  }
  return found;
}

std::vector<PendingCommit> RedisRefreshes::due(bool all, std::size_t most) const {
  std::vector<PendingCommit> commits;
  const Steady::time_point limit = Steady::now() - wait_;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, waiting] : waiting_) {
    if (commits.size() == most) break;
    if (!all && waiting.since > limit) continue;
    PendingCommit& commit = commits.emplace_back();
    commit.scope = waiting.scope;
    commit.scope_id = key.scope;
    commit.refresh = Refresh{key.hash, waiting.expires_at};
    commit.taken_at = waiting.since;
  }
  return commits;
}

void RedisRefreshes::done(std::span<const PendingCommit> written) {
  const std::lock_guard lock(mutex_);
  for (const PendingCommit& commit : written) {
    const auto known = waiting_.find({commit.scope_id, commit.refresh->hash});
    if (known == waiting_.end()) continue;
    if (known->second.expires_at == commit.refresh->expires_at) {
      waiting_.erase(known);
    } else {
      known->second.since = Steady::now();
    }
  }
  count_.store(waiting_.size(), std::memory_order_relaxed);
}

}  // namespace satchel::prompt_cache
