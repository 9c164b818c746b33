#include "prompt_cache/classifier.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/json_canonical.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/prompt.hpp"

namespace satchel::prompt_cache {
namespace {

using core::kNanosPerSecond;

constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t kNow = 1'700'000'000 * kNanosPerSecond;
constexpr const char* kApiKey = "sk-very-secret-key";

core::Error broken(const std::string& why) { return {core::Status::kCallback, why}; }

class HandClock final : public core::Clock {
 public:
  std::int64_t unix_ns() override { return unix_; }
  std::int64_t monotonic_ns() override { return monotonic_; }
  void pass(std::int64_t ns) {
    unix_ += ns;
    monotonic_ += ns;
  }

 private:
  std::int64_t unix_ = kNow;
  std::int64_t monotonic_ = 5 * kNanosPerSecond;
};

class LinesLog final : public core::Log {
 public:
  LinesLog() : Log(core::LogLevel::kDebug) {}
  std::vector<std::string> lines;

 protected:
  void emit(core::LogLevel, std::string_view component, std::string_view message) override {
    lines.push_back(std::string(component) + ": " + std::string(message));
  }
};

// Answers a lookup with what `answer` says; remembers what it was asked.
class ScriptedIndex final : public Index {
 public:
  core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                            std::span<const PrefixHash> candidates,
                                            std::int64_t now) override {
    ++lookups;
    asked_scope = scope;
    asked.assign(candidates.begin(), candidates.end());
    asked_now = now;
    return answer(candidates);
  }
  bool commit(Commit /*commit*/) override { return true; }
  bool flush(std::int64_t /*timeout_ns*/) override { return true; }
  core::Result<void> forget() override { return core::Ok{}; }
  IndexCounts counts() override { return {}; }

  std::function<core::Result<std::optional<Entry>>(std::span<const PrefixHash>)> answer =
      [](std::span<const PrefixHash>) { return std::optional<Entry>{}; };
  int lookups = 0;
  Scope asked_scope;
  std::vector<PrefixHash> asked;
  std::int64_t asked_now = 0;
};

// The parts of the host. Owned here, lent to the classifier through thin shells.
struct Host {
  std::function<core::Result<std::optional<std::string>>(std::string_view)> principal =
      [](std::string_view) { return std::optional<std::string>("alice"); };
  std::function<core::Result<ModelConfig>(std::string_view)> model = [](std::string_view) {
    return ModelConfig{true, 0};
  };
  std::function<core::Result<std::vector<ModelVersions>>(std::string_view)> versions =
      [](std::string_view model) {
        return std::vector<ModelVersions>{{std::string(model), "tok-1", ""}};
      };
  // Ten tokens a segment.
  std::function<core::Result<std::vector<std::uint32_t>>(std::span<const Segment>)> tokenize =
      [](std::span<const Segment> segments) {
        std::vector<std::uint32_t> counts;
        for (std::size_t i = 0; i < segments.size(); ++i) {
          counts.push_back(static_cast<std::uint32_t>(10 * (i + 1)));
        }
        return counts;
      };
  int principals_asked = 0;
  int models_asked = 0;
  int versions_asked = 0;
  int tokenizer_asked = 0;
  std::vector<std::string> segments;

  // Exact counting: a hundred tokens a prefix, and ten more for the whole.
  bool renders = true;
  std::function<core::Result<RenderCounts>(std::span<const Prefix>)> render =
      [](std::span<const Prefix> prefixes) {
        RenderCounts counts;
        for (const Prefix& prefix : prefixes) {
          counts.total += prefix.block >= 0 || prefix.message >= 0 ? 100 : 50;
          counts.prefixes.emplace_back(counts.total);
        }
        counts.total += 10;
        return counts;
      };
  int renders_asked = 0;
  std::string messages;
  std::string tools;
  Patience patience;  // of the last question for versions
};

class HostPrincipals final : public Principals {
 public:
  explicit HostPrincipals(Host& host) : host_(host) {}
  core::Result<std::optional<std::string>> resolve(std::string_view key) override {
    ++host_.principals_asked;
    return host_.principal(key);
  }

