#include "prompt_cache/classifier.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "classifier_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();

// ------------------------------------------------------------------------ who, which model

TEST_F(ClassifierTest, WithoutAPrincipalItIsInactive) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.principal = [](std::string_view) { return std::optional<std::string>{}; };
  expect_nothing(classify(&digest), false, false);
  expect_nothing(classifier().classify({Asker{"", ""}, "m", &digest, {}}), false, false);
  EXPECT_EQ(host.models_asked, 0);
  EXPECT_EQ(index.lookups, 0);
}

TEST_F(ClassifierTest, APrincipalThatFailsIsInactive) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.principal = [](std::string_view) { return broken("no database"); };
  expect_nothing(classify(&digest), false, false);
}

TEST_F(ClassifierTest, AKnownPrincipalIsNotResolved) {
  const PromptDigest digest = marked_blocks({"5m"});
  EXPECT_TRUE(classifier().classify({Asker{"bob", kApiKey}, "m", &digest, {}}).active);
  EXPECT_EQ(host.principals_asked, 0);
  EXPECT_EQ(index.asked_scope.principal, "bob");
}

TEST_F(ClassifierTest, AModelThatIsOffIsInactive) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.model = [](std::string_view) { return ModelConfig{false, 0}; };
  expect_nothing(classify(&digest), false, false);
  EXPECT_EQ(host.versions_asked, 0);
}

TEST_F(ClassifierTest, AModelThatFailsIsInactive) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.model = [](std::string_view) { return broken("no database"); };
  expect_nothing(classify(&digest), false, false);
}

TEST_F(ClassifierTest, APromptThatCouldNotBeParsedIsZeroAndDegraded) {
  expect_nothing(classify(nullptr), true, true);
  EXPECT_EQ(host.versions_asked, 0);
}

TEST_F(ClassifierTest, APromptWithoutBreakpointsIsZero) {
  const PromptDigest digest = marked_blocks({"", ""});
  expect_nothing(classify(&digest), true, false);
  EXPECT_EQ(host.versions_asked, 0);
  EXPECT_EQ(index.lookups, 0);
}

TEST_F(ClassifierTest, AModelTheTokenizerDoesNotMapIsZero) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.versions = [](std::string_view) {
    return std::vector<ModelVersions>{{"other", "tok-2", ""}};
  };
  expect_nothing(classify(&digest), true, false);
  EXPECT_EQ(index.lookups, 0);
}

TEST_F(ClassifierTest, ATokenizerOutOfReachIsZeroAndDegraded) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.versions = [](std::string_view) { return broken("connection refused"); };
  expect_nothing(classify(&digest), true, true);
}

TEST_F(ClassifierTest, TheScopeIsPrincipalModelAndTokenizerVersion) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.versions = [](std::string_view) {
    return std::vector<ModelVersions>{{"x", "tok-x", ""}, {"Model/Name", "tok-7", "template-9"}};
  };
  const Outcome outcome = classify(&digest, "Model/Name");
  EXPECT_EQ(index.asked_scope.principal, "alice");
  EXPECT_EQ(index.asked_scope.model, "Model/Name");
  EXPECT_EQ(index.asked_scope.tokenizer_version,
            "tok-7");  // the template counts for exact counting only
  EXPECT_EQ(outcome.commit.scope.principal, "alice");
  EXPECT_EQ(outcome.commit.scope.model, "Model/Name");
  EXPECT_EQ(outcome.commit.scope.tokenizer_version, "tok-7");
}

// ----------------------------------------------------------------------------- the read

TEST_F(ClassifierTest, AllCandidatesAreLookedUpAtOnceDeepestFirst) {
  const PromptDigest digest = marked_blocks({"", "5m", "", "1h"});
  classify(&digest);
  EXPECT_EQ(index.lookups, 1);
  EXPECT_EQ(index.asked, digest.candidates());
  EXPECT_EQ(index.asked.front(), digest.hash_of(3));
  EXPECT_EQ(index.asked.size(), 4U);
  EXPECT_EQ(index.asked_now, kNow);
}

