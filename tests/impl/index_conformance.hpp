// What every index promises, as one suite. An index joins by
//
//   struct MyMaker { std::shared_ptr<Index> make(core::Clock&, core::Log&); };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Mine, IndexConformance, MyMaker);
//
// where each maker gives independent indexes that are empty. A maker whose entries live in a table
// of a database may have a static `kMostTokens`, and `kTextOnly` where names must be text.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "index_fixture.hpp"

namespace satchel::prompt_cache {

template <class Maker>
class IndexConformance : public testing::Test {
 protected:
  void commit(Commit commit) { EXPECT_TRUE(index_->commit(std::move(commit))); }
  void flush() { EXPECT_TRUE(index_->flush(60 * kSecond)); }

  ManualClock clock_;
  CapturedLog log_;
  Maker maker_;
  std::shared_ptr<Index> index_ = maker_.make(clock_, log_);
};

TYPED_TEST_SUITE_P(IndexConformance);

TYPED_TEST_P(IndexConformance, WhatWasWrittenIsFoundWhole) {
  const Entry entry{hash_number(1), 123'456, Tier::k24h, kStart + 86'400 * kSecond};
  this->commit(writing({entry}));
  this->flush();
  const std::optional<Entry> found = find(*this->index_, {entry.hash});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->hash, entry.hash);
  EXPECT_EQ(found->cumulative_token_count, 123'456U);
  EXPECT_EQ(found->tier, Tier::k24h);
  EXPECT_EQ(found->expires_at, entry.expires_at);
}

TYPED_TEST_P(IndexConformance, ACommitIsSeenAsSoonAsItReturns) {
  for (std::uint64_t n = 0; n < 200; ++n) {
    this->commit(writing({entry_number(n)}));
    const std::optional<Entry> found = find(*this->index_, {hash_number(n)});
    ASSERT_TRUE(found) << n;
    ASSERT_EQ(found->cumulative_token_count, 1000 + n);
  }
}

TYPED_TEST_P(IndexConformance, OfSeveralLiveCandidatesTheFirstIsTheAnswer) {
  this->commit(writing({entry_number(3), entry_number(5), entry_number(7)}));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    std::vector<PrefixHash> candidates;
    for (std::uint64_t n = 9; n > 0; --n) candidates.push_back(hash_number(n));
    EXPECT_EQ(find(*this->index_, candidates)->hash, hash_number(7));
    candidates.erase(candidates.begin(), candidates.begin() + 3);  // 6 is the deepest now
    EXPECT_EQ(find(*this->index_, candidates)->hash, hash_number(5));
  }
}

TYPED_TEST_P(IndexConformance, WithoutCandidatesNothingIsFound) {
  this->commit(writing({entry_number(1)}));
  EXPECT_FALSE(find(*this->index_, {}));
}

TYPED_TEST_P(IndexConformance, AnEmptyIndexFindsNothing) {
  EXPECT_FALSE(find(*this->index_, {hash_number(1), hash_number(2)}));
}

TYPED_TEST_P(IndexConformance, EightyCandidatesAreLookedUpToTheLast) {
  this->commit(writing({entry_number(79)}));
  std::vector<PrefixHash> candidates;
  for (std::uint64_t n = 0; n < 80; ++n) candidates.push_back(hash_number(n));
  EXPECT_EQ(find(*this->index_, candidates)->hash, hash_number(79));
  this->flush();
  EXPECT_EQ(find(*this->index_, candidates)->hash, hash_number(79));
  candidates.pop_back();
  EXPECT_FALSE(find(*this->index_, candidates));
}

