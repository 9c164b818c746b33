// What commit() has taken and the index has not written yet: a bounded queue in the order of
// arrival, and over it the state in which each key will be, so that lookups see it at once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/index.hpp"

namespace satchel::prompt_cache {

struct PendingCommit {
  using Clock = std::chrono::steady_clock;

  Scope scope;
  ScopeId scope_id{};
  std::vector<Entry> writes;
  std::optional<Refresh> refresh;
  std::uint64_t number = 0;  // counts up from 1
  Clock::time_point taken_at;

  [[nodiscard]] std::size_t size() const { return writes.size() + (refresh ? 1 : 0); }
};

// What is pending for one key.
struct PendingState {
  std::optional<Entry> entry;                // written whole
  std::optional<std::int64_t> refreshed_to;  // of an entry that may or may not exist
  std::uint64_t last_commit = 0;

  // What becomes of what is stored under the key.
  [[nodiscard]] std::optional<Entry> over(std::optional<Entry> stored) const {
    if (entry) return entry;
    if (stored && refreshed_to) stored->expires_at = *refreshed_to;
    return stored;
  }
};

// All calls from any thread, but front(), pop() and drop_older_than() from one thread at a time.
class PendingCommits {
 public:
  explicit PendingCommits(std::size_t max_entries) : max_entries_(max_entries) {}

  // False: there is no room.
  bool add(Commit commit);

  [[nodiscard]] bool any() const { return waiting_.load(std::memory_order_acquire) != 0; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // The states of those candidates for which something is pending, by their position.
  struct State {
    std::size_t position;
    PendingState state;
  };
  void states(const ScopeId& scope, std::span<const PrefixHash> candidates,
              std::vector<State>& out) const;

  // The oldest commits, up to `max_entries` entries but at least one commit. They stay until pop().
  [[nodiscard]] std::vector<const PendingCommit*> front(std::size_t max_entries) const;
  // The oldest `count` commits are done with. Returns how many entries that were.
  std::size_t pop(std::size_t count);
  std::size_t drop_older_than(PendingCommit::Clock::time_point limit);
  std::size_t drop_all();

  // Waits until all that was taken before this call is done with.
  bool wait_until_done(std::int64_t timeout_ns) const;

  // Goes through states(); positions are asked for in ascending order.
  class Walk {
   public:
    explicit Walk(std::span<const State> states) : rest_(states) {}
    const PendingState* at(std::size_t position) {
      while (!rest_.empty() && rest_.front().position < position) rest_ = rest_.subspan(1);
      const bool here = !rest_.empty() && rest_.front().position == position;
      return here ? &rest_.front().state : nullptr;
    }

   private:
    std::span<const State> rest_;
  };

 private:
  void remember(const PendingCommit& commit);
  std::size_t pop_locked(std::size_t count);

  const std::size_t max_entries_;
  mutable std::mutex mutex_;
  mutable std::condition_variable done_;
  std::deque<PendingCommit> queue_;
  std::unordered_map<EntryKey, PendingState, EntryKeyHash> states_;
  std::uint64_t last_taken_ = 0;
  std::uint64_t last_done_ = 0;
  std::atomic<std::size_t> waiting_{0};  // entries
};

}  // namespace satchel::prompt_cache