TEST_F(ClassifierTest, AnIndexThatCannotSayIsZeroAndDegraded) {
  const PromptDigest digest = marked_blocks({"5m"});
  index.answer = [](std::span<const PrefixHash>) -> core::Result<std::optional<Entry>> {
    return core::Error{core::Status::kIo, "disk"};
  };
  expect_nothing(classify(&digest), true, true);
  EXPECT_EQ(host.tokenizer_asked, 0);
}

TEST_F(ClassifierTest, AnIndexThatAnswersWhatWasNotAskedIsNotBelieved) {
  const PromptDigest digest = marked_blocks({"5m"});
  index.answer = [](std::span<const PrefixHash>) {
    return std::optional<Entry>(Entry{PrefixHash{}, 100, Tier::k5m, kNow + 1});
  };
  expect_nothing(classify(&digest), true, true);
}

TEST_F(ClassifierTest, WithoutAMatchAllBreakpointsAreCreated) {
  const PromptDigest digest = marked_blocks({"5m", "", "1h", "24h"});
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(outcome.usage, (CacheUsage{0, 10, 20, 10}));
  EXPECT_FALSE(outcome.commit.refresh);
  ASSERT_EQ(outcome.commit.writes.size(), 3U);
  const std::vector<Entry>& writes = outcome.commit.writes;
  EXPECT_EQ(writes[0].hash, digest.hash_of(0));
  EXPECT_EQ(writes[0].cumulative_token_count, 10U);
  EXPECT_EQ(writes[0].tier, Tier::k5m);
  EXPECT_EQ(writes[0].expires_at, kNow + 300 * kNanosPerSecond);
  EXPECT_EQ(writes[1].hash, digest.hash_of(2));
  EXPECT_EQ(writes[1].cumulative_token_count, 30U);
  EXPECT_EQ(writes[1].expires_at, kNow + 3600 * kNanosPerSecond);
  EXPECT_EQ(writes[2].cumulative_token_count, 40U);
  EXPECT_EQ(writes[2].expires_at, kNow + 86400 * kNanosPerSecond);
}

TEST_F(ClassifierTest, OnlyTextsBehindTheReadAreCounted) {
  const PromptDigest digest = marked_blocks({"5m", "", "5m", ""});
  know(digest, 0, 500);
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(host.segments, (std::vector<std::string>{"block 1", "block 2"}));
  EXPECT_EQ(outcome.usage, (CacheUsage{500, 20, 0, 0}));
  ASSERT_EQ(outcome.commit.writes.size(), 1U);
  EXPECT_EQ(outcome.commit.writes[0].cumulative_token_count, 520U);
}

TEST_F(ClassifierTest, TheReadsLifeIsExtendedByItsOwnTier) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  know(digest, 0, 500, Tier::k24h);
  const Outcome outcome = classify(&digest);
  ASSERT_TRUE(outcome.commit.refresh);
  EXPECT_EQ(outcome.commit.refresh->hash, digest.hash_of(0));
  EXPECT_EQ(outcome.commit.refresh->expires_at, kNow + 86400 * kNanosPerSecond);
}

TEST_F(ClassifierTest, AReadMayEndBetweenBreakpoints) {
  const PromptDigest digest = marked_blocks({"1h", "", "", "5m"});
  know(digest, 1, 100);
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(outcome.usage, (CacheUsage{100, 20, 0, 0}));
  ASSERT_EQ(outcome.commit.writes.size(), 1U);
  EXPECT_EQ(outcome.commit.writes[0].hash, digest.hash_of(3));
  EXPECT_EQ(outcome.commit.writes[0].cumulative_token_count, 120U);
}

TEST_F(ClassifierTest, BreakpointsBeforeTheReadAreNeitherCountedNorWritten) {
  const PromptDigest digest = marked_blocks({"1h", "24h", "5m", "1h"});
  know(digest, 2, 77);
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(outcome.usage, (CacheUsage{77, 0, 10, 0}));
  ASSERT_EQ(outcome.commit.writes.size(), 1U);
  EXPECT_EQ(outcome.commit.writes[0].hash, digest.hash_of(3));
}

