// Exact counting: what a template makes of the whole prompt.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "classifier_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

// Two messages of which the first has a marked block inside and one at its end; then one that the
// marker does not reach.
constexpr const char* kRendered =
    R"({"model":"m","tools":[{"type":"function"}],"messages":[{"role":"user","content":[)"
    R"({"type":"text","text":"one","cache_control":{"type":"ephemeral"}},)"
    R"({"type":"text","text":"two"},)"
    R"({"type":"text","text":"three","cache_control":{"type":"ephemeral","ttl":"1h"}}]},)"
    R"({"role":"user","content":"four"}]})";
constexpr const char* kForwarded =
    R"({"model":"m","tools":[{"type":"function"}],"messages":[{"role":"user","content":"sent"}]})";

class ExactTest : public ClassifierTest {
 protected:
  ExactTest() {
    exact = true;
    host.versions = [](std::string_view model) {
      return std::vector<ModelVersions>{{std::string(model), "tok-1", "tpl-2"}};
    };
  }
  Outcome classify_sent() {
    return classifier().classify({Asker{"", kApiKey}, "m", &digest, kForwarded});
  }
  void fail_render(TokenizerFault fault) {
    host.render = [fault](std::span<const Prefix>) { return tokenizer_error(fault, "no"); };
  }
  // Tools, "one", "two", "three", "four".
  const PromptDigest digest = digest_of(kRendered);
};

TEST_F(ExactTest, OneCallCountsAllPrefixesOfTheForwardedBody) {
  const Outcome outcome = classify_sent();
  EXPECT_EQ(host.renders_asked, 1);
  EXPECT_EQ(host.messages, R"([{"role":"user","content":"sent"}])");
  EXPECT_EQ(host.tools, R"([{"type":"function"}])");
  EXPECT_EQ(host.tokenizer_asked, 0);
  EXPECT_EQ(outcome.usage, (CacheUsage{0, 100, 100, 0}));
  EXPECT_EQ(outcome.render_total, 210U);
  ASSERT_EQ(outcome.commit.writes.size(), 2U);
  EXPECT_EQ(outcome.commit.writes[0].cumulative_token_count, 100U);
  EXPECT_EQ(outcome.commit.writes[1].cumulative_token_count, 200U);
}

TEST_F(ExactTest, TheTemplatesVersionBelongsToTheScope) {
  classify_sent();
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-1+tpl-2");
}

TEST_F(ExactTest, AModelWithoutATemplateIsCountedBySegments) {
  host.versions = [](std::string_view model) {
    return std::vector<ModelVersions>{{std::string(model), "tok-1", ""}};
  };
  const Outcome outcome = classify_sent();
  EXPECT_EQ(host.renders_asked, 0);
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-1");
  EXPECT_EQ(outcome.usage, (CacheUsage{0, 20, 20, 0}));
  EXPECT_FALSE(outcome.render_total);
}

TEST_F(ExactTest, ATokenizerThatDoesNotRenderIsAskedForSegments) {
  host.renders = false;
  EXPECT_FALSE(classifier().wants_body());
  EXPECT_EQ(classify_sent().usage, (CacheUsage{0, 20, 20, 0}));
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-1");
}

TEST_F(ExactTest, OffTheTemplateIsNobodysBusiness) {
  exact = false;
  EXPECT_FALSE(classifier().wants_body());
  EXPECT_EQ(classifier().wants_text(), KeptText::kMarked);
  classify_sent();
  EXPECT_EQ(host.renders_asked, 0);
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-1");
}

TEST_F(ExactTest, TheBodyAndAllTextsAreWanted) {
  EXPECT_TRUE(classifier().wants_body());
  EXPECT_EQ(classifier().wants_text(), KeptText::kAll);
}

TEST_F(ExactTest, OnlyPrefixesBeyondTheReadAreAskedFor) {
  know(digest, 1, 70);
  std::size_t asked = 0;
  const auto works = host.render;
  host.render = [&](std::span<const Prefix> prefixes) {
    asked = prefixes.size();
    return works(prefixes);
  };
  const Outcome outcome = classify_sent();
  EXPECT_EQ(asked, 1U);
  EXPECT_EQ(outcome.usage, (CacheUsage{70, 0, 30, 0}));
  ASSERT_EQ(outcome.commit.writes.size(), 1U);
}

TEST_F(ExactTest, APureReadRendersNothing) {
  know(digest, 3, 70);
  const Outcome outcome = classify_sent();
  EXPECT_EQ(outcome.usage, (CacheUsage{70, 0, 0, 0}));
  EXPECT_FALSE(outcome.render_total);
  EXPECT_EQ(host.renders_asked, 0);
}