 private:
  Host& host_;
};

class HostModels final : public Models {
 public:
  explicit HostModels(Host& host) : host_(host) {}
  core::Result<ModelConfig> resolve(std::string_view model) override {
    ++host_.models_asked;
    return host_.model(model);
  }

 private:
  Host& host_;
};

class HostTokenizer final : public Tokenizer {
 public:
  explicit HostTokenizer(Host& host) : host_(host) {}
  [[nodiscard]] bool wants_text() const override { return true; }
  [[nodiscard]] bool can_render() const override { return host_.renders; }
  core::Result<std::vector<ModelVersions>> versions(std::string_view model,
                                                    Patience patience) override {
    host_.patience = patience;
    ++host_.versions_asked;
    return host_.versions(model);
  }
  core::Result<std::vector<std::uint32_t>> tokenize(std::string_view /*model*/,
                                                    std::span<const Segment> segments,
                                                    Patience /*patience*/) override {
    ++host_.tokenizer_asked;
    host_.segments.clear();
    for (const Segment& segment : segments) {
      EXPECT_EQ(segment.text.size(), segment.bytes);
      host_.segments.emplace_back(segment.text);
    }
    return host_.tokenize(segments);
  }
  core::Result<RenderCounts> render(std::string_view /*model*/, const RenderRequest& request,
                                    Patience /*patience*/) override {
    ++host_.renders_asked;
    host_.messages = request.messages;
    host_.tools = request.tools;
    return host_.render(request.prefixes);
  }

 private:
  Host& host_;
};

PromptDigest digest_of(std::string_view body) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(body)) << body;
  const PromptPolicy policy;
  Prompt prompt;
  prompt.read(tape, policy);
  EXPECT_TRUE(prompt.find_breakpoints());
  core::JsonCanonical canonical;
  core::Sha256 hash;
  PromptDigest digest;
  digest.make(prompt, KeptText::kAll, canonical, hash);
  return digest;
}

// A user message whose content is `blocks` ("a", "b", ...), with a marker of `tiers[i]` on each
// block for which it is not empty.
PromptDigest marked_blocks(const std::vector<std::string>& tiers) {
  std::string body = R"({"model":"m","messages":[{"role":"user","content":[)";
  for (std::size_t i = 0; i < tiers.size(); ++i) {
    if (i > 0) body.append(",");
    body.append(R"({"type":"text","text":"block )" + std::to_string(i) + "\"");
    if (!tiers[i].empty()) {
      body.append(R"(,"cache_control":{"type":"ephemeral","ttl":")" + tiers[i] + "\"}");
    }
    body.append("}");
  }
  return digest_of(body + "]}]}");
}

class ClassifierTest : public testing::Test {
 protected:
  Classifier& classifier() {
    if (!classifier_) {
      ClassifierParts parts;
      parts.principals = std::make_unique<HostPrincipals>(host);
      parts.models = std::make_unique<HostModels>(host);
      parts.tokenizer = std::make_unique<HostTokenizer>(host);
      classifier_ = std::make_unique<Classifier>(std::move(parts), index,
                                                 ClassifierSettings{5 * kNanosPerSecond, exact},
                                                 metrics, clock, log);
    }
    return *classifier_;
  }
  Outcome classify(const PromptDigest* digest, std::string_view model = "m") {
    return classifier().classify({Asker{"", kApiKey}, model, digest, {}});
  }
  // The index knows the prefix that ends with this block.
  void know(const PromptDigest& digest, std::size_t block, std::uint32_t tokens,
            Tier tier = Tier::k5m) {
    const PrefixHash hash = digest.hash_of(block);
    index.answer = [=](std::span<const PrefixHash>) {
      return std::optional<Entry>(Entry{hash, tokens, tier, kNow + 1});
    };
  }

  HandClock clock;
  LinesLog log;
  ScriptedIndex index;
  Host host;
  bool exact = false;
  Metrics metrics{{}};

 private:
  std::unique_ptr<Classifier> classifier_;
};