TYPED_TEST_P(IndexConformance, EntriesOfDifferentScopesNeverMeet) {
  std::vector<Scope> scopes = {
      {"org-1", "gpt-4o", "v1"},
      {"org-2", "gpt-4o", "v1"},
      {"org-1", "gpt-5", "v1"},
      {"org-1", "gpt-4o", "v2"},
      {"org-1gpt", "-4o", "v1"},
      {"", "org-1gpt-4o", "v1"},
      {"org-1", "gpt-4ov1", ""},
      {"", "", ""},
      {std::string("org-1\0", 6), "gpt-4o", "v1"},
      {std::string("\0", 1), "", ""},
  };
  if constexpr (!requires { TypeParam::kTextOnly; }) {
    scopes.push_back({"org-1", std::string("gpt\0-4o", 7), "v1"});
    scopes.push_back({"", std::string("\0", 1), ""});
  }
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    for (std::size_t other = 0; other < scopes.size(); ++other) {
      EXPECT_EQ(find(*this->index_, {hash_number(1)}, kStart, scopes[other]).has_value(),
                other < i);
    }
    Entry entry = entry_number(1);
    entry.cumulative_token_count = static_cast<std::uint32_t>(i);
    this->commit(writing({entry}, scopes[i]));
  }
  this->flush();
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    EXPECT_EQ(find(*this->index_, {hash_number(1)}, kStart, scopes[i])->cumulative_token_count, i);
  }
}

TYPED_TEST_P(IndexConformance, AnEntryLivesUntilTheNanosecondOfItsExpiry) {
  this->commit(writing({entry_number(1, kStart + 300 * kSecond)}));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    EXPECT_TRUE(find(*this->index_, {hash_number(1)}, kStart + 300 * kSecond - 1));
    EXPECT_FALSE(find(*this->index_, {hash_number(1)}, kStart + 300 * kSecond));
    EXPECT_FALSE(find(*this->index_, {hash_number(1)}, kStart + 300 * kSecond + 1));
  }
}

TYPED_TEST_P(IndexConformance, AnExpiredCandidateHidesNoLiveOneBehindIt) {
  this->commit(writing({entry_number(1, kStart + kSecond), entry_number(2)}));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    EXPECT_EQ(find(*this->index_, {hash_number(1), hash_number(2)})->hash, hash_number(1));
    EXPECT_EQ(find(*this->index_, {hash_number(1), hash_number(2)}, kStart + kSecond)->hash,
              hash_number(2));
  }
}

TYPED_TEST_P(IndexConformance, WritingAgainReplacesTokensTierAndExpiry) {
  this->commit(writing({{hash_number(1), 10, Tier::k5m, kStart + 300 * kSecond}}));
  this->flush();
  this->commit(writing({{hash_number(1), 20, Tier::k1h, kStart + 200 * kSecond}}));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    const std::optional<Entry> found = find(*this->index_, {hash_number(1)});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->cumulative_token_count, 20U);
    EXPECT_EQ(found->tier, Tier::k1h);
    EXPECT_EQ(found->expires_at, kStart + 200 * kSecond);
  }
}

TYPED_TEST_P(IndexConformance, ARefreshMovesTheExpiryAndNothingElse) {
  this->commit(writing({{hash_number(1), 10, Tier::k5m, kStart + 300 * kSecond}}));
  this->flush();
  this->commit(refreshing(hash_number(1), kStart + 500 * kSecond));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    const std::optional<Entry> found =
        find(*this->index_, {hash_number(1)}, kStart + 400 * kSecond);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->cumulative_token_count, 10U);
    EXPECT_EQ(found->tier, Tier::k5m);
    EXPECT_EQ(found->expires_at, kStart + 500 * kSecond);
    EXPECT_FALSE(find(*this->index_, {hash_number(1)}, kStart + 500 * kSecond));
  }
}

TYPED_TEST_P(IndexConformance, ARefreshToAnEarlierTimeShortensAsTheReferenceDoes) {
  this->commit(writing({entry_number(1, kStart + 300 * kSecond)}));
  this->flush();
  this->commit(refreshing(hash_number(1), kStart + 100 * kSecond));
  for (const bool written : {false, true}) {
    if (written) this->flush();
    EXPECT_FALSE(find(*this->index_, {hash_number(1)}, kStart + 100 * kSecond));
  }
}

