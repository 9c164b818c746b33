// What the indexes share that take commits at once and write them behind: a bounded queue with a
// deadline, a thread of its own, the orders that thread is given, the counters, and what the log
// says of them. How a lookup is answered and when what is written is for the index that derives
// from it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/clock.hpp"
#include "core/complaint.hpp"
#include "core/log.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/thread_order.hpp"

namespace satchel::prompt_cache {

class WriteBehindIndex : public Index {
 public:
  bool commit(Commit commit) final;
  bool flush(std::int64_t timeout_ns) override { return pending_.wait_until_done(timeout_ns); }
  core::Result<void> forget() final;
  IndexCounts counts() final;

 protected:
  using Steady = std::chrono::steady_clock;
  static constexpr std::string_view kComponent = "prompt_cache.index";
  static constexpr std::size_t kBatchEntries = 1000;
  // forget() waits for so long.
  static constexpr std::chrono::seconds kForgetPatience{10};

  WriteBehindIndex(std::int64_t commit_deadline_ns, std::size_t max_waiting_entries,
                   core::Clock& clock, core::Log& log);

  // What it is called in the log.
  [[nodiscard]] virtual const std::string& name() const = 0;

  // The last thing in the constructor and the first in the destructor of the index: in between the
  // thread makes the calls below. When it is stopped they have the commit deadline to write what
  // waits.
  void start_thread();
  void stop_thread();

  // When there is something to do next; asked again whenever the thread is woken, under the lock
  // that wake() takes.
  virtual Steady::time_point next_round() = 0;
  // Writes what waits, and whatever else is due. When the index goes (`last`) it is called until it
  // answers false: nothing is left to do.
  virtual bool round(bool last) = 0;
  // Drops every entry that is written.
  virtual core::Result<void> clear() = 0;

  // Any thread.
  void wake();
  bool stopping();

  // The thread's. What was written, and what never will be.
  void pop(std::size_t commits);
  void drop_the_rest();
  [[nodiscard]] Steady::time_point stop_at() const { return stop_at_; }

  struct Counters {
    std::atomic<std::uint64_t> lookups{0};
    std::atomic<std::uint64_t> lookup_failures{0};
    std::atomic<std::uint64_t> lookups_turned_away{0};
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> entries_written{0};
    std::atomic<std::uint64_t> entries_refreshed{0};
    std::atomic<std::uint64_t> entries_dropped{0};
    std::atomic<std::uint64_t> entries_swept{0};
    std::atomic<std::uint64_t> write_retries{0};
  };
  static void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) {
    counter.fetch_add(more, std::memory_order_relaxed);
  }

  core::Log& log_;
  PendingCommits pending_;
  Counters counters_;

 private:
  void run();
  bool run_once();
  void wait_for_work();
  void drop_overdue();
  void forget_if_wanted();

  const std::chrono::nanoseconds commit_deadline_;
  core::Complaint queue_full_;
  core::Complaint overdue_;
  ThreadOrder forget_order_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Steady::time_point stop_at_;  // set before `stopping_`
  std::thread thread_;
};

}  // namespace satchel::prompt_cache
