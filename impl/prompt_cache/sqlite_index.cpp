#include "prompt_cache/sqlite_index.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/complaint.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/sqlite_slot.hpp"
#include "prompt_cache/sqlite_store.hpp"
#include "prompt_cache/write_behind_index.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::int64_t kReaderPatienceNs = 50 * core::kNanosPerMilli;
constexpr auto kBusyPause = std::chrono::milliseconds(20);

// Not a backend of QueuedIndex, for a file fails in other ways than a server. A lookup may be the
// first to see it, the thread then opens the database again at once, and it alone speaks of it; who
// is in the way is gone within milliseconds; and closing does not wait for a disk that is full.
class SqliteIndex final : public WriteBehindIndex {
 public:
  SqliteIndex(const SqliteIndexOptions& options, core::Clock& clock, core::Log& log)
      : WriteBehindIndex(options.commit_deadline_ns, options.max_waiting_entries, clock, log),
        sweep_interval_(options.sweep_interval_ns),
        retry_interval_(options.retry_interval_ns),
        clock_(clock),
        slot_(options.path, options.max_bytes, options.readers, options.retry_interval_ns, clock,
              log),
        name_("the index in " + slot_.files().directory()),
        not_written_(kComponent, clock, log),
        next_sweep_(Steady::now() + sweep_interval_) {
    // At once, so that the first lookup finds what another process wrote.
    slot_.open();
    start_thread();
  }

  ~SqliteIndex() override { stop_thread(); }

  core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                            std::span<const PrefixHash> candidates,
                                            std::int64_t now) override {
    count(counters_.lookups);
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
      slot_.empty(store, found.failure);
      wake();
      return failed_lookup(core::Status::kIo, "cannot be read: " + found.failure.message);
    }
    if (found.entry) count(counters_.hits);
    return found.entry;
  }

 private:
  core::Error failed_lookup(core::Status status, const std::string& message) {
    count(counters_.lookup_failures);
    return {status, name_ + ' ' + message};
  }

  [[nodiscard]] const std::string& name() const override { return name_; }

  // ------------------------------------------------------------------------------- the thread

  Steady::time_point next_round() override {
    // An empty slot is filled in its time; what waits too long meanwhile is dropped then.
    if (slot_.get() == nullptr) return slot_.next_open();
    return pending_.any() ? std::min(next_sweep_, next_write_) : next_sweep_;
  }

  bool round(bool last) override {
    const std::shared_ptr<SqliteStore> store = opened(last);
    Written written = Written::kNothing;
    if (store != nullptr && (last || Steady::now() >= next_write_)) written = write_batch(store);
    if (last) return !finish(store, written);
    if (store != nullptr && Steady::now() >= next_sweep_) sweep(store);
    return true;
  }

  // What is in the slot, which is filled where that is due or there will be no later.
  std::shared_ptr<SqliteStore> opened(bool now) {
    slot_.complain();
    std::shared_ptr<SqliteStore> store = slot_.get();
    if (store != nullptr || (!now && Steady::now() < slot_.next_open())) return store;
    slot_.open();
    return slot_.get();
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
    count(counters_.entries_written, written.written);
    count(counters_.entries_refreshed, written.refreshed);
    count(counters_.entries_swept, written.evicted);
    pop(batch.size());
    next_write_ = Steady::now();
    not_written_.over(name_ + " is written again");
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
        not_written_.say(name_ + " cannot be written: " + failure.message +
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

  // The last rounds: until nothing waits, or nothing that waits can be written.
  bool finish(const std::shared_ptr<SqliteStore>& store, Written written) {
    if (pending_.any() && written != Written::kNothing && Steady::now() < stop_at()) {
      if (written == Written::kBusy) std::this_thread::sleep_for(kBusyPause);
      return false;
    }
    drop_the_rest();
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
      count(counters_.entries_swept, swept.rows);
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

  core::Result<void> clear() override {
    const core::SqliteFailure failure = try_to_clear();
    if (!failure.failed()) return core::Ok{};
    return core::Error{core::Status::kIo, name_ + " cannot forget: " + failure.message};
  }

  core::SqliteFailure try_to_clear() {
    const std::shared_ptr<SqliteStore> store = opened(stopping());
    if (store == nullptr) return {core::SqliteTrouble::kRefused, slot_.why_empty()};
    const Steady::time_point last_try = Steady::now() + kForgetPatience / 2;
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

  const std::chrono::nanoseconds sweep_interval_;
  const std::chrono::nanoseconds retry_interval_;
  core::Clock& clock_;
  SqliteSlot slot_;
  const std::string name_;
  core::Complaint not_written_;

  // Of the thread alone.
  Steady::time_point next_sweep_;
  Steady::time_point next_write_;
};

}  // namespace

std::shared_ptr<Index> make_sqlite_index(const SqliteIndexOptions& options, core::Clock& clock,
                                         core::Log& log) {
  return std::make_shared<SqliteIndex>(options, clock, log);
}

}  // namespace satchel::prompt_cache