void expect_nothing(const Outcome& outcome, bool active, bool degraded) {
  EXPECT_EQ(outcome.active, active);
  EXPECT_EQ(outcome.degraded, degraded);
  EXPECT_EQ(outcome.usage, CacheUsage{});
  EXPECT_TRUE(outcome.commit.empty());
}

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

TEST_F(ClassifierTest, CountsThatGoDownCreateNothingNegative) {
  const PromptDigest digest = marked_blocks({"5m", "1h", "24h"});
  host.tokenize = [](std::span<const Segment>) { return std::vector<std::uint32_t>{30, 20, 25}; };
  const Outcome outcome = classify(&digest);
  EXPECT_EQ(outcome.usage, (CacheUsage{0, 30, 0, 5}));
}

// --------------------------------------------------------------------- what is remembered

TEST_F(ClassifierTest, APrincipalIsRememberedForSixtySeconds) {
  const PromptDigest digest = marked_blocks({"5m"});
  classify(&digest);
  clock.pass(60 * kNanosPerSecond - 1);
  classify(&digest);
  EXPECT_EQ(host.principals_asked, 1);
  clock.pass(1);
  classify(&digest);
  EXPECT_EQ(host.principals_asked, 2);
}

TEST_F(ClassifierTest, PrincipalsOfTwoKeysAreNotMixedUp) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.principal = [](std::string_view key) {
    return std::optional<std::string>("of " + std::string(key));
  };
  for (const char* key : {"k1", "k2", "k1"}) {
    classifier().classify({Asker{"", key}, "m", &digest, {}});
    EXPECT_EQ(index.asked_scope.principal, std::string("of ") + key);
  }
  EXPECT_EQ(host.principals_asked, 2);
}

TEST_F(ClassifierTest, AFailedPrincipalIsAskedForAgain) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto works = host.principal;
  host.principal = [](std::string_view) { return broken("down"); };
  EXPECT_FALSE(classify(&digest).active);
  host.principal = works;
  EXPECT_TRUE(classify(&digest).active);
}

TEST_F(ClassifierTest, AModelsConfigurationIsRememberedForSixtySeconds) {
  const PromptDigest digest = marked_blocks({"5m"});
  classify(&digest);
  host.model = [](std::string_view) { return ModelConfig{false, 0}; };
  clock.pass(60 * kNanosPerSecond - 1);
  EXPECT_TRUE(classify(&digest).active);
  clock.pass(1);
  EXPECT_FALSE(classify(&digest).active);
  EXPECT_EQ(host.models_asked, 2);
}

TEST_F(ClassifierTest, AFailedModelIsAskedForAgain) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto works = host.model;
  host.model = [](std::string_view) { return broken("down"); };
  EXPECT_FALSE(classify(&digest).active);
  host.model = works;
  EXPECT_TRUE(classify(&digest).active);
}

TEST_F(ClassifierTest, TokenizerVersionsAreRememberedForThreeHundredSeconds) {
  const PromptDigest digest = marked_blocks({"5m"});
  classify(&digest);
  clock.pass(300 * kNanosPerSecond - 1);
  classify(&digest);
  EXPECT_EQ(host.versions_asked, 1);
  clock.pass(1);
  classify(&digest);
  EXPECT_EQ(host.versions_asked, 2);
}

TEST_F(ClassifierTest, AModelThatIsNotMappedIsRememberedToo) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.versions = [](std::string_view) { return std::vector<ModelVersions>{}; };
  classify(&digest);
  clock.pass(300 * kNanosPerSecond - 1);
  expect_nothing(classify(&digest), true, false);
  EXPECT_EQ(host.versions_asked, 1);
}

TEST_F(ClassifierTest, ATokenizerOutOfReachIsNotRemembered) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto works = host.versions;
  host.versions = [](std::string_view) { return broken("down"); };
  EXPECT_TRUE(classify(&digest).degraded);
  host.versions = works;
  EXPECT_EQ(classify(&digest).usage, (CacheUsage{0, 10, 0, 0}));
}

