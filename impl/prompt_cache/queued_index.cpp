#include "prompt_cache/queued_index.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/complaint.hpp"
#include "core/library_thread.hpp"
#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/retry_pause.hpp"

namespace satchel::prompt_cache {
namespace {

using Steady = std::chrono::steady_clock;
using Written = IndexBackend::Written;

constexpr const char* kComponent = "prompt_cache.index";
constexpr std::size_t kBatchEntries = 1000;
constexpr auto kSettleInterval = std::chrono::seconds(1);
constexpr auto kForgetPatience = std::chrono::seconds(10);
constexpr auto kPauseAfterFailure = std::chrono::milliseconds(20);

// Commits that are known already and what the backend says of the rest.
std::optional<Entry> deepest_live(std::span<const PrefixHash> candidates,
                                  const std::vector<PendingCommits::State>& states,
                                  const std::vector<Entry>& found, std::int64_t now) {
  auto state = states.begin();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const bool has_state = state != states.end() && state->position == i;
    const PendingState* pending = has_state ? &(state++)->state : nullptr;
    std::optional<Entry> entry;
    if (pending != nullptr && pending->entry) {
      entry = pending->entry;
    } else {
      const auto match = std::find_if(found.begin(), found.end(),
                                      [&](const Entry& one) { return one.hash == candidates[i]; });
      if (match != found.end()) entry = *match;
      if (entry && pending != nullptr && pending->refreshed_to) {
        entry->expires_at = *pending->refreshed_to;
      }
    }
    if (entry && now < entry->expires_at) return entry;
  }
  return std::nullopt;
}

class QueuedIndex final : public Index {
 public:
  QueuedIndex(std::unique_ptr<IndexBackend> backend, const QueuedIndexOptions& options,
              core::Clock& clock, core::Log& log)
      : backend_(std::move(backend)),
        commit_deadline_(options.commit_deadline_ns),
        sweep_interval_(options.sweep_interval_ns),
        log_(log),
        pending_(options.max_waiting_entries),
        lookup_trouble_(kComponent, clock, log),
        crowded_(kComponent, clock, log),
        write_trouble_(kComponent, clock, log),
        queue_full_(kComponent, clock, log),
        overdue_(kComponent, clock, log),
        sweep_trouble_(kComponent, clock, log),
        next_write_(Steady::now()),
        next_settle_(next_write_ + kSettleInterval),
        next_sweep_(next_write_ + sweep_interval_) {
    const core::SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  }

