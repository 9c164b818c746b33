#include "prompt_cache/queued_index.hpp"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "index_conformance.hpp"
#include "prompt_cache/entry_key.hpp"

namespace satchel::prompt_cache {
namespace {

using Outcome = IndexBackend::Outcome;

// Entries in a map, and whatever trouble a test wants.
struct Shelf {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<ScopeId, PrefixHash>, Entry> entries;
  std::vector<std::int64_t> live_after;  // of each find
  std::vector<std::size_t> batches;      // commits in each write that was tried
  std::function<Outcome(const PendingCommit&)> judge = [](const PendingCommit&) {
    return Outcome::kDone;
  };
  bool find_fails = false;
  bool busy = false;
  bool held = false;  // write() waits
  int settled_all = 0;
  int sweeps = 0;

  void set(const std::function<void()>& change) {
    {
      const std::lock_guard lock(mutex);
      change();
    }
    changed.notify_all();
  }
  std::size_t size() {
    const std::lock_guard lock(mutex);
    return entries.size();
  }
  std::size_t tries() {
    const std::lock_guard lock(mutex);
    return batches.size();
  }
};

class ShelfBackend final : public IndexBackend {
 public:
  explicit ShelfBackend(std::shared_ptr<Shelf> shelf) : shelf_(std::move(shelf)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

  core::Result<std::vector<Entry>> find(const Scope& scope, std::span<const PrefixHash> candidates,
                                        std::int64_t live_after) override {
    const std::lock_guard lock(shelf_->mutex);
    if (shelf_->busy) return core::Error{core::Status::kBusy, "no connection"};
    if (shelf_->find_fails) return core::Error{core::Status::kIo, "gone"};
    shelf_->live_after.push_back(live_after);
    std::vector<Entry> found;
    for (const PrefixHash& hash : candidates) {
      const auto at = shelf_->entries.find({scope_id(scope), hash});
      if (at != shelf_->entries.end() && at->second.expires_at > live_after) {
        found.push_back(at->second);
      }
    }
    std::reverse(found.begin(), found.end());  // the order is nobody's promise
    return found;
  }

  Written write(std::span<const PendingCommit* const> commits) override {
    std::unique_lock lock(shelf_->mutex);
    shelf_->batches.push_back(commits.size());
    shelf_->changed.notify_all();
    shelf_->changed.wait(lock, [&] { return !shelf_->held; });
    Written written;
    for (const PendingCommit* commit : commits) {
      const Outcome outcome = shelf_->judge(*commit);
      if (outcome != Outcome::kDone) return {outcome, {core::Status::kIo, "not now"}, 0, 0};
    }
    for (const PendingCommit* commit : commits) {
      for (const Entry& entry : commit->writes) {
        shelf_->entries[{commit->scope_id, entry.hash}] = entry;
        ++written.written;
      }
      if (!commit->refresh) continue;
      const auto at = shelf_->entries.find({commit->scope_id, commit->refresh->hash});
      if (at == shelf_->entries.end()) continue;
      at->second.expires_at = commit->refresh->expires_at;
      ++written.refreshed;
    }
    return written;
  }

  Written settle(bool all) override {
    const std::lock_guard lock(shelf_->mutex);
    if (all) ++shelf_->settled_all;
    return {};
  }

  Swept sweep() override {
    const std::lock_guard lock(shelf_->mutex);
    ++shelf_->sweeps;
    return {std::uint64_t{3}, shelf_->sweeps < 3};
  }

  core::Result<void> clear() override {
    const std::lock_guard lock(shelf_->mutex);
    shelf_->entries.clear();
    return {};
  }

 private:
  const std::shared_ptr<Shelf> shelf_;
  const std::string name_ = "the shelf";
};

struct ShelfMaker {
  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    return make_queued_index(std::make_unique<ShelfBackend>(std::make_shared<Shelf>()), {}, clock,
                             log);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Queued, IndexConformance, ShelfMaker);

class QueuedIndexTest : public testing::Test {
 protected:
  void open(const QueuedIndexOptions& options = {}) {
    index_ = make_queued_index(std::make_unique<ShelfBackend>(shelf_), options, clock_, log_);
  }
  // From here on nothing is written; what is at hand already may have been.
  void hold() {
    shelf_->set([&] { shelf_->held = true; });
  }
  void let_go() {
    shelf_->set([&] { shelf_->held = false; });
  }
  IndexCounts counts() { return index_->counts(); }

