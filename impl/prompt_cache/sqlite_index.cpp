#include "prompt_cache/sqlite_index.hpp"

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): pthread_sigmask is POSIX

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/complaint.hpp"
#include "core/library_thread.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/sqlite_slot.hpp"
#include "prompt_cache/sqlite_store.hpp"

namespace satchel::prompt_cache {
namespace {

using Steady = std::chrono::steady_clock;

constexpr const char* kComponent = "prompt_cache.index";
constexpr std::int64_t kReaderPatienceNs = 50 * core::kNanosPerMilli;
constexpr auto kBusyPause = std::chrono::milliseconds(20);
// One transaction holds the write lock for some ten milliseconds at most.
constexpr std::size_t kBatchEntries = 1000;
constexpr std::int64_t kForgetPatienceNs = 10 * core::kNanosPerSecond;

class SqliteIndex final : public Index {
 public:
  SqliteIndex(const SqliteIndexOptions& options, core::Clock& clock, core::Log& log)
      : commit_deadline_(options.commit_deadline_ns),
        sweep_interval_(options.sweep_interval_ns),
        retry_interval_(options.retry_interval_ns),
        clock_(clock),
        log_(log),
        slot_(options.path, options.max_bytes, options.readers, options.retry_interval_ns, clock,
              log),
        name_("the index in " + slot_.files().directory()),
        pending_(options.max_waiting_entries),
        next_sweep_(Steady::now() + sweep_interval_) {
    // At once, so that the first lookup finds what another process wrote.
    slot_.open();
    const core::SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  }

  ~SqliteIndex() override {
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
    const ScopeId id = scope_id(scope);
    // Before the database: what is written in between is then seen there.
    std::vector<PendingCommits::State> states;
    if (pending_.any()) pending_.states(id, candidates, states);

    const std::shared_ptr<SqliteStore> store = slot_.get_in_place();
    if (store == nullptr) {
      wake();
      return failed_lookup(core::Status::kIo, "is not open: " + slot_.why_empty());
    }
    SqliteReader::Found found;
    {
      const SqliteStore::Lease reader = SqliteStore::borrow(store, kReaderPatienceNs);
      if (!reader) return failed_lookup(core::Status::kBusy, "has no connection free");
      found = reader->find(id, candidates, now, states);
    }
    if (found.failure.trouble == core::SqliteTrouble::kBusy) {
      return failed_lookup(core::Status::kBusy, "is busy: " + found.failure.message);
    }
    if (found.failure.failed()) {
      give_up(store, found.failure);
      return failed_lookup(core::Status::kIo, "cannot be read: " + found.failure.message);
    }
    if (found.entry) hits_.fetch_add(1, std::memory_order_relaxed);
    return found.entry;
  }

  bool commit(Commit commit) override {
    if (commit.empty()) return true;
    const std::size_t size = commit.writes.size() + (commit.refresh ? 1 : 0);
    if (!pending_.add(std::move(commit))) {
      dropped_.fetch_add(size, std::memory_order_relaxed);
      queue_full_.say(name_ + " falls behind: " + std::to_string(pending_.waiting()) +
                      " entries are waiting, more are dropped");
      return false;
    }
    wake();
    return true;
  }

  bool flush(std::int64_t timeout_ns) override { return pending_.wait_until_done(timeout_ns); }

  core::Result<void> forget() override {
    std::unique_lock lock(mutex_);
    const std::uint64_t wanted = ++forget_wanted_;
    wake_.notify_all();
    const bool done = forgotten_.wait_for(lock, std::chrono::nanoseconds(kForgetPatienceNs),
                                          [&] { return forget_done_ >= wanted; });
    if (!done) return core::Error{core::Status::kBusy, name_ + " is busy: not forgotten yet"};
    if (!forget_failure_.failed()) return {};
    return core::Error{core::Status::kIo, name_ + " cannot forget: " + forget_failure_.message};
  }

  IndexCounts counts() override {
    IndexCounts counts;
    counts.lookups = lookups_.load(std::memory_order_relaxed);
    counts.lookup_failures = lookup_failures_.load(std::memory_order_relaxed);
    counts.hits = hits_.load(std::memory_order_relaxed);
    counts.entries_written = written_.load(std::memory_order_relaxed);
    counts.entries_refreshed = refreshed_.load(std::memory_order_relaxed);
    counts.entries_dropped = dropped_.load(std::memory_order_relaxed);
    counts.entries_swept = swept_.load(std::memory_order_relaxed);
    counts.entries_waiting = pending_.waiting();
    return counts;
  }

