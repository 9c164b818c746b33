// How often a classification asks the host's parts, and how long it waits for them.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "classifier_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

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

}  // namespace
}  // namespace satchel::prompt_cache