TYPED_TEST_P(IndexConformance, ARefreshMakesNoEntryThatWasMissing) {
  this->commit(refreshing(hash_number(1), kStart + 500 * kSecond));
  EXPECT_FALSE(find(*this->index_, {hash_number(1)}));
  this->flush();
  EXPECT_FALSE(find(*this->index_, {hash_number(1)}));
  EXPECT_EQ(this->index_->counts().entries_refreshed, 0U);
}

TYPED_TEST_P(IndexConformance, ARefreshIsOfItsOwnScope) {
  this->commit(writing({entry_number(1, kStart + 300 * kSecond)}));
  this->commit(refreshing(hash_number(1), kStart + 500 * kSecond, {"org-2", "gpt-4o-mini", "v1"}));
  this->flush();
  EXPECT_FALSE(find(*this->index_, {hash_number(1)}, kStart + 300 * kSecond));
}

TYPED_TEST_P(IndexConformance, WritesAndRefreshOfOneCommitAreBothDone) {
  this->commit(writing({entry_number(1, kStart + 300 * kSecond)}));
  this->flush();
  Commit both = writing({entry_number(2), entry_number(3)});
  both.refresh = Refresh{hash_number(1), kStart + 500 * kSecond};
  this->commit(std::move(both));
  this->flush();
  EXPECT_TRUE(find(*this->index_, {hash_number(1)}, kStart + 400 * kSecond));
  EXPECT_TRUE(find(*this->index_, {hash_number(2)}));
  EXPECT_TRUE(find(*this->index_, {hash_number(3)}));
  const IndexCounts counts = this->index_->counts();
  EXPECT_EQ(counts.entries_written, 3U);
  EXPECT_EQ(counts.entries_refreshed, 1U);
  EXPECT_EQ(counts.entries_waiting, 0U);
  EXPECT_EQ(counts.entries_dropped, 0U);
}

TYPED_TEST_P(IndexConformance, CommitsOfOneKeyTakeEffectInTheirOrder) {
  for (std::uint32_t tokens = 1; tokens <= 100; ++tokens) {
    this->commit(writing({{hash_number(1), tokens, Tier::k5m, kStart + 300 * kSecond}}));
    this->commit(refreshing(hash_number(1), kStart + (300 + tokens) * kSecond));
    const std::optional<Entry> found = find(*this->index_, {hash_number(1)});
    ASSERT_TRUE(found);
    ASSERT_EQ(found->cumulative_token_count, tokens);
    ASSERT_EQ(found->expires_at, kStart + (300 + tokens) * kSecond);
  }
  this->flush();
  EXPECT_EQ(find(*this->index_, {hash_number(1)})->expires_at, kStart + 400 * kSecond);
}

TYPED_TEST_P(IndexConformance, AnEmptyCommitChangesNothing) {
  this->commit(writing({}));
  this->flush();
  EXPECT_EQ(this->index_->counts().entries_written, 0U);
}

TYPED_TEST_P(IndexConformance, ExtremeValuesComeBackAsTheyWere) {
  const Entry entry{hash_number(1), std::numeric_limits<std::uint32_t>::max(), Tier::k1h,
                    std::numeric_limits<std::int64_t>::max()};
  this->commit(writing({entry, {PrefixHash{}, 0, Tier::k5m, kStart + 1}}));
  this->flush();
  const std::optional<Entry> found = find(*this->index_, {entry.hash});
  ASSERT_TRUE(found);
  std::uint32_t tokens = entry.cumulative_token_count;
  if constexpr (requires { TypeParam::kMostTokens; }) tokens = TypeParam::kMostTokens;
  EXPECT_EQ(found->cumulative_token_count, tokens);
  EXPECT_EQ(found->expires_at, entry.expires_at);
  EXPECT_EQ(find(*this->index_, {PrefixHash{}})->cumulative_token_count, 0U);
}

