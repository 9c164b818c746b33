// What the tests of the classifier share: an index and the parts of a host that answer as a test
// tells them to, and count how often they were asked.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_canonical.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/prompt.hpp"

namespace satchel::prompt_cache {

using core::kNanosPerSecond;

inline constexpr std::int64_t kNow = 1'700'000'000 * kNanosPerSecond;
inline constexpr const char* kApiKey = "sk-very-secret-key";

inline core::Error broken(const std::string& why) { return {core::Status::kCallback, why}; }

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

inline PromptDigest digest_of(std::string_view body) {
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
inline PromptDigest marked_blocks(const std::vector<std::string>& tiers) {
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

inline void expect_nothing(const Outcome& outcome, bool active, bool degraded) {
  EXPECT_EQ(outcome.active, active);
  EXPECT_EQ(outcome.degraded, degraded);
  EXPECT_EQ(outcome.usage, CacheUsage{});
  EXPECT_TRUE(outcome.commit.empty());
}

}  // namespace satchel::prompt_cache