TEST_F(ClassifierTest, APureReadCountsNothingAndIsNotHeldToTheFloor) {
  const PromptDigest digest = marked_blocks({"5m", "1h"});
  know(digest, 1, 3, Tier::k1h);
  host.model = [](std::string_view) { return ModelConfig{true, 1'000'000}; };
  const Outcome outcome = classify(&digest);
  EXPECT_TRUE(outcome.active);
  EXPECT_FALSE(outcome.degraded);
  EXPECT_EQ(outcome.usage, (CacheUsage{3, 0, 0, 0}));
  EXPECT_TRUE(outcome.commit.writes.empty());
  ASSERT_TRUE(outcome.commit.refresh);
  EXPECT_EQ(outcome.commit.refresh->expires_at, kNow + 3600 * kNanosPerSecond);
  EXPECT_EQ(host.tokenizer_asked, 0);
}

// ---------------------------------------------------------------------------- the floor

TEST_F(ClassifierTest, ThePrefixMustReachTheFloor) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  host.model = [](std::string_view) { return ModelConfig{true, 20}; };
  EXPECT_EQ(classify(&digest).usage, (CacheUsage{0, 20, 0, 0}));
  clock.pass(61 * kNanosPerSecond);
  host.model = [](std::string_view) { return ModelConfig{true, 21}; };
  expect_nothing(classify(&digest), true, false);
}

TEST_F(ClassifierTest, BelowTheFloorNotEvenTheReadCounts) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  know(digest, 0, 5);
  host.model = [](std::string_view) { return ModelConfig{true, 16}; };
  expect_nothing(classify(&digest), true, false);
}

TEST_F(ClassifierTest, TheFloorIsHeldAgainstReadAndNewTogether) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  know(digest, 0, 6);
  host.model = [](std::string_view) { return ModelConfig{true, 16}; };
  EXPECT_EQ(classify(&digest).usage, (CacheUsage{6, 10, 0, 0}));
}

// --------------------------------------------------------------------------- the counts

TEST_F(ClassifierTest, AnotherNumberOfCountsIsZeroAndDegraded) {
  const PromptDigest digest = marked_blocks({"5m", "", "5m"});
  for (const std::size_t count : {0U, 1U, 2U, 4U}) {
    host.tokenize = [=](std::span<const Segment>) { return std::vector<std::uint32_t>(count, 10); };
    expect_nothing(classify(&digest), true, true);
  }
}

TEST_F(ClassifierTest, ATokenizerThatFailsIsZeroAndDegradedEvenAfterAMatch) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  know(digest, 0, 100);
  host.tokenize = [](std::span<const Segment>) { return broken("busy"); };
  expect_nothing(classify(&digest), true, true);
}

TEST_F(ClassifierTest, CountsNearTheGreatestAreKeptAndNotWrappedAround) {
  const PromptDigest digest = marked_blocks({"5m", "1h"});
  know(digest, 0, kMost - 4);
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(outcome.usage.read, kMost - 4);
  EXPECT_GE(outcome.usage.creation_1h, 4U);
  EXPECT_LE(outcome.usage.creation_1h, 10U);
  ASSERT_EQ(outcome.commit.writes.size(), 1U);
  EXPECT_EQ(outcome.commit.writes[0].cumulative_token_count, kMost);
}

// Sums that shrink are no sums: a span would be charged twice.
TEST_F(ClassifierTest, CountsThatGoDownAreZeroAndDegraded) {
  const PromptDigest digest = marked_blocks({"5m", "1h", "24h"});
  host.tokenize = [](std::span<const Segment>) { return std::vector<std::uint32_t>{30, 20, 25}; };
  expect_nothing(classify(&digest), true, true);
  host.tokenize = [](std::span<const Segment>) { return std::vector<std::uint32_t>{30, 30, 30}; };
  EXPECT_EQ(classify(&digest).usage, (CacheUsage{0, 30, 0, 0}));
}

}  // namespace
}  // namespace satchel::prompt_cache
