// What a classification leaves in the metrics and in the log.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "classifier_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

// ----------------------------------------------------------------------------- what is counted

TEST_F(ClassifierTest, QuestionsAreCountedByWhetherTheyWereRemembered) {
  using Resolved = Metrics::Resolved;
  const PromptDigest digest = marked_blocks({"5m"});
  classify(&digest);
  classify(&digest);
  EXPECT_EQ(metrics.principals.value(Resolved::kMiss), 1U);
  EXPECT_EQ(metrics.principals.value(Resolved::kHit), 1U);
  EXPECT_EQ(metrics.model_configs.value(Resolved::kMiss), 1U);
  EXPECT_EQ(metrics.model_configs.value(Resolved::kHit), 1U);
  EXPECT_EQ(metrics.tokenizer_versions.value(Resolved::kMiss), 1U);
  EXPECT_EQ(metrics.tokenizer_versions.value(Resolved::kHit), 1U);
  host.principal = [](std::string_view) { return std::optional<std::string>{}; };
  for (int i = 0; i < 2; ++i) {
    classifier().classify({Asker{"", "sk-unknown"}, "m", &digest, {}});
  }
  EXPECT_EQ(metrics.principals.value(Resolved::kUnknownKey), 2U);
  host.model = [](std::string_view) { return broken("down"); };
  classify(&digest, "other");
  EXPECT_EQ(metrics.model_configs.value(Resolved::kFailed), 1U);
}

TEST_F(ClassifierTest, WhyNothingWasCachedIsCounted) {
  using Skip = Metrics::Skip;
  const PromptDigest digest = marked_blocks({"5m"});
  const PromptDigest unmarked = marked_blocks({""});
  const Host works = host;
  classify(nullptr);
  EXPECT_EQ(metrics.skips.value(Skip::kUnparseable), 1U);
  classify(&unmarked);
  EXPECT_EQ(metrics.skips.value(Skip::kNoMarkers), 1U);
  host.versions = [](std::string_view) { return broken("down"); };
  classify(&digest);
  EXPECT_EQ(metrics.skips.value(Skip::kTokenizerUnreachable), 1U);
  host.versions = works.versions;
  host.tokenize = [](std::span<const Segment>) { return broken("busy"); };
  classify(&digest);
  EXPECT_EQ(metrics.skips.value(Skip::kTokenizeFailed), 1U);
  host.tokenize = [](std::span<const Segment>) { return std::vector<std::uint32_t>{}; };
  classify(&digest);
  EXPECT_EQ(metrics.skips.value(Skip::kCountMismatch), 1U);
  host.tokenize = works.tokenize;
  host.model = [](std::string_view) { return ModelConfig{true, 11}; };
  classify(&digest, "floor");
  EXPECT_EQ(metrics.skips.value(Skip::kBelowFloor), 1U);
  host.versions = [](std::string_view) { return std::vector<ModelVersions>{}; };
  classify(&digest, "unmapped");
  EXPECT_EQ(metrics.skips.value(Skip::kTokenizerUnmapped), 1U);
  index.answer = [](std::span<const PrefixHash>) -> core::Result<std::optional<Entry>> {
    return broken("disk");
  };
  classify(&digest);
  EXPECT_EQ(metrics.skips.value(Skip::kIndexFailed), 1U);
}

TEST_F(ClassifierTest, CallsOfTheTokenizerAreCountedByHowTheyEnded) {
  using Outcome = Metrics::TokenizerOutcome;
  const PromptDigest digest = marked_blocks({"5m"});
  const auto& versions =
      metrics.tokenizer_requests[static_cast<std::size_t>(Metrics::TokenizerCall::kVersions)];
  const auto& tokenize =
      metrics.tokenizer_requests[static_cast<std::size_t>(Metrics::TokenizerCall::kTokenize)];
  classify(&digest);
  EXPECT_EQ(versions.value(Outcome::kOk), 1U);
  EXPECT_EQ(tokenize.value(Outcome::kOk), 1U);
  const std::pair<TokenizerFault, Outcome> rows[] = {
      {TokenizerFault::kOutOfReach, Outcome::kTransportError},
      {TokenizerFault::kUnmapped, Outcome::kUnmapped},
      {TokenizerFault::kRenderFailed, Outcome::kRefused},
      {TokenizerFault::kBadAnswer, Outcome::kHttpError}};
  for (const auto& [fault, outcome] : rows) {
    host.tokenize = [fault = fault](std::span<const Segment>) {
      return tokenizer_error(fault, "no");
    };
    classify(&digest);
    EXPECT_EQ(tokenize.value(outcome), 1U);
  }
}

// ------------------------------------------------------------------------------- the log

TEST_F(ClassifierTest, ALastingTroubleIsSaidOnce) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto works = host.versions;
  host.versions = [](std::string_view) { return broken("connection refused"); };
  for (int i = 0; i < 1000; ++i) classify(&digest);
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_NE(log.lines[0].find("connection refused"), std::string::npos) << log.lines[0];

  clock.pass(60 * kNanosPerSecond);
  classify(&digest);
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_NE(log.lines[1].find("999"), std::string::npos) << log.lines[1];
}

TEST_F(ClassifierTest, ATroubleThatComesAndGoesIsSaidOnceAMinute) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto works = host.tokenize;
  for (int i = 0; i < 3; ++i) {
    host.tokenize = [](std::span<const Segment>) { return broken("busy"); };
    classify(&digest);
    host.tokenize = works;
    classify(&digest);
  }
  EXPECT_EQ(log.lines.size(), 1U);
}

TEST_F(ClassifierTest, TheApiKeyIsNeverInTheLog) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto principal = host.principal;
  const auto model = host.model;
  const auto versions = host.versions;
  host.principal = [](std::string_view) { return broken("a"); };
  classify(&digest);
  host.principal = principal;
  host.model = [](std::string_view) { return broken("b"); };
  classify(&digest);
  host.model = model;
  host.versions = [](std::string_view) { return broken("c"); };
  classify(&digest);
  host.versions = versions;
  clock.pass(60 * kNanosPerSecond);
  host.tokenize = [](std::span<const Segment>) { return std::vector<std::uint32_t>{}; };
  classify(&digest);
  EXPECT_EQ(log.lines.size(), 4U);
  for (const std::string& line : log.lines) {
    EXPECT_EQ(line.find("secret"), std::string::npos) << line;
    EXPECT_EQ(line.find("sk-"), std::string::npos) << line;
  }
}

TEST_F(ClassifierTest, AClassificationThatWorksSaysNothing) {
  const PromptDigest digest = marked_blocks({"5m"});
  classify(&digest);
  EXPECT_TRUE(log.lines.empty());
}

}  // namespace
}  // namespace satchel::prompt_cache