  ~QueuedIndex() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      stop_at_ = Steady::now() + commit_deadline_;
    }
    wake_.notify_all();
    thread_.join();
  }

  core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                            std::span<const PrefixHash> candidates,
                                            std::int64_t now) override {
    lookups_.fetch_add(1, std::memory_order_relaxed);
    if (candidates.empty()) return std::optional<Entry>();
    // Before the backend is asked: what is written in between is then found there.
    std::vector<PendingCommits::State> states;
    if (pending_.any()) pending_.states(scope_id(scope), candidates, states);
    const bool refreshed = std::any_of(states.begin(), states.end(), [](const auto& known) {
      return known.state.refreshed_to.has_value();
    });
    const std::int64_t live_after = refreshed ? std::numeric_limits<std::int64_t>::min() : now;
    core::Result<std::vector<Entry>> found = backend_->find(scope, candidates, live_after);
    if (!found) return failed_lookup(found.take_error());
    lookup_trouble_.over(backend_->name() + " answers again");
    std::optional<Entry> entry = deepest_live(candidates, states, *found, now);
    if (entry) hits_.fetch_add(1, std::memory_order_relaxed);
    return entry;
  }

  bool commit(Commit commit) override {
    if (commit.empty()) return true;
    const std::size_t size = commit.writes.size() + (commit.refresh ? 1 : 0);
    if (!pending_.add(std::move(commit))) {
      dropped_.fetch_add(size, std::memory_order_relaxed);
      queue_full_.say(backend_->name() + " falls behind: " + std::to_string(pending_.waiting()) +
                      " entries are waiting, more are dropped");
      return false;
    }
    wake();
    return true;
  }

  bool flush(std::int64_t timeout_ns) override {
    const auto until =
        Steady::now() + std::chrono::nanoseconds(std::max<std::int64_t>(timeout_ns, 0));
    if (!pending_.wait_until_done(timeout_ns)) return false;
    std::unique_lock lock(mutex_);
    const std::uint64_t wanted = ++settle_wanted_;
    wake_.notify_all();
    return settled_.wait_until(lock, until, [&] { return settle_done_ >= wanted; });
  }

  core::Result<void> forget() override {
    std::unique_lock lock(mutex_);
    const std::uint64_t wanted = ++forget_wanted_;
    wake_.notify_all();
    if (!forgotten_.wait_for(lock, kForgetPatience, [&] { return forget_done_ >= wanted; })) {
      return core::Error{core::Status::kBusy, backend_->name() + " is busy: not forgotten yet"};
    }
    return forget_result_;
  }

  IndexCounts counts() override {
    IndexCounts counts;
    counts.lookups = lookups_.load(std::memory_order_relaxed);
    counts.lookup_failures = lookup_failures_.load(std::memory_order_relaxed);
    counts.lookups_turned_away = turned_away_.load(std::memory_order_relaxed);
    counts.hits = hits_.load(std::memory_order_relaxed);
    counts.entries_written = written_.load(std::memory_order_relaxed);
    counts.entries_refreshed = refreshed_.load(std::memory_order_relaxed);
    counts.entries_dropped = dropped_.load(std::memory_order_relaxed);
    counts.entries_swept = swept_.load(std::memory_order_relaxed);
    counts.entries_waiting = pending_.waiting();
    counts.write_retries = retries_.load(std::memory_order_relaxed);
    return counts;
  }

 private:
  core::Error failed_lookup(core::Error error) {
    lookup_failures_.fetch_add(1, std::memory_order_relaxed);
    const bool busy = error.status == core::Status::kBusy;
    if (busy) turned_away_.fetch_add(1, std::memory_order_relaxed);
    error.message = backend_->name() + " cannot be asked: " + error.message;
    // Too many lookups are turned away among others that are answered: that has no end to be said.
    (busy ? crowded_ : lookup_trouble_).say(error.message + "; requests go on uncached");
    return error;
  }

  void wake() {
    { const std::lock_guard lock(mutex_); }  // the thread has either not looked yet, or waits
    wake_.notify_one();
  }

  // ------------------------------------------------------------------------------- the thread

  void run() {
    const core::LibraryThread library_thread;
    pthread_setname_np(pthread_self(), "satchel-index");
    bool running = true;
    while (running) {
      try {
        running = run_once();
      } catch (const std::exception& error) {
        // Out of memory: what could not be done is tried again, unless it is too late for that.
        log_.write(core::LogLevel::kError, kComponent,
                   backend_->name() + " failed: " + error.what());
        std::this_thread::sleep_for(kPauseAfterFailure);
        running = !stopping();
      }
    }
  }

  // False: the index goes, and nothing is left to do.
  bool run_once() {
    wait_for_work();
    const bool last_round = stopping();
    drop_overdue();
    forget_if_wanted();
    if (last_round) {
      finish();
      return false;
    }
    const Steady::time_point now = Steady::now();
    if (now >= next_write_) {
      if (pending_.any()) write_batch();
      settle(now);
    }
    if (now >= next_sweep_) sweep();
    return true;
  }

  void wait_for_work() {
    std::unique_lock lock(mutex_);
    while (!stopping_ && forget_wanted_ == forget_done_) {
      const bool wants_write = pending_.any() || settle_wanted_ > settle_done_;
      Steady::time_point until = std::min(next_sweep_, std::max(next_settle_, next_write_));
      if (wants_write) until = std::min(until, next_write_);
      if (Steady::now() >= until) return;
      wake_.wait_until(lock, until);
    }
  }

  void write_batch() {
    const std::vector<const PendingCommit*> batch = pending_.front(kBatchEntries);
    if (batch.empty()) return;
    Written written = backend_->write(batch);
    count(written);
    if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
    if (written.outcome == IndexBackend::Outcome::kRefused) {
      // One commit that is not taken must not take the others with it.
      if (batch.size() > 1) return write_one_by_one(batch);
      refuse(*batch.front(), written.why);
    } else {
      recovered();
    }
    pending_.pop(batch.size());
    if (!pending_.any()) queue_full_.over(backend_->name() + " has caught up");
  }

  void write_one_by_one(const std::vector<const PendingCommit*>& batch) {
    for (const PendingCommit* commit : batch) {
      Written written = backend_->write({&commit, 1});
      count(written);
      if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
      if (written.outcome == IndexBackend::Outcome::kRefused) refuse(*commit, written.why);
      pending_.pop(1);
    }
  }

  void count(const Written& written) {
    if (written.outcome != IndexBackend::Outcome::kDone) return;  // it will come again, or never
    written_.fetch_add(written.written, std::memory_order_relaxed);
    refreshed_.fetch_add(written.refreshed, std::memory_order_relaxed);
  }

  void again(const core::Error& why) {
    retries_.fetch_add(1, std::memory_order_relaxed);
    next_write_ = Steady::now() + retry_pause(failures_++);
    write_trouble_.say(backend_->name() + " cannot be written: " + why.message +
                       "; entries wait for their time, then are dropped");
  }

  void refuse(const PendingCommit& commit, const core::Error& why) {
    dropped_.fetch_add(commit.size(), std::memory_order_relaxed);
    write_trouble_.say(backend_->name() + " refuses entries: " + why.message);
  }

  void recovered() {
    failures_ = 0;
    write_trouble_.over(backend_->name() + " is written again");
  }

  void settle(Steady::time_point now) {
    std::uint64_t wanted = 0;
    {
      const std::lock_guard lock(mutex_);
      wanted = settle_wanted_;
      if (now < next_settle_ && wanted == settle_done_) return;
    }
    next_settle_ = now + kSettleInterval;
    Written written = backend_->settle(wanted != settle_done_);
    count(written);
    if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
    {
      const std::lock_guard lock(mutex_);
      settle_done_ = wanted;
    }
    settled_.notify_all();
  }

  void drop_overdue() {
    const std::size_t dropped = pending_.drop_older_than(Steady::now() - commit_deadline_);
    if (dropped == 0) return;
    dropped_.fetch_add(dropped, std::memory_order_relaxed);
    overdue_.say(backend_->name() + " dropped " + std::to_string(dropped) +
                 " entries: they could not be written in time");
  }

  // The last rounds: until nothing waits, or its time is over.
  void finish() {
    while (pending_.any() && Steady::now() < stop_at_) {
      if (Steady::now() < next_write_) {
        std::this_thread::sleep_until(std::min(next_write_, stop_at_));
        drop_overdue();
      }
      write_batch();
    }
    count(backend_->settle(true));
    const std::size_t left = pending_.drop_all();
    if (left > 0) {
      dropped_.fetch_add(left, std::memory_order_relaxed);
      log_.write(
          core::LogLevel::kWarn, kComponent,
          backend_->name() + " dropped " + std::to_string(left) + " entries when it was closed");
    }
  }

  void sweep() {
    const IndexBackend::Swept swept = backend_->sweep();
    next_sweep_ = Steady::now();
    if (!swept.rows || !swept.more) next_sweep_ += sweep_interval_;
    if (!swept.rows) {
      sweep_trouble_.say(backend_->name() + " cannot be swept: " + swept.rows.error().message);
      return;
    }
    swept_.fetch_add(*swept.rows, std::memory_order_relaxed);
    sweep_trouble_.over(backend_->name() + " is swept again");
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  void forget_if_wanted() {
    std::uint64_t wanted = 0;
    {
      const std::lock_guard lock(mutex_);
      wanted = forget_wanted_;
      if (wanted == forget_done_) return;
    }
    pending_.drop_all();
    core::Result<void> result = backend_->clear();
    {
      const std::lock_guard lock(mutex_);
      forget_done_ = wanted;
      forget_result_ = std::move(result);
    }
    forgotten_.notify_all();
  }

  const std::unique_ptr<IndexBackend> backend_;
  const std::chrono::nanoseconds commit_deadline_;
  const std::chrono::nanoseconds sweep_interval_;
  core::Log& log_;
  PendingCommits pending_;
  core::Complaint lookup_trouble_;
  core::Complaint crowded_;
  core::Complaint write_trouble_;
  core::Complaint queue_full_;
  core::Complaint overdue_;
  core::Complaint sweep_trouble_;

  std::mutex mutex_;  // of the thread's orders
  std::condition_variable wake_;
  std::condition_variable forgotten_;
  std::condition_variable settled_;
  bool stopping_ = false;
  Steady::time_point stop_at_;
  std::uint64_t forget_wanted_ = 0;
  std::uint64_t forget_done_ = 0;
  core::Result<void> forget_result_;
  std::uint64_t settle_wanted_ = 0;
  std::uint64_t settle_done_ = 0;

  // Of the thread alone.
  Steady::time_point next_write_;
  Steady::time_point next_settle_;
  Steady::time_point next_sweep_;
  std::size_t failures_ = 0;  // since something was written

  std::atomic<std::uint64_t> lookups_{0};
  std::atomic<std::uint64_t> lookup_failures_{0};
  std::atomic<std::uint64_t> turned_away_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> refreshed_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> swept_{0};
  std::atomic<std::uint64_t> retries_{0};

  std::thread thread_;
};

}  // namespace

std::shared_ptr<Index> make_queued_index(std::unique_ptr<IndexBackend> backend,
                                         const QueuedIndexOptions& options, core::Clock& clock,
                                         core::Log& log) {
  return std::make_shared<QueuedIndex>(std::move(backend), options, clock, log);
}

}  // namespace satchel::prompt_cache