 private:
  core::Error failed_lookup(core::Status status, const std::string& message) {
    lookup_failures_.fetch_add(1, std::memory_order_relaxed);
    return {status, name_ + ' ' + message};
  }

  void give_up(const std::shared_ptr<SqliteStore>& store, const core::SqliteFailure& failure) {
    slot_.empty(store, failure);
    wake();
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
        log_.write(core::LogLevel::kError, kComponent, name_ + " failed: " + error.what());
        std::this_thread::sleep_for(kBusyPause);
        running = !stopping();
      }
    }
  }

  // False: the index goes, and nothing is left to do.
  bool run_once() {
    wait_for_work();
    const bool last_round = stopping();
    drop_overdue();
    slot_.complain();
    std::shared_ptr<SqliteStore> store = slot_.get();
    if (store == nullptr && (last_round || Steady::now() >= slot_.next_open())) {
      slot_.open();
      store = slot_.get();
    }
    forget_if_wanted(store);
    Written written = Written::kNothing;
    if (store != nullptr && (last_round || Steady::now() >= next_write_)) {
      written = write_batch(store);
    }
    if (last_round) return !finish(store, written);
    if (store != nullptr && Steady::now() >= next_sweep_) sweep(store);
    return true;
  }

  void wait_for_work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (stopping_ || forget_wanted_ > forget_done_) return;
      // An empty slot is filled in its time; what waits too long meanwhile is dropped then.
      const bool open = slot_.get() != nullptr;
      Steady::time_point until = open ? next_sweep_ : slot_.next_open();
      if (open && pending_.any()) until = std::min(until, next_write_);
      if (Steady::now() >= until) return;
      wake_.wait_until(lock, until);
    }
  }

  enum class Written : std::uint8_t { kBatch, kNothing, kBusy };

  Written write_batch(const std::shared_ptr<SqliteStore>& store) {
    const std::vector<const PendingCommit*> batch = pending_.front(kBatchEntries);
    if (batch.empty()) return Written::kNothing;
    // Looked at before, for it would be written to files that nobody reads; and after, for the same
    // reason: what went with its files is still in the queue.
    core::SqliteFailure failure = store->in_place();
    SqliteWriter::Written written;
    if (!failure.failed()) {
      written = store->writer().write(batch);
      failure = written.failure.failed() ? written.failure : store->in_place();
    }
    if (failure.failed()) return not_written(store, failure);
    written_.fetch_add(written.written, std::memory_order_relaxed);
    refreshed_.fetch_add(written.refreshed, std::memory_order_relaxed);
    swept_.fetch_add(written.evicted, std::memory_order_relaxed);
    pending_.pop(batch.size());
    next_write_ = Steady::now();
    refused_.over(name_ + " is written again");
    if (!pending_.any()) queue_full_.over(name_ + " has caught up");
    return Written::kBatch;
  }

  Written not_written(const std::shared_ptr<SqliteStore>& store,
                      const core::SqliteFailure& failure) {
    switch (failure.trouble) {
      case core::SqliteTrouble::kBusy:
        next_write_ = Steady::now() + kBusyPause;
        return Written::kBusy;
      case core::SqliteTrouble::kRefused:
        // What is there can still be read: a full disk is no reason to stop that.
        next_write_ = Steady::now() + retry_interval_;
        refused_.say(name_ + " cannot be written: " + failure.message +
                     "; entries wait for their time, then are dropped");
        return Written::kNothing;
      case core::SqliteTrouble::kNone:
      case core::SqliteTrouble::kDamaged:
      case core::SqliteTrouble::kReplaced:
      case core::SqliteTrouble::kForeign:
        break;
    }
    slot_.empty(store, failure);
    next_write_ = Steady::now();
    return Written::kNothing;
  }

  void drop_overdue() {
    const std::size_t dropped = pending_.drop_older_than(Steady::now() - commit_deadline_);
    if (dropped == 0) return;
    dropped_.fetch_add(dropped, std::memory_order_relaxed);
    overdue_.say(name_ + " dropped " + std::to_string(dropped) +
                 " entries: they could not be written in time");
  }

  // The last rounds: until nothing waits, or nothing that waits can be written.
  bool finish(const std::shared_ptr<SqliteStore>& store, Written written) {
    if (pending_.any() && written != Written::kNothing && Steady::now() < stop_at_) {
      if (written == Written::kBusy) std::this_thread::sleep_for(kBusyPause);
      return false;
    }
    const std::size_t left = pending_.drop_all();
    if (left > 0) {
      dropped_.fetch_add(left, std::memory_order_relaxed);
      log_.write(core::LogLevel::kWarn, kComponent,
                 name_ + " dropped " + std::to_string(left) + " entries when it was closed");
    }
    // So that the next process finds a short WAL, if nobody else is using it.
    if (store != nullptr && !store->in_place().failed()) store->writer().checkpoint(true);
    return true;
  }

  void sweep(const std::shared_ptr<SqliteStore>& store) {
    next_sweep_ = Steady::now() + sweep_interval_;
    SqliteWriter::Swept swept;
    swept.failure = store->in_place();
    const auto lock = slot_.files().lock(core::DatabaseLock::Purpose::kSweep, 0);
    if (!lock.ok() || lock.value() == nullptr) return;  // another process is at it
    swept.more = !swept.failure.failed();
    while (swept.more) {
      swept = store->writer().sweep(clock_.unix_ns());
      swept_.fetch_add(swept.rows, std::memory_order_relaxed);
      // Commits go first; the rest is swept right after them.
      if (swept.more && (pending_.any() || stopping())) {
        next_sweep_ = Steady::now();
        return;
      }
    }
    if (swept.failure.trouble == core::SqliteTrouble::kDamaged ||
        swept.failure.trouble == core::SqliteTrouble::kReplaced) {
      slot_.empty(store, swept.failure);
    }
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  void forget_if_wanted(const std::shared_ptr<SqliteStore>& store) {
    std::uint64_t wanted = 0;
    {
      const std::lock_guard lock(mutex_);
      wanted = forget_wanted_;
      if (wanted == forget_done_) return;
    }
    pending_.drop_all();
    const core::SqliteFailure failure = clear(store);
    {
      const std::lock_guard lock(mutex_);
      forget_done_ = wanted;
      forget_failure_ = failure;
    }
    forgotten_.notify_all();
  }

  core::SqliteFailure clear(const std::shared_ptr<SqliteStore>& store) {
    if (store == nullptr) return {core::SqliteTrouble::kRefused, slot_.why_empty()};
    const Steady::time_point last_try =
        Steady::now() + std::chrono::nanoseconds(kForgetPatienceNs / 2);
    core::SqliteFailure failure;
    for (;;) {
      failure = store->in_place();
      if (!failure.failed()) failure = store->writer().clear();
      if (failure.trouble != core::SqliteTrouble::kBusy || Steady::now() >= last_try) break;
      std::this_thread::sleep_for(kBusyPause);
    }
    if (failure.trouble == core::SqliteTrouble::kDamaged ||
        failure.trouble == core::SqliteTrouble::kReplaced) {
      slot_.empty(store, failure);
    }
    return failure;
  }

  const std::chrono::nanoseconds commit_deadline_;
  const std::chrono::nanoseconds sweep_interval_;
  const std::chrono::nanoseconds retry_interval_;
  core::Clock& clock_;
  core::Log& log_;
  SqliteSlot slot_;
  const std::string name_;
  PendingCommits pending_;
  core::Complaint refused_{kComponent, clock_, log_};
  core::Complaint queue_full_{kComponent, clock_, log_};
  core::Complaint overdue_{kComponent, clock_, log_};

  std::mutex mutex_;  // of the thread's orders
  std::condition_variable wake_;
  std::condition_variable forgotten_;
  bool stopping_ = false;
  Steady::time_point stop_at_;
  std::uint64_t forget_wanted_ = 0;
  std::uint64_t forget_done_ = 0;
  core::SqliteFailure forget_failure_;

  // Of the thread alone.
  Steady::time_point next_sweep_;
  Steady::time_point next_write_;

  std::atomic<std::uint64_t> lookups_{0};
  std::atomic<std::uint64_t> lookup_failures_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> refreshed_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> swept_{0};

  std::thread thread_;
};

}  // namespace

std::shared_ptr<Index> make_sqlite_index(const SqliteIndexOptions& options, core::Clock& clock,
                                         core::Log& log) {
  return std::make_shared<SqliteIndex>(options, clock, log);
}

}  // namespace satchel::prompt_cache
