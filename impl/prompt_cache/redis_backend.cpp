#include "prompt_cache/redis_backend.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "prompt_cache/redis_debts.hpp"
#include "prompt_cache/redis_entries.hpp"
#include "prompt_cache/redis_health.hpp"
#include "prompt_cache/redis_refreshes.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::size_t kBatch = 1000;
constexpr std::size_t kMaxReplyBytes = std::size_t{1} << 20;  // a thousand values take 50 KB
constexpr int kRounds = 20;                                   // of one settle()
// settle() comes once a second: what is due before the next time goes now.
constexpr std::int64_t kSettleInterval = core::kNanosPerSecond;
constexpr std::int64_t kWhateverItsExpiry = std::numeric_limits<std::int64_t>::min();

// What a batch of commits makes of each key.
struct Change {
  std::optional<Entry> entry;                // written whole
  std::optional<std::int64_t> refreshed_to;  // of whatever there is
};
using Changes = std::unordered_map<EntryKey, Change, EntryKeyHash>;

Changes changes_of(std::span<const PendingCommit* const> commits) {
  Changes changes;
  for (const PendingCommit* commit : commits) {
    for (const Entry& entry : commit->writes) {
      changes[{commit->scope_id, entry.hash}] = {entry, std::nullopt};
    }
    if (!commit->refresh) continue;
    Change& change = changes[{commit->scope_id, commit->refresh->hash}];
    if (change.entry) {
      change.entry->expires_at = commit->refresh->expires_at;
    } else {
      change.refreshed_to = commit->refresh->expires_at;
    }
  }
  return changes;
}

class RedisBackend final : public IndexBackend {
 public:
  RedisBackend(std::unique_ptr<core::Redis> redis, std::unique_ptr<IndexBackend> behind,
               const RedisBackendOptions& options, core::Clock& clock, core::Log& log)
      : behind_(std::move(behind)),
        redis_(std::move(redis), clock),
        clock_(clock),
        name_(behind_->name() + " behind " + redis_.name()),
        debts_(options.max_debts),
        refreshes_(std::max<std::int64_t>(options.refresh_interval_ns - kSettleInterval, 0),
                   options.max_refreshes),
        reading_(clock, log),
        writing_(clock, log),
        refreshing_("prompt_cache.index", clock, log) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

  core::Result<std::vector<Entry>> find(const Scope& scope, std::span<const PrefixHash> candidates,
                                        std::int64_t live_after) override {
    const ScopeId id = scope_id(scope);
    const std::int64_t now = live_after == kWhateverItsExpiry ? clock_.unix_ns() : live_after;
    std::optional<std::vector<Entry>> known = find_in_redis(id, candidates);
    const auto is_live = [&](const Entry& entry) { return now < entry.expires_at; };
    if (known && std::any_of(known->begin(), known->end(), is_live)) return std::move(*known);

    const std::vector<std::optional<std::int64_t>> refreshed = refreshes_.expiries(id, candidates);
    const bool any_refreshed = std::any_of(refreshed.begin(), refreshed.end(),
                                           [](const auto& expiry) { return expiry.has_value(); });
    std::optional<std::int64_t> stamp;
    if (known) stamp = *redis_.stamp_us(id);  // who answers a lookup has told its time
    auto found = behind_->find(scope, candidates, any_refreshed ? kWhateverItsExpiry : live_after);
    if (!found) return found;
    for (Entry& entry : *found) {
      const auto place = std::find(candidates.begin(), candidates.end(), entry.hash);
      if (place == candidates.end()) continue;
      const auto& expiry = refreshed[static_cast<std::size_t>(place - candidates.begin())];
      if (expiry) entry.expires_at = *expiry;
    }
    if (stamp) put(id, *found, now, *stamp);
    return found;
  }

  Written write(std::span<const PendingCommit* const> commits) override {
    std::uint64_t refreshed = 0;
    if (refreshes_.full()) {
      Written settled = settle_refreshes(true);
      if (settled.outcome == Outcome::kAgain) return settled;
      refreshed = settled.refreshed;
    }
    Written written = write_behind(commits);
    written.refreshed += refreshed;
    if (written.outcome != Outcome::kDone) return written;
    for (const PendingCommit* commit : commits) {
      for (const Entry& entry : commit->writes) refreshes_.forget({commit->scope_id, entry.hash});
      if (commit->refresh) refreshes_.add(commit->scope, commit->scope_id, *commit->refresh);
    }
    tell_redis(changes_of(commits));
    return written;
  }

