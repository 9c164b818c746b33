#include "prompt_cache/queued_index.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/complaint.hpp"
#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/retry_pause.hpp"
#include "prompt_cache/thread_order.hpp"
#include "prompt_cache/write_behind_index.hpp"

namespace satchel::prompt_cache {
namespace {

using Written = IndexBackend::Written;

constexpr auto kSettleInterval = std::chrono::seconds(1);

// Commits that are known already and what the backend says of the rest.
std::optional<Entry> deepest_live(std::span<const PrefixHash> candidates,
                                  const std::vector<PendingCommits::State>& states,
                                  const std::vector<Entry>& found, std::int64_t now) {
  PendingCommits::Walk waiting(states);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    std::optional<Entry> entry;
    const auto match = std::find_if(found.begin(), found.end(),
                                    [&](const Entry& one) { return one.hash == candidates[i]; });
    if (match != found.end()) entry = *match;
    if (const PendingState* state = waiting.at(i)) entry = state->over(entry);
    if (entry && now < entry->expires_at) return entry;
  }
  return std::nullopt;
}

class QueuedIndex final : public WriteBehindIndex {
 public:
  QueuedIndex(std::unique_ptr<IndexBackend> backend, const QueuedIndexOptions& options,
              core::Clock& clock, core::Log& log)
      : WriteBehindIndex(options.commit_deadline_ns, options.max_waiting_entries, clock, log),
        backend_(std::move(backend)),
        sweep_interval_(options.sweep_interval_ns),
        lookup_trouble_(kComponent, clock, log),
        crowded_(kComponent, clock, log),
        write_trouble_(kComponent, clock, log),
        sweep_trouble_(kComponent, clock, log),
        next_write_(Steady::now()),
        next_settle_(next_write_ + kSettleInterval),
        next_sweep_(next_write_ + sweep_interval_) {
    start_thread();
  }

  ~QueuedIndex() override { stop_thread(); }

  core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                            std::span<const PrefixHash> candidates,
                                            std::int64_t now) override {
    count(counters_.lookups);
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
    lookup_trouble_.over(name() + " answers again");
    std::optional<Entry> entry = deepest_live(candidates, states, *found, now);
    if (entry) count(counters_.hits);
    return entry;
  }

  bool flush(std::int64_t timeout_ns) override {
    const auto until =
        Steady::now() + std::chrono::nanoseconds(std::max<std::int64_t>(timeout_ns, 0));
    if (!pending_.wait_until_done(timeout_ns)) return false;
    const std::uint64_t order = settle_order_.give();
    wake();
    return settle_order_.wait(order, until).has_value();
  }

 private:
  core::Error failed_lookup(core::Error error) {
    count(counters_.lookup_failures);
    const bool busy = error.status == core::Status::kBusy;
    if (busy) count(counters_.lookups_turned_away);
    error.message = name() + " cannot be asked: " + error.message;
    // Too many lookups are turned away among others that are answered: that has no end to be said.
    (busy ? crowded_ : lookup_trouble_).say(error.message + "; requests go on uncached");
    return error;
  }

  [[nodiscard]] const std::string& name() const override { return backend_->name(); }

  // ------------------------------------------------------------------------------- the thread

  Steady::time_point next_round() override {
    const bool wants_write = pending_.any() || settle_order_.wanted();
    const Steady::time_point until = std::min(next_sweep_, std::max(next_settle_, next_write_));
    return wants_write ? std::min(until, next_write_) : until;
  }

  bool round(bool last) override {
    if (last) return !finish();
    const Steady::time_point now = Steady::now();
    if (now >= next_write_) {
      if (pending_.any()) write_batch();
      settle(now);
    }
    if (now >= next_sweep_) sweep();
    return true;
  }

  void write_batch() {
    const std::vector<const PendingCommit*> batch = pending_.front(kBatchEntries);
    if (batch.empty()) return;
    Written written = backend_->write(batch);
    count_written(written);
    if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
    if (written.outcome == IndexBackend::Outcome::kRefused) {
      // One commit that is not taken must not take the others with it.
      if (batch.size() > 1) return write_one_by_one(batch);
      refuse(*batch.front(), written.why);
    } else {
      recovered();
    }
    pop(batch.size());
  }

  void write_one_by_one(const std::vector<const PendingCommit*>& batch) {
    for (const PendingCommit* commit : batch) {
      Written written = backend_->write({&commit, 1});
      count_written(written);
      if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
      if (written.outcome == IndexBackend::Outcome::kRefused) refuse(*commit, written.why);
      pop(1);
    }
  }

  void count_written(const Written& written) {
    if (written.outcome != IndexBackend::Outcome::kDone) return;  // it will come again, or never
    count(counters_.entries_written, written.written);
    count(counters_.entries_refreshed, written.refreshed);
  }

  void again(const core::Error& why) {
    count(counters_.write_retries);
    next_write_ = Steady::now() + retry_pause(failures_++);
    write_trouble_.say(name() + " cannot be written: " + why.message +
                       "; entries wait for their time, then are dropped");
  }

  void refuse(const PendingCommit& commit, const core::Error& why) {
    count(counters_.entries_dropped, commit.size());
    write_trouble_.say(name() + " refuses entries: " + why.message);
  }

  void recovered() {
    failures_ = 0;
    write_trouble_.over(name() + " is written again");
  }

  void settle(Steady::time_point now) {
    const std::optional<std::uint64_t> order = settle_order_.wanted();
    if (now < next_settle_ && !order) return;
    next_settle_ = now + kSettleInterval;
    Written written = backend_->settle(order.has_value());
    count_written(written);
    if (written.outcome == IndexBackend::Outcome::kAgain) return again(written.why);
    if (order) settle_order_.done(*order, core::Ok{});
  }

  // The last rounds: until nothing waits, or its time is over.
  bool finish() {
    if (pending_.any() && Steady::now() < stop_at()) {
      if (Steady::now() >= next_write_) {
        write_batch();
      } else {
        std::this_thread::sleep_until(std::min(next_write_, stop_at()));
      }
      return false;
    }
    count_written(backend_->settle(true));
    drop_the_rest();
    return true;
  }

  void sweep() {
    const IndexBackend::Swept swept = backend_->sweep();
    next_sweep_ = Steady::now();
    if (!swept.rows || !swept.more) next_sweep_ += sweep_interval_;
    if (!swept.rows) {
      sweep_trouble_.say(name() + " cannot be swept: " + swept.rows.error().message);
      return;
    }
    count(counters_.entries_swept, *swept.rows);
    sweep_trouble_.over(name() + " is swept again");
  }

  core::Result<void> clear() override { return backend_->clear(); }

  const std::unique_ptr<IndexBackend> backend_;
  const std::chrono::nanoseconds sweep_interval_;
  core::Complaint lookup_trouble_;
  core::Complaint crowded_;
  core::Complaint write_trouble_;
  core::Complaint sweep_trouble_;
  ThreadOrder settle_order_;

  // Of the thread alone.
  Steady::time_point next_write_;
  Steady::time_point next_settle_;
  Steady::time_point next_sweep_;
  std::size_t failures_ = 0;  // since something was written
};

}  // namespace

std::shared_ptr<Index> make_queued_index(std::unique_ptr<IndexBackend> backend,
                                         const QueuedIndexOptions& options, core::Clock& clock,
                                         core::Log& log) {
  return std::make_shared<QueuedIndex>(std::move(backend), options, clock, log);
}

}  // namespace satchel::prompt_cache