  ManualClock clock_;
  CapturedLog log_;
  std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
  std::shared_ptr<Index> index_;
};

TEST_F(QueuedIndexTest, WhatWaitsIsSeenOverWhatIsThere) {
  open();
  index_->commit(writing({entry_number(1), entry_number(2, kStart + kSecond)}));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  hold();
  index_->commit(refreshing(hash_number(2), kStart + 100 * kSecond));
  index_->commit(writing({{hash_number(1), 7, Tier::k24h, kStart + kSecond}}));
  // Refreshed beyond what the shelf knows, so that it is asked for what is over, too.
  EXPECT_EQ(find(*index_, {hash_number(2)}, kStart + 50 * kSecond)->hash, hash_number(2));
  EXPECT_EQ(shelf_->live_after.back(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(find(*index_, {hash_number(1)})->cumulative_token_count, 7U);
  EXPECT_FALSE(find(*index_, {hash_number(1)}, kStart + kSecond));
  let_go();
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_EQ(find(*index_, {hash_number(2)}, kStart + 50 * kSecond)->hash, hash_number(2));
  EXPECT_EQ(shelf_->live_after.back(), kStart + 50 * kSecond);
}

TEST_F(QueuedIndexTest, AWriteThatFailsIsTriedAgainUntilItIsDone) {
  int failures = 2;
  shelf_->judge = [&](const PendingCommit&) {
    return failures-- > 0 ? Outcome::kAgain : Outcome::kDone;
  };
  open();
  index_->commit(writing({entry_number(1)}));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_EQ(shelf_->tries(), 3U);
  EXPECT_EQ(counts().write_retries, 2U);
  EXPECT_EQ(counts().entries_written, 1U);
  EXPECT_EQ(log_.count("the shelf cannot be written: not now"), 1U) << log_.all();
  EXPECT_EQ(log_.count("the shelf is written again"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, WhatCannotBeWrittenInTimeIsDropped) {
  shelf_->judge = [](const PendingCommit&) { return Outcome::kAgain; };
  open({.commit_deadline_ns = kSecond / 2});
  for (std::uint64_t n = 0; n < 5; ++n) index_->commit(writing({entry_number(n)}));
  ASSERT_TRUE(eventually([&] { return counts().entries_dropped == 5; }));
  EXPECT_EQ(counts().entries_waiting, 0U);
  EXPECT_FALSE(find(*index_, {hash_number(1)}));
  EXPECT_EQ(log_.count("cannot be written: not now"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, ACommitThatIsRefusedTakesNoOtherWithIt) {
  shelf_->judge = [](const PendingCommit& commit) {
    const bool refused = !commit.writes.empty() && commit.writes[0].hash == hash_number(7);
    return refused ? Outcome::kRefused : Outcome::kDone;
  };
  hold();
  open();
  // The first is being written while the others gather behind it.
  index_->commit(writing({entry_number(0)}));
  ASSERT_TRUE(eventually([&] { return shelf_->tries() == 1; }));
  for (std::uint64_t n = 1; n < 20; ++n) index_->commit(writing({entry_number(n)}));
  let_go();
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_EQ(shelf_->size(), 19U);
  EXPECT_EQ(counts().entries_written, 19U);
  EXPECT_EQ(counts().entries_dropped, 1U);
  EXPECT_EQ(counts().write_retries, 0U);
  EXPECT_EQ(log_.count("the shelf refuses entries"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, AFullQueueDropsWhatComesAndSaysSoOnce) {
  hold();
  open({.max_waiting_entries = 10});
  int taken = 0;
  for (std::uint64_t n = 0; n < 100; ++n)
    taken += index_->commit(writing({entry_number(n)})) ? 1 : 0;
  EXPECT_EQ(taken, 10);
  EXPECT_EQ(counts().entries_dropped, 90U);
  EXPECT_EQ(counts().entries_waiting, 10U);
  EXPECT_EQ(log_.count("falls behind"), 1U) << log_.all();
  let_go();
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_EQ(shelf_->size(), 10U);
  EXPECT_EQ(log_.count("has caught up"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, ALookupThatFailsIsNoMissAndIsSaidOnce) {
  open();
  shelf_->set([&] { shelf_->find_fails = true; });
  for (int i = 0; i < 50; ++i) {
    const std::vector<PrefixHash> candidates = {hash_number(1)};
    EXPECT_FALSE(index_->lookup(some_scope(), candidates, kStart).ok());
  }
  EXPECT_EQ(counts().lookup_failures, 50U);
  EXPECT_EQ(counts().lookups_turned_away, 0U);
  shelf_->set([&] {
    shelf_->find_fails = false;
    shelf_->busy = true;
  });
  const std::vector<PrefixHash> candidates = {hash_number(1)};
  const auto turned_away = index_->lookup(some_scope(), candidates, kStart);
  ASSERT_FALSE(turned_away.ok());
  EXPECT_EQ(turned_away.error().status, core::Status::kBusy);
  EXPECT_EQ(counts().lookups_turned_away, 1U);
  shelf_->set([&] { shelf_->busy = false; });
  EXPECT_FALSE(find(*index_, {hash_number(1)}));
  EXPECT_EQ(log_.count("the shelf cannot be asked: gone"), 1U) << log_.all();
  EXPECT_EQ(log_.count("the shelf answers again"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, ClosingWritesWhatWaits) {
  hold();
  open();
  for (std::uint64_t n = 0; n < 3000; ++n) index_->commit(writing({entry_number(n)}));
  let_go();
  index_.reset();
  EXPECT_EQ(shelf_->size(), 3000U);
  EXPECT_EQ(shelf_->settled_all, 1);
  EXPECT_EQ(log_.count("when it was closed"), 0U) << log_.all();
}

TEST_F(QueuedIndexTest, ClosingDropsWhatCannotBeWrittenInTime) {
  shelf_->judge = [](const PendingCommit&) { return Outcome::kAgain; };
  open({.commit_deadline_ns = kSecond / 5});
  index_->commit(writing({entry_number(1), entry_number(2)}));
  const auto began = std::chrono::steady_clock::now();
  index_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  EXPECT_EQ(shelf_->size(), 0U);
  EXPECT_EQ(log_.count("dropped 2 entries"), 1U) << log_.all();
}

TEST_F(QueuedIndexTest, FlushSettlesWhatTheBackendPutOff) {
  open();
  ASSERT_TRUE(index_->flush(60 * kSecond));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_EQ(shelf_->settled_all, 2);
}

TEST_F(QueuedIndexTest, SweepsGoOnWhileThereIsMore) {
  open({.sweep_interval_ns = kSecond / 20});
  ASSERT_TRUE(eventually([&] { return counts().entries_swept >= 12; }));
}

}  // namespace
}  // namespace satchel::prompt_cache