TEST_F(ExactTest, WhatCannotBeRenderedIsCountedBySegmentsUnderTheSameScope) {
  using Fallback = Metrics::RenderFallback;
  const std::pair<TokenizerFault, Fallback> rows[] = {
      {TokenizerFault::kNoTemplate, Fallback::kNoTemplate},
      {TokenizerFault::kRenderFailed, Fallback::kRenderFailed}};
  for (const auto& [fault, counted] : rows) {
    fail_render(fault);
    const Outcome outcome = classify_sent();
    EXPECT_EQ(outcome.usage, (CacheUsage{0, 20, 20, 0}));
    EXPECT_FALSE(outcome.degraded);
    EXPECT_FALSE(outcome.render_total);
    EXPECT_EQ(outcome.commit.scope.tokenizer_version, "tok-1+tpl-2");
    EXPECT_EQ(metrics.render_fallbacks.value(counted), 1U);
  }
}

TEST_F(ExactTest, CountsThatCannotBeBelievedAreNot) {
  using Fallback = Metrics::RenderFallback;
  struct Row {
    RenderCounts counts;
    Fallback fallback;
  };
  const Row rows[] = {{{500, {100}}, Fallback::kMisaligned},
                      {{500, {100, 200, 300}}, Fallback::kMisaligned},
                      {{500, {}}, Fallback::kMisaligned},
                      {{500, {200, 199}}, Fallback::kNotMonotonic},
                      {{500, {200, 501}}, Fallback::kNotMonotonic}};
  for (const Row& row : rows) {
    const std::uint64_t before = metrics.render_fallbacks.value(row.fallback);
    host.render = [&](std::span<const Prefix>) { return row.counts; };
    const Outcome outcome = classify_sent();
    EXPECT_EQ(outcome.usage, (CacheUsage{0, 20, 20, 0}));
    EXPECT_FALSE(outcome.render_total);
    EXPECT_EQ(metrics.render_fallbacks.value(row.fallback), before + 1);
  }
}

TEST_F(ExactTest, ARenderThatDoesNotComeIsZeroAndDegradedEvenAfterAMatch) {
  know(digest, 1, 70);
  for (const TokenizerFault fault :
       {TokenizerFault::kUnmapped, TokenizerFault::kOutOfReach, TokenizerFault::kBadAnswer}) {
    fail_render(fault);
    expect_nothing(classify_sent(), true, true);
  }
  EXPECT_EQ(host.tokenizer_asked, 0);
  EXPECT_EQ(metrics.skips.value(Metrics::Skip::kTokenizerUnmapped), 1U);
  EXPECT_EQ(metrics.skips.value(Metrics::Skip::kRenderFailed), 2U);
}

TEST_F(ExactTest, WhatTheTemplateRefusesIsEstimatedOverAllTexts) {
  host.render = [](std::span<const Prefix>) { return RenderCounts{500, {{}, 200}}; };
  const Outcome outcome = classify_sent();
  EXPECT_EQ(host.segments.size(), 5U);
  EXPECT_EQ(host.segments.back(), "four");
  // 200, less what ten tokens a block make of the two blocks between.
  EXPECT_EQ(outcome.usage, (CacheUsage{0, 180, 20, 0}));
  EXPECT_EQ(outcome.render_total, 500U);
}

TEST_F(ExactTest, WithoutAnEstimateTheSpanBelongsToTheNextCount) {
  host.render = [](std::span<const Prefix>) { return RenderCounts{500, {{}, 200}}; };
  const core::Result<std::vector<std::uint32_t>> answers[] = {
      broken("busy"), std::vector<std::uint32_t>{1, 2},
      std::vector<std::uint32_t>{10, 20, 15, 30, 40}};
  for (const auto& answer : answers) {
    host.tokenize = [&answer](std::span<const Segment>) { return answer; };
    const Outcome outcome = classify_sent();
    EXPECT_EQ(outcome.usage, (CacheUsage{0, 0, 200, 0}));
    ASSERT_EQ(outcome.commit.writes.size(), 1U);
    EXPECT_EQ(outcome.commit.writes[0].hash, digest.hash_of(3));
    EXPECT_FALSE(outcome.degraded);
  }
}

TEST_F(ExactTest, WhereNothingIsCountedNothingIsCached) {
  know(digest, 0, 70);
  host.render = [](std::span<const Prefix>) { return RenderCounts{500, {{}, {}}}; };
  host.tokenize = [](std::span<const Segment>) { return broken("busy"); };
  expect_nothing(classify_sent(), true, false);
}

TEST_F(ExactTest, TheFloorIsHeldAgainstTheDeepestCount) {
  host.model = [](std::string_view) { return ModelConfig{true, 200}; };
  EXPECT_EQ(classify_sent().usage, (CacheUsage{0, 100, 100, 0}));
  clock.pass(61 * kNanosPerSecond);
  host.model = [](std::string_view) { return ModelConfig{true, 201}; };
  expect_nothing(classify_sent(), true, false);
}

TEST_F(ExactTest, ATotalOfNothingIsNoTotal) {
  host.render = [](std::span<const Prefix>) { return RenderCounts{0, {0, 0}}; };
  EXPECT_FALSE(classify_sent().render_total);
}

}  // namespace
}  // namespace satchel::prompt_cache