  Written settle(bool all) override {
    Written written = settle_refreshes(all);
    pay_debts();
    reading_.settle(redis_.name() + " answers again");
    writing_.settle(redis_.name() + " takes entries again");
    return written;
  }

  Swept sweep() override { return behind_->sweep(); }

  core::Result<void> clear() override {
    core::Result<void> cleared = behind_->clear();
    if (!cleared) return cleared;
    refreshes_.forget_all();
    debts_.forget_all();
    redis_.distrust();
    core::Result<void> removed = redis_.remove_all();
    if (removed) return removed;
    core::Error error = removed.take_error();
    error.message = redis_.name() + " still has entries for other processes: " + error.message;
    return error;
  }

 private:
  // None: it does not answer.
  std::optional<std::vector<Entry>> find_in_redis(const ScopeId& id,
                                                  std::span<const PrefixHash> candidates) {
    // Before Redis is asked: a debt that is paid in between is then found there.
    const std::vector<bool> concerned = debts_.concern(id, candidates);
    core::Result<std::vector<Entry>> found = redis_.find(id, candidates);
    if (!found) {
      reading_.failed(redis_.name() + " cannot be asked: " + found.error().message +
                      "; the index behind it answers");
      return std::nullopt;
    }
    reading_.worked();
    // A deeper entry that Redis was not told of may be behind: none of what is shallower counts.
    const auto first = std::find(concerned.begin(), concerned.end(), true);
    const std::span<const PrefixHash> believed =
        candidates.first(static_cast<std::size_t>(first - concerned.begin()));
    std::erase_if(*found, [&](const Entry& entry) {
      return std::find(believed.begin(), believed.end(), entry.hash) == believed.end();
    });
    return std::move(*found);
  }

  void put(const ScopeId& id, const std::vector<Entry>& entries, std::int64_t now,
           std::int64_t stamp) {
    std::vector<RedisWrite> writes;
    for (const Entry& entry : entries) {
      if (now < entry.expires_at) writes.push_back({id, entry, stamp});
    }
    if (!writes.empty()) said(redis_.write(writes, nullptr));
  }

  // All but refreshes, which wait.
  Written write_behind(std::span<const PendingCommit* const> commits) {
    std::vector<PendingCommit> bare;
    bare.reserve(commits.size());  // they are pointed to
    std::vector<const PendingCommit*> wanted;
    for (const PendingCommit* commit : commits) {
      if (commit->writes.empty()) continue;
      if (commit->refresh) {
        bare.push_back(*commit);
        bare.back().refresh.reset();
        commit = &bare.back();
      }
      wanted.push_back(commit);
    }
    return wanted.empty() ? Written{} : behind_->write(wanted);
  }

  void tell_redis(const Changes& changes) {
    if (changes.empty()) return;
    const core::Result<std::int64_t> stamp = redis_.stamp_us(changes.begin()->first.scope);
    if (!stamp) {
      // It has been away since we began: what it will have by then was written without us.
      redis_.distrust();
      return not_told(stamp.error());
    }
    std::vector<std::pair<EntryKey, RedisDebt>> all;
    for (const auto& [key, change] : changes) {
      RedisDebt debt;
      debt.entry = change.entry;
      debt.expires_at = change.entry ? change.entry->expires_at : *change.refreshed_to;
      debt.stamp_us = *stamp;
      // The entry itself is still to be told: what Redis has is not the one to refresh.
      const bool later = !debt.entry && debts_.concern(key);
      if (later) {
        debts_.add(key, debt);
      } else {
        all.emplace_back(key, debt);
      }
    }
    const Keys untold = tell(all);
    for (const auto& [key, debt] : all) {
      if (!untold.contains(key)) {
        debts_.forget(key);
      } else if (!debts_.add(key, debt)) {
        redis_.distrust();
        return debts_.forget_all();
      }
    }
  }

  void pay_debts() {
    for (int round = 0; round < kRounds && debts_.any(); ++round) {
      const std::vector<std::pair<EntryKey, RedisDebt>> some = debts_.some(kBatch);
      const Keys untold = tell(some);
      for (const auto& [key, debt] : some) {
        if (!untold.contains(key)) debts_.forget(key);
      }
      if (!untold.empty()) return;
    }
  }