TEST_F(ClassifierTest, OneListAnswersForAllItsModels) {
  const PromptDigest digest = marked_blocks({"5m"});
  host.versions = [](std::string_view) {
    return std::vector<ModelVersions>{{"a", "tok-a", ""}, {"b", "tok-b", ""}};
  };
  classify(&digest, "a");
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-a");
  classify(&digest, "b");
  EXPECT_EQ(index.asked_scope.tokenizer_version, "tok-b");
  EXPECT_EQ(host.versions_asked, 1);
}

// -------------------------------------------------------------------------- the deadline

TEST_F(ClassifierTest, WhatTookLongerThanTheDeadlineWritesAndSaysNothing) {
  const PromptDigest digest = marked_blocks({"5m", "5m"});
  know(digest, 0, 100);
  const auto quick = host.tokenize;
  host.tokenize = [&](std::span<const Segment> segments) {
    clock.pass(5 * kNanosPerSecond + 1);
    return quick(segments);
  };
  const Outcome late = classify(&digest);
  EXPECT_EQ(late.usage, CacheUsage{});
  EXPECT_TRUE(late.commit.empty());
  host.tokenize = [&](std::span<const Segment> segments) {
    clock.pass(5 * kNanosPerSecond - 1);
    return quick(segments);
  };
  EXPECT_EQ(classify(&digest).usage, (CacheUsage{100, 10, 0, 0}));
}

TEST_F(ClassifierTest, NothingIsAskedOnceNobodyWaitsAnyMore) {
  const PromptDigest digest = marked_blocks({"5m"});
  const std::atomic<bool> given_up{true};
  Patience patience;
  patience.given_up = &given_up;
  EXPECT_FALSE(classifier().classify({Asker{"", kApiKey}, "m", &digest, {}}, patience).active);
  EXPECT_EQ(host.principals_asked, 0);
  EXPECT_FALSE(classifier().classify({Asker{"bob", ""}, "m", &digest, {}}, patience).active);
  EXPECT_EQ(host.models_asked, 0);
  EXPECT_TRUE(log.lines.empty());
}

TEST_F(ClassifierTest, WhereTheTimeEndsInAQuestionTheNextOneIsNotAsked) {
  const PromptDigest digest = marked_blocks({"5m"});
  const auto late = [this] { clock.pass(5 * kNanosPerSecond); };
  const Host works = host;
  host.principal = [&](std::string_view key) {
    late();
    return works.principal(key);
  };
  EXPECT_FALSE(classify(&digest).active);
  EXPECT_EQ(host.models_asked, 0);
  host.model = [&](std::string_view model) {
    late();
    return works.model(model);
  };
  EXPECT_FALSE(classify(&digest).active);
  EXPECT_EQ(host.versions_asked, 0);
  host.versions = [&](std::string_view model) {
    late();
    return works.versions(model);
  };
  EXPECT_FALSE(classify(&digest).active);
  EXPECT_EQ(index.lookups, 0);
  index.answer = [&](std::span<const PrefixHash>) {
    late();
    return std::optional<Entry>{};
  };
  EXPECT_FALSE(classify(&digest).active);
  EXPECT_EQ(index.lookups, 1);
  EXPECT_EQ(host.tokenizer_asked, 0);
}

TEST_F(ClassifierTest, TheTokenizerIsToldHowLongItIsWaitedFor) {
  const PromptDigest digest = marked_blocks({"5m"});
  const std::int64_t now = clock.monotonic_ns();
  classify(&digest);
  EXPECT_EQ(host.patience.until_ns, now + 5 * kNanosPerSecond);
  clock.pass(300 * kNanosPerSecond);
  Patience shorter;
  shorter.until_ns = clock.monotonic_ns() + 7;
  classifier().classify({Asker{"", kApiKey}, "m", &digest, {}}, shorter);
  EXPECT_EQ(host.patience.until_ns, shorter.until_ns);
}

// ------------------------------------------------------------------------- exact counting

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
  for (const bool fails : {true, false}) {
    host.tokenize = [fails](std::span<const Segment>) -> core::Result<std::vector<std::uint32_t>> {
      if (fails) return broken("busy");
      return std::vector<std::uint32_t>{1, 2};
    };
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
