#include "prompt_cache/pending_commits.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace satchel::prompt_cache {

bool PendingCommits::add(Commit commit) {
  PendingCommit pending;
  pending.scope_id = scope_id(commit.scope);
  pending.scope = std::move(commit.scope);
  pending.writes = std::move(commit.writes);
  pending.refresh = commit.refresh;
  pending.taken_at = PendingCommit::Clock::now();

  const std::lock_guard lock(mutex_);
  const std::size_t waiting = waiting_.load(std::memory_order_relaxed);
  if (pending.size() > max_entries_ - std::min(max_entries_, waiting)) return false;
  pending.number = last_taken_ + 1;
  queue_.push_back(std::move(pending));
  ++last_taken_;
  waiting_.store(waiting + queue_.back().size(), std::memory_order_release);
  try {
    remember(queue_.back());
  } catch (const std::bad_alloc&) {
    // It is in the queue and will be written; until then some of it may not be seen.
  }
  return true;
}

void PendingCommits::remember(const PendingCommit& commit) {
  for (const Entry& entry : commit.writes) {
    states_[{commit.scope_id, entry.hash}] = {entry, std::nullopt, commit.number};
  }
  if (!commit.refresh) return;
  PendingState& state = states_[{commit.scope_id, commit.refresh->hash}];
  if (state.entry) {
    state.entry->expires_at = commit.refresh->expires_at;
  } else {
    state.refreshed_to = commit.refresh->expires_at;
  }
  state.last_commit = commit.number;
}

void PendingCommits::states(const ScopeId& scope, std::span<const PrefixHash> candidates,
                            std::vector<State>& out) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto found = states_.find({scope, candidates[i]});
    if (found != states_.end()) out.push_back({i, found->second});
  }
}

std::vector<const PendingCommit*> PendingCommits::front(std::size_t max_entries) const {
  const std::lock_guard lock(mutex_);
  std::vector<const PendingCommit*> batch;
  std::size_t entries = 0;
  // Elements of a deque stay where they are while others are added at its end.
  for (const PendingCommit& commit : queue_) {
    entries += commit.size();
    if (!batch.empty() && entries > max_entries) break;
    batch.push_back(&commit);
  }
  return batch;
}

std::size_t PendingCommits::pop(std::size_t count) {
  const std::lock_guard lock(mutex_);
  return pop_locked(count);
}

std::size_t PendingCommits::drop_older_than(PendingCommit::Clock::time_point limit) {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  while (count < queue_.size() && queue_[count].taken_at < limit) ++count;
  return pop_locked(count);
}

std::size_t PendingCommits::drop_all() {
  const std::lock_guard lock(mutex_);
  return pop_locked(queue_.size());
}

std::size_t PendingCommits::pop_locked(std::size_t count) {
  if (count == 0) return 0;
  std::size_t entries = 0;
  const auto forget = [this](const EntryKey& key, std::uint64_t number) {
    const auto found = states_.find(key);
    // A later commit may have something to say about the same key.
    if (found != states_.end() && found->second.last_commit == number) states_.erase(found);
  };
  for (; count > 0; --count) {
    const PendingCommit& commit = queue_.front();
    for (const Entry& entry : commit.writes) forget({commit.scope_id, entry.hash}, commit.number);
    if (commit.refresh) forget({commit.scope_id, commit.refresh->hash}, commit.number);
    entries += commit.size();
    last_done_ = commit.number;
    queue_.pop_front();
  }
  waiting_.fetch_sub(entries, std::memory_order_release);
  done_.notify_all();
  return entries;
}

bool PendingCommits::wait_until_done(std::int64_t timeout_ns) const {
  std::unique_lock lock(mutex_);
  const std::uint64_t last = last_taken_;
  return done_.wait_for(lock, std::chrono::nanoseconds(std::max<std::int64_t>(timeout_ns, 0)),
                        [&] { return last_done_ >= last; });
}

}  // namespace satchel::prompt_cache