  using Keys = std::unordered_set<EntryKey, EntryKeyHash>;

  // Returns those that Redis may not know now.
  Keys tell(const std::vector<std::pair<EntryKey, RedisDebt>>& changes) {
    std::vector<RedisWrite> writes;
    std::vector<RedisSlide> slides;
    for (const auto& [key, change] : changes) {
      if (change.entry) {
        writes.push_back({key.scope, *change.entry, change.stamp_us});
      } else {
        slides.push_back({key, change.expires_at, change.stamp_us});
      }
    }
    std::vector<RedisWrite> unwritten;
    std::vector<RedisSlide> unslid;
    if (!writes.empty()) said(redis_.write(writes, &unwritten));
    if (!slides.empty()) said(redis_.slide(slides, &unslid));
    Keys untold;
    for (const RedisWrite& write : unwritten) untold.insert({write.scope, write.entry.hash});
    for (const RedisSlide& slide : unslid) untold.insert(slide.key);
    return untold;
  }

  void said(const core::Result<void>& done) {
    if (done) return writing_.worked();
    not_told(done.error());
  }
  void not_told(const core::Error& why) {
    writing_.failed(redis_.name() + " takes no entries: " + why.message +
                    "; the index behind it has them");
  }

  Written settle_refreshes(bool all) {
    Written sum;
    for (;;) {
      const std::vector<PendingCommit> due = refreshes_.due(all, kBatch);
      if (due.empty()) return sum;
      // One that had to wait beyond its own expiry, for a backend that was away, extends nothing
      // and would end what others have extended since.
      const std::int64_t now = clock_.unix_ns();
      std::vector<const PendingCommit*> commits;
      for (const PendingCommit& commit : due) {
        if (now < commit.refresh->expires_at) commits.push_back(&commit);
      }
      Written written = commits.empty() ? Written{} : behind_->write(commits);
      sum.refreshed += written.refreshed;
      sum.outcome = written.outcome;
      sum.why = written.why;
      if (written.outcome == Outcome::kAgain) return sum;
      if (written.outcome == Outcome::kRefused) {
        refreshing_.say(behind_->name() + " refuses refreshes: " + written.why.message);
      }
      refreshes_.done(due);
    }
  }

  const std::unique_ptr<IndexBackend> behind_;
  RedisEntries redis_;
  core::Clock& clock_;
  const std::string name_;
  RedisDebts debts_;
  RedisRefreshes refreshes_;
  RedisHealth reading_;
  RedisHealth writing_;
  core::Complaint refreshing_;
};

core::RedisOptions options_of(const RedisConfig& config) {
  core::RedisOptions options;
  options.urls = config.urls;
  options.cluster = config.cluster;
  options.limits.pool = static_cast<std::size_t>(config.pool);
  options.limits.timeout_ns = config.timeout_ms * core::kNanosPerMilli;
  options.limits.max_reply_bytes = kMaxReplyBytes;
  return options;
}

}  // namespace

core::Result<void> check_redis_config(const RedisConfig& config) {
  auto redis = core::Redis::make(options_of(config));
  if (!redis) return redis.take_error();
  return core::Ok{};
}

std::unique_ptr<IndexBackend> make_redis_backend(const RedisConfig& config,
                                                 std::unique_ptr<IndexBackend> behind,
                                                 core::Clock& clock, core::Log& log) {
  auto redis = core::Redis::make(options_of(config));
  if (!redis) {
    log.write(core::LogLevel::kError, "prompt_cache.index", redis.error().message);
    return behind;
  }
  RedisBackendOptions options;
  options.refresh_interval_ns = config.refresh_interval_ms * core::kNanosPerMilli;
  return make_redis_backend(std::move(*redis), std::move(behind), options, clock, log);
}

std::unique_ptr<IndexBackend> make_redis_backend(std::unique_ptr<core::Redis> redis,
                                                 std::unique_ptr<IndexBackend> behind,
                                                 const RedisBackendOptions& options,
                                                 core::Clock& clock, core::Log& log) {
  return std::make_unique<RedisBackend>(std::move(redis), std::move(behind), options, clock, log);
}

}  // namespace satchel::prompt_cache
