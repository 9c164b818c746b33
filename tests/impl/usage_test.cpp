#include "prompt_cache/usage.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace satchel::prompt_cache {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr CacheUsage kCounts{30, 5, 6, 7};
// What kCounts become behind the other members of a usage object.
constexpr std::string_view kWritten =
    R"("cache_read_input_tokens":30,"cache_creation_input_tokens":18,"cache_creation":)"
    R"({"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":6,"ephemeral_24h_input_tokens":7})";

struct Edited {
  std::string text;
  UsageSeen seen;
};

Edited edited(std::string_view usage, UsageEdit::Kind kind, const CacheUsage& counts = {}) {
  Edited out;
  core::JsonTape tape;
  const auto read = tape.read(usage);
  EXPECT_TRUE(read) << usage;
  core::JsonEdits edits;
  edit_usage(tape.root(), {kind, counts}, edits, out.seen);
  EXPECT_EQ(edits.empty(), !out.seen.changed);
  edits.apply(usage, out.text);
  EXPECT_TRUE(tape.read(out.text)) << out.text;
  return out;
}

std::string scrubbed(std::string_view usage) { return edited(usage, UsageEdit::Kind::kScrub).text; }

std::string injected(std::string_view usage) {
  return edited(usage, UsageEdit::Kind::kInject, kCounts).text;
}

TEST(Capped, CountsThatFitStay) {
  EXPECT_EQ(capped(kCounts, 48), kCounts);
  EXPECT_EQ(capped(kCounts, kMax), kCounts);
}

TEST(Capped, WithoutPromptTokensNothingIsCut) { EXPECT_EQ(capped(kCounts, std::nullopt), kCounts); }

TEST(Capped, ReadIsCutToWhatCreationLeaves) {
  EXPECT_EQ(capped(kCounts, 47), (CacheUsage{29, 5, 6, 7}));
  EXPECT_EQ(capped(kCounts, 18), (CacheUsage{0, 5, 6, 7}));
}

TEST(Capped, CreationOverThePromptMakesEverythingZero) {
  EXPECT_EQ(capped(kCounts, 17), CacheUsage{});
  EXPECT_EQ(capped(kCounts, 0), CacheUsage{});
}

TEST(Capped, SumsOver64BitsDoNotWrapIntoASmallNumber) {
  EXPECT_EQ(capped({1, kMax, 1, 0}, 100), CacheUsage{});
  EXPECT_EQ(capped({kMax, 10, 0, 0}, 100), (CacheUsage{90, 10, 0, 0}));
}

TEST(Inject, WritesAllFieldsBehindTheOthers) {
  EXPECT_EQ(
      injected(R"({"prompt_tokens":100, "total_tokens":9 })"),
      R"({"prompt_tokens":100, "total_tokens":9,"prompt_tokens_details":{"cached_tokens":30},)" +
          std::string(kWritten) + " }");
}

TEST(Inject, AnEmptyUsageGetsAllFields) {
  EXPECT_EQ(injected("{}"),
            R"({"prompt_tokens_details":{"cached_tokens":30},)" + std::string(kWritten) + "}");
}

TEST(Inject, AUsageOfNothingButProviderFieldsGetsOurs) {
  EXPECT_EQ(injected(R"({ "cache_discount" : 0.5 , "cache_creation":{} })"),
            R"({ "prompt_tokens_details":{"cached_tokens":30},)" + std::string(kWritten) + " }");
}

TEST(Inject, CachedTokensAreReplacedWhereTheyStand) {
  for (const std::string_view value : {"0", "12", "null", "\"12\"", "1.5", "[1,2]", "{}"}) {
    EXPECT_EQ(injected(R"({"prompt_tokens_details":{"audio":1,"cached_tokens":)" +
                       std::string(value) + R"( ,"x":2}})"),
              R"({"prompt_tokens_details":{"audio":1,"cached_tokens":30 ,"x":2},)" +
                  std::string(kWritten) + "}");
  }
}

TEST(Inject, DetailsWithoutCachedTokensGetThem) {
  EXPECT_EQ(
      injected(R"({"prompt_tokens_details":{"audio":1}})"),
      R"({"prompt_tokens_details":{"audio":1,"cached_tokens":30},)" + std::string(kWritten) + "}");
  EXPECT_EQ(injected(R"({"prompt_tokens_details":{ }})"),
            R"({"prompt_tokens_details":{"cached_tokens":30 },)" + std::string(kWritten) + "}");
}

TEST(Inject, DetailsThatAreNoObjectAreLeftAlone) {
  for (const std::string_view value : {"null", "7", "[]", "\"cached_tokens\"", "true"}) {
    const std::string usage = R"({"prompt_tokens_details":)" + std::string(value);
    EXPECT_EQ(injected(usage + "}"), usage + "," + std::string(kWritten) + "}");
  }
}

TEST(Inject, TheCountsWrittenAreCappedByPromptTokens) {
  const Edited out = edited(R"({"prompt_tokens":20})", UsageEdit::Kind::kInject, kCounts);
  EXPECT_EQ(out.seen.written, (CacheUsage{2, 5, 6, 7}));
  EXPECT_NE(out.text.find(R"("cached_tokens":2})"), std::string::npos) << out.text;
  EXPECT_NE(out.text.find(R"("cache_read_input_tokens":2,)"), std::string::npos) << out.text;
}

