#include "prompt_cache/telemetry.hpp"

#include <gtest/gtest.h>

#include <string>

namespace satchel::prompt_cache {
namespace {

bool excludes(const TelemetryPolicy& policy, std::string_view block) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(block)) << block;
  return policy.excludes(tape.root());
}

bool applies(const TelemetryPolicy& policy, std::string_view role) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(role)) << role;
  return policy.applies_to(tape.root());
}

TEST(Telemetry, OnlySystemMessagesHaveIt) {
  const TelemetryPolicy policy{{"x-bill"}, false};
  EXPECT_TRUE(applies(policy, R"("system")"));
  EXPECT_TRUE(applies(policy, R"("syst\u0065m")"));
  for (const std::string_view role :
       {R"("user")", R"("System")", R"("developer")", "null", "1", R"(["system"])"}) {
    EXPECT_FALSE(applies(policy, role)) << role;
  }
  EXPECT_FALSE(policy.applies_to({}));
}

TEST(Telemetry, WithoutAPrefixThereIsNone) {
  EXPECT_FALSE(applies({{}, true}, R"("system")"));
  EXPECT_FALSE(applies({{""}, true}, R"("system")"));
  EXPECT_TRUE(applies({{"", "x"}, true}, R"("system")"));
}

TEST(Telemetry, ABlocksTextBeginsWithAPrefix) {
  const TelemetryPolicy policy{{"", "x-bill:", "zz"}, false};
  EXPECT_TRUE(excludes(policy, R"({"type":"text","text":"x-bill: 1"})"));
  EXPECT_TRUE(excludes(policy, R"({"text":"zz"})"));
  EXPECT_TRUE(excludes(policy, R"({"type":"anything","text":"\u0078-bill:"})"));
  EXPECT_FALSE(excludes(policy, R"({"text":"x-bill"})"));
  EXPECT_FALSE(excludes(policy, R"({"text":"an x-bill:"})"));
  EXPECT_FALSE(excludes(policy, R"({"text":"X-bill:"})"));
  EXPECT_FALSE(excludes(policy, R"({"text":""})"));
}

TEST(Telemetry, WhiteSpaceBeforeTheTextIsNotLookedAt) {
  const TelemetryPolicy policy{{"x-bill:"}, false};
  for (const std::string_view space :
       {" ", "\\n\\t\\r", "\\u000b\\f", "\xc2\xa0", "\xc2\x85", "\xe2\x80\x83", "\xe3\x80\x80",
        "\xe2\x80\xa8", "\xe1\x9a\x80", "\xe2\x81\x9f"}) {
    EXPECT_TRUE(excludes(policy, R"({"text":")" + std::string(space) + R"(x-bill: 1"})")) << space;
  }
  // No white space to Unicode: zero width space, byte order mark, Mongolian vowel separator.
  for (const std::string_view other : {"\xe2\x80\x8b", "\xef\xbb\xbf", "\xe1\xa0\x8e"}) {
    EXPECT_FALSE(excludes(policy, R"({"text":")" + std::string(other) + R"(x-bill: 1"})")) << other;
  }
}

TEST(Telemetry, AMarkedBlockIsNeverLeftOut) {
  const TelemetryPolicy policy{{"x"}, false};
  EXPECT_FALSE(excludes(policy, R"({"text":"x","cache_control":{"type":"ephemeral"}})"));
  EXPECT_FALSE(excludes(policy, R"({"text":"x","cache_control":false})"));
  EXPECT_TRUE(excludes(policy, R"({"text":"x","cache_control":null})"));
  EXPECT_TRUE(excludes(policy, R"({"text":"x","cache_control":1,"cache_control":null})"));
}

TEST(Telemetry, WhatHasNoTextIsNone) {
  const TelemetryPolicy policy{{"x"}, false};
  for (const std::string_view block :
       {"{}", R"({"text":1})", R"({"text":null})", R"({"text":["x"]})", R"("x")", "null", "[]",
        R"(["text","x"])"}) {
    EXPECT_FALSE(excludes(policy, block)) << block;
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