TYPED_TEST_P(IndexConformance, ForgetDropsEveryEntryAndTheIndexGoesOn) {
  this->commit(writing({entry_number(1)}));
  this->flush();
  this->commit(writing({entry_number(2)}, {"org-2", "m", "v"}));
  ASSERT_TRUE(this->index_->forget().ok());
  EXPECT_FALSE(find(*this->index_, {hash_number(1)}));
  EXPECT_FALSE(find(*this->index_, {hash_number(2)}, kStart, {"org-2", "m", "v"}));
  this->commit(writing({entry_number(3)}));
  this->flush();
  EXPECT_TRUE(find(*this->index_, {hash_number(3)}));
}

TYPED_TEST_P(IndexConformance, LookupsAndHitsAreCounted) {
  this->commit(writing({entry_number(1)}));
  this->flush();
  find(*this->index_, {hash_number(1)});
  find(*this->index_, {hash_number(1)});
  find(*this->index_, {hash_number(2)});
  const IndexCounts counts = this->index_->counts();
  EXPECT_EQ(counts.lookups, 3U);
  EXPECT_EQ(counts.hits, 2U);
  EXPECT_EQ(counts.lookup_failures, 0U);
}

TYPED_TEST_P(IndexConformance, TwoIndexesKnowNothingOfEachOther) {
  TypeParam other_maker;
  const std::shared_ptr<Index> other = other_maker.make(this->clock_, this->log_);
  this->commit(writing({entry_number(1)}));
  this->flush();
  EXPECT_FALSE(find(*other, {hash_number(1)}));
}

TYPED_TEST_P(IndexConformance, ManyThreadsSeeTheirOwnCommitsAtOnce) {
  constexpr std::uint64_t kThreads = 8;
  constexpr std::uint64_t kEach = 200;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const std::uint64_t n = t * kEach + i;
        Commit commit = writing({entry_number(n, kStart + kSecond), entry_number(n + 1'000'000)});
        commit.refresh = Refresh{hash_number(n), kStart + 10 * kSecond};
        if (!this->index_->commit(std::move(commit))) ++wrong;
        const std::vector<PrefixHash> candidates = {hash_number(5'000'000 + n), hash_number(n)};
        const auto found = this->index_->lookup(some_scope(), candidates, kStart + 5 * kSecond);
        if (!found.ok() || !*found || (**found).hash != hash_number(n)) ++wrong;
        if (i % 50 == 0) this->index_->flush(kSecond);
        this->index_->counts();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  this->flush();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(this->index_->counts().entries_written, 2 * kThreads * kEach);
  EXPECT_EQ(this->index_->counts().entries_refreshed, kThreads * kEach);
  for (std::uint64_t n = 0; n < kThreads * kEach; ++n) {
    ASSERT_TRUE(find(*this->index_, {hash_number(n)}, kStart + 9 * kSecond)) << n;
  }
}

REGISTER_TYPED_TEST_SUITE_P(
    IndexConformance, WhatWasWrittenIsFoundWhole, ACommitIsSeenAsSoonAsItReturns,
    OfSeveralLiveCandidatesTheFirstIsTheAnswer, WithoutCandidatesNothingIsFound,
    AnEmptyIndexFindsNothing, EightyCandidatesAreLookedUpToTheLast,
    EntriesOfDifferentScopesNeverMeet, AnEntryLivesUntilTheNanosecondOfItsExpiry,
    AnExpiredCandidateHidesNoLiveOneBehindIt, WritingAgainReplacesTokensTierAndExpiry,
    ARefreshMovesTheExpiryAndNothingElse, ARefreshToAnEarlierTimeShortensAsTheReferenceDoes,
    ARefreshMakesNoEntryThatWasMissing, ARefreshIsOfItsOwnScope,
    WritesAndRefreshOfOneCommitAreBothDone, CommitsOfOneKeyTakeEffectInTheirOrder,
    AnEmptyCommitChangesNothing, ExtremeValuesComeBackAsTheyWere,
    ForgetDropsEveryEntryAndTheIndexGoesOn, LookupsAndHitsAreCounted,
    TwoIndexesKnowNothingOfEachOther, ManyThreadsSeeTheirOwnCommitsAtOnce);

}  // namespace satchel::prompt_cache