TEST(Inject, OnlyAnUnsignedIntegerCaps) {
  for (const std::string_view prompt : {"null", "-1", "1.0", "1e0", "\"1\"", "-0"}) {
    const Edited out = edited(R"({"prompt_tokens":)" + std::string(prompt) + "}",
                              UsageEdit::Kind::kInject, kCounts);
    EXPECT_EQ(out.seen.written, kCounts) << prompt;
    EXPECT_FALSE(out.seen.prompt_tokens) << prompt;
  }
}

TEST(Inject, OfTwoPromptTokensTheLastCounts) {
  const Edited out =
      edited(R"({"prompt_tokens":1,"prompt_tokens":100})", UsageEdit::Kind::kInject, kCounts);
  EXPECT_EQ(out.seen.written, kCounts);
  EXPECT_EQ(out.seen.prompt_tokens, 100U);
}

TEST(Inject, ACreationSumOver64BitsIsWrittenAsTheLargestNumber) {
  const Edited out = edited("{}", UsageEdit::Kind::kInject, {0, kMax, 1, 0});
  EXPECT_NE(out.text.find(R"("cache_creation_input_tokens":18446744073709551615,)"),
            std::string::npos)
      << out.text;
}

struct ScrubCase {
  std::string_view usage;
  std::string_view expected;
};

TEST(Scrub, RemovesWhatTheProviderSaysAboutItsCache) {
  const std::vector<ScrubCase> cases = {
      {R"({"a":1,"cache_read_input_tokens":5})", R"({"a":1})"},
      {R"({"cache_creation_input_tokens":5,"a":1})", R"({"a":1})"},
      {R"({"a":1, "cache_creation":{"x":[1,{"cache_discount":2}]}, "b":2})", R"({"a":1, "b":2})"},
      {R"({"prompt_cache_hit_tokens":null,"prompt_cache_miss_tokens":"x"})", "{}"},
      {R"({"a":1,"cache_discount":0.1,"b":2,"cache_discount":0.2})", R"({"a":1,"b":2})"},
      {R"({"cache_discount":0.1,"cache_discount":0.2,"b":2})", R"({"b":2})"},
      {R"({"\u0063ache_discount":0.1,"b":2})", R"({"b":2})"},
  };
  for (const ScrubCase& c : cases) EXPECT_EQ(scrubbed(c.usage), c.expected) << c.usage;
}

TEST(Scrub, SetsCachedTokensToZero) {
  for (const std::string_view value :
       {"7", "null", "\"7\"", "0.0", "-0", "-1", "[]", "{\"a\":0}"}) {
    EXPECT_EQ(scrubbed(R"({"prompt_tokens_details":{"cached_tokens": )" + std::string(value) +
                       R"( ,"b":1}})"),
              R"({"prompt_tokens_details":{"cached_tokens": 0 ,"b":1}})");
  }
}

TEST(Scrub, OfTwoCachedTokensTheLastIsEdited) {
  EXPECT_EQ(scrubbed(R"({"prompt_tokens_details":{"cached_tokens":0,"cached_tokens":7}})"),
            R"({"prompt_tokens_details":{"cached_tokens":0,"cached_tokens":0}})");
  EXPECT_EQ(
      scrubbed(
          R"({"prompt_tokens_details":{"cached_tokens":1},"prompt_tokens_details":{"cached_tokens":7}})"),
      R"({"prompt_tokens_details":{"cached_tokens":1},"prompt_tokens_details":{"cached_tokens":0}})");
}

TEST(Scrub, ACleanUsageIsNotChanged) {
  for (const std::string_view usage :
       {R"({})", R"({ "prompt_tokens" : 7 })", R"({"prompt_tokens_details":{"cached_tokens":0}})",
        R"({"prompt_tokens_details":{}})", R"({"prompt_tokens_details":null})",
        R"({"prompt_tokens_details":[{"cached_tokens":7}]})", R"({"cached_tokens":7})",
        R"({"nested":{"cache_discount":1}})", R"({"Cache_discount":1})"}) {
    const Edited out = edited(usage, UsageEdit::Kind::kScrub);
    EXPECT_EQ(out.text, usage);
    EXPECT_FALSE(out.seen.changed) << usage;
    EXPECT_TRUE(out.seen.usage) << usage;
  }
}

TEST(Leave, ChangesNothingAndStillNotesTheNumbers) {
  const std::string_view usage =
      R"({"prompt_tokens":50,"cache_discount":1,"prompt_tokens_details":{"cached_tokens":7}})";
  const Edited out = edited(usage, UsageEdit::Kind::kLeave, kCounts);
  EXPECT_EQ(out.text, usage);
  EXPECT_TRUE(out.seen.usage);
  EXPECT_FALSE(out.seen.changed);
  EXPECT_EQ(out.seen.prompt_tokens, 50U);
  EXPECT_EQ(out.seen.upstream_cached_tokens, 7U);
  EXPECT_EQ(out.seen.written, CacheUsage{});
}

TEST(Seen, UpstreamCachedTokensAreTheFirstSeenAndPromptTokensTheLast) {
  UsageSeen seen;
  for (const std::string_view usage :
       {R"({"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":"x"}})",
        R"({"prompt_tokens":2,"prompt_tokens_details":{"cached_tokens":0}})",
        R"({"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":9}})",
        R"({"prompt_tokens":null})"}) {
    core::JsonTape tape;
    ASSERT_TRUE(tape.read(usage));
    core::JsonEdits edits;
    edit_usage(tape.root(), {UsageEdit::Kind::kInject, kCounts}, edits, seen);
  }
  EXPECT_EQ(seen.upstream_cached_tokens, 0U);
  EXPECT_EQ(seen.prompt_tokens, 3U);
  EXPECT_EQ(seen.written, kCounts);
}

}  // namespace
}  // namespace satchel::prompt_cache
