#include "prompt_cache/marker.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/json_tape.hpp"

namespace satchel::prompt_cache {
namespace {

core::Result<Tier> reading(std::string_view marker, const TierPolicy& policy = {}) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(marker)) << marker;
  return read_marker(tape.root(), policy);
}

TEST(Marker, NamesItsTier) {
  struct Row {
    std::string_view marker;
    Tier tier;
  };
  for (const Row& row :
       {Row{R"({"type":"ephemeral","ttl":"5m"})", Tier::k5m},
        Row{R"({"type":"ephemeral","ttl":"1h"})", Tier::k1h},
        Row{R"({"ttl":"24h","type":"ephemeral"})", Tier::k24h},
        Row{R"({"type":"\u0065phemeral","ttl":"1\u0068"})", Tier::k1h},
        Row{R"({"type":"x","type":"ephemeral","ttl":"9","ttl":"1h"})", Tier::k1h},
        Row{R"({"type":"ephemeral","ttl":"1h","scope":{"ttl":1},"":null})", Tier::k1h}}) {
    const auto tier = reading(row.marker);
    ASSERT_TRUE(tier) << row.marker << ": " << tier.error().message;
    EXPECT_EQ(*tier, row.tier) << row.marker;
  }
}

TEST(Marker, WithoutATtlItMeansThePolicysDefault) {
  TierPolicy policy;
  EXPECT_EQ(*reading(R"({"type":"ephemeral"})", policy), Tier::k5m);
  policy.fallback = Tier::k24h;
  EXPECT_EQ(*reading(R"({"type":"ephemeral"})", policy), Tier::k24h);
  EXPECT_EQ(*reading(R"({"type":"ephemeral","ttl":"5m"})", policy), Tier::k5m);
}

constexpr const char* kMalformed =
    "cache_control must be an object with a string \"type\": \"ephemeral\" (and an optional string "
    "\"ttl\")";

TEST(Marker, WhatIsWrongWithItIsSaidInTheReferencesWords) {
  struct Row {
    std::string_view marker;
    MarkerFault fault;
    std::string message;
  };
  for (const Row& row :
       {Row{"true", MarkerFault::kMalformed, kMalformed},
        Row{"false", MarkerFault::kMalformed, kMalformed},
        Row{"1", MarkerFault::kMalformed, kMalformed},
        Row{"\"ephemeral\"", MarkerFault::kMalformed, kMalformed},
        Row{"[]", MarkerFault::kMalformed, kMalformed},
        Row{"{}", MarkerFault::kMalformed, kMalformed},
        Row{R"({"ttl":"5m"})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":null})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":["ephemeral"]})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":"ephemeral","ttl":null})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":"ephemeral","ttl":300})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":"ephemeral","type":1})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":"ephemeral","ttl":"5m","ttl":null})", MarkerFault::kMalformed, kMalformed},
        Row{R"({"type":"persistent","ttl":1})", MarkerFault::kUnsupportedType,
            "unsupported cache_control type: \"persistent\" (only \"ephemeral\")"},
        Row{R"({"type":""})", MarkerFault::kUnsupportedType,
            "unsupported cache_control type: \"\" (only \"ephemeral\")"},
        Row{R"({"type":"Ephemeral"})", MarkerFault::kUnsupportedType,
            "unsupported cache_control type: \"Ephemeral\" (only \"ephemeral\")"},
        Row{R"({"type":"a\"b\\c\n"})", MarkerFault::kUnsupportedType,
            R"(unsupported cache_control type: "a\"b\\c\n" (only "ephemeral"))"},
        Row{R"({"type":"ephemeral","ttl":"10m"})", MarkerFault::kInvalidTtl,
            "invalid cache_control ttl: \"10m\""},
        Row{R"({"type":"ephemeral","ttl":""})", MarkerFault::kInvalidTtl,
            "invalid cache_control ttl: \"\""},
        Row{R"({"type":"ephemeral","ttl":"5M"})", MarkerFault::kInvalidTtl,
            "invalid cache_control ttl: \"5M\""},
        Row{R"({"type":"ephemeral","ttl":" 5m"})", MarkerFault::kInvalidTtl,
            "invalid cache_control ttl: \" 5m\""},
        Row{R"({"type":"ephemeral","ttl":"5m\u0000"})", MarkerFault::kInvalidTtl,
            R"(invalid cache_control ttl: "5m\0")"}}) {
    const auto tier = reading(row.marker);
    ASSERT_FALSE(tier) << row.marker;
    EXPECT_EQ(tier.error().status, core::Status::kRejected);
    EXPECT_EQ(tier.error().reason, static_cast<int>(row.fault)) << row.marker;
    EXPECT_EQ(tier.error().message, row.message) << row.marker;
  }
}

TEST(Marker, ATierThatIsOffIsAnError) {
  TierPolicy policy;
  policy.enabled = {Tier::k1h};
  policy.fallback = Tier::k1h;
  const auto off = reading(R"({"type":"ephemeral","ttl":"24h"})", policy);
  ASSERT_FALSE(off);
  EXPECT_EQ(off.error().reason, static_cast<int>(MarkerFault::kDisabledTier));
  EXPECT_EQ(off.error().message, "cache_control ttl tier '24h' is not currently available");
  EXPECT_TRUE(reading(R"({"type":"ephemeral"})", policy));
}

TEST(Marker, TheRejectionOfATierThatIsOffNamesThoseThatAreOnAsConfigured) {
  TierPolicy policy;
  policy.enabled = {Tier::k1h, Tier::k5m};
  const core::Error off = marker_error(MarkerFault::kDisabledTier, "24h");
  EXPECT_EQ(rejection_message(off, policy),
            "cache_control ttl tier '24h' is not currently available; available tiers: 1h, 5m");
  const core::Error other = marker_error(MarkerFault::kInvalidTtl, "2h");
  EXPECT_EQ(rejection_message(other, policy), other.message);
}

TEST(Marker, TheOtherFaultsHaveTheReferencesWordsToo) {
  EXPECT_EQ(marker_error(MarkerFault::kTooManyBreakpoints).message,
            "too many cache_control breakpoints (max 4)");
  EXPECT_EQ(
      marker_error(MarkerFault::kAutomaticTtlConflict).message,
      "top-level cache_control ttl conflicts with the explicit cache_control on the last block");
  EXPECT_EQ(marker_error(MarkerFault::kNoAutomaticSlot).message,
            "no breakpoint slot left for automatic caching (all 4 used by explicit markers)");
}

}  // namespace
}  // namespace satchel::prompt_cache
