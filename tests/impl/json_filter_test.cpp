#include <gtest/gtest.h>

#include <new>
#include <string>
#include <string_view>

#include "allocations.hpp"
#include "prompt_cache/response_filter.hpp"

namespace satchel::prompt_cache {
namespace {

class Judge final : public UsageJudge {
 public:
  explicit Judge(UsageEdit::Kind kind = UsageEdit::Kind::kScrub) : edit{kind, {30, 0, 5, 0}} {}
  UsageEdit judge(bool terminal) override {
    ++asked;
    EXPECT_TRUE(terminal);
    return edit;
  }
  UsageEdit edit;
  int asked = 0;
};

// The body through a filter, in pieces of `step` bytes.
std::string filtered(ResponseFilter& filter, std::string_view body, std::size_t step) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += step) {
    const auto bytes = filter.write(body.substr(at, step));
    EXPECT_TRUE(bytes);
    if (bytes) out += *bytes;
  }
  const auto rest = filter.end();
  EXPECT_TRUE(rest);
  if (rest) out += *rest;
  return out;
}

constexpr std::string_view kBody =
    "\n { \"usage\":{\"prompt_tokens\":90,\"cache_discount\":1}, \"id\":\"h\xc3\xa9\" }\n";
constexpr std::string_view kScrubbed =
    "\n { \"usage\":{\"prompt_tokens\":90}, \"id\":\"h\xc3\xa9\" }\n";

TEST(JsonFilter, AnyChunkingGivesTheSameBytes) {
  for (std::size_t step = 1; step <= kBody.size(); ++step) {
    Judge judge;
    const auto filter = make_json_filter(judge, {});
    EXPECT_EQ(filtered(*filter, kBody, step), kScrubbed) << step;
    EXPECT_TRUE(filter->seen().changed);
    EXPECT_TRUE(filter->seen().usage);
    EXPECT_EQ(filter->seen().prompt_tokens, 90U);
    EXPECT_EQ(judge.asked, 1);
  }
}

TEST(JsonFilter, WritesTheCountsIntoTheUsage) {
  Judge judge(UsageEdit::Kind::kInject);
  const auto filter = make_json_filter(judge, {});
  EXPECT_EQ(filtered(*filter, R"({"usage":{"prompt_tokens":20}})", 100),
            R"({"usage":{"prompt_tokens":20,"prompt_tokens_details":{"cached_tokens":15},)"
            R"("cache_read_input_tokens":15,"cache_creation_input_tokens":5,"cache_creation":)"
            R"({"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":5,)"
            R"("ephemeral_24h_input_tokens":0}}})");
  EXPECT_EQ(filter->seen().written, (CacheUsage{15, 0, 5, 0}));
}

TEST(JsonFilter, OfTwoUsageMembersTheLastIsEdited) {
  Judge judge;
  const auto filter = make_json_filter(judge, {});
  EXPECT_EQ(filtered(*filter, R"({"usage":{"cache_discount":1},"usage":{"cache_discount":2}})", 7),
            R"({"usage":{"cache_discount":1},"usage":{}})");
}

TEST(JsonFilter, WhatHasNoUsageObjectPassesAsItIs) {
  for (const std::string_view body :
       {"", "  ", "{", "{}", R"({"usage":null})", R"({"usage":[{}]})", R"({"usage":{},"usage":1})",
        R"({"a":{"usage":{"cache_discount":1}}})", R"({"usage":{"cache_discount":1}} x)",
        R"({"usage":{"cache_discount":1},})", "{\"usage\":{\"cache_discount\":1},\"x\":\"\xff\"}",
        "\xef\xbb\xbf{\"usage\":{\"cache_discount\":1}}", R"([{"usage":{"cache_discount":1}}])",
        "<html>\"usage\":{}</html>"}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{1000}}) {
      Judge judge;
      const auto filter = make_json_filter(judge, {});
      EXPECT_EQ(filtered(*filter, body, step), body);
      EXPECT_FALSE(filter->seen().usage) << body;
      EXPECT_FALSE(filter->seen().changed) << body;
      EXPECT_EQ(judge.asked, 0) << body;
    }
  }
}

TEST(JsonFilter, AnObjectIsHeldUntilItsEnd) {
  Judge judge;
  const auto filter = make_json_filter(judge, {});
  for (const std::string_view chunk : {" ", "\t{\"a\":", "1}"}) {
    const auto out = filter->write(chunk);
    ASSERT_TRUE(out);
    EXPECT_EQ(*out, "");
  }
  const auto rest = filter->end();
  ASSERT_TRUE(rest);
  EXPECT_EQ(*rest, " \t{\"a\":1}");
}

TEST(JsonFilter, WhatBeginsAsNoObjectIsNotHeld) {
  Judge judge;
  const auto filter = make_json_filter(judge, {});
  const std::string_view first = "<html>";
  const auto out = filter->write(first);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->data(), first.data());
  const auto next = filter->write("{\"usage\":{}}");
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, "{\"usage\":{}}");
}

TEST(JsonFilter, ABodyOverTheLimitPassesAsItIs) {
  Judge judge;
  const auto filter = make_json_filter(judge, {.max_body_bytes = kBody.size() - 1});
  const auto held = filter->write(kBody.substr(0, 10));
  ASSERT_TRUE(held);
  EXPECT_EQ(*held, "");
  const auto all = filter->write(kBody.substr(10));
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, kBody);
  const auto more = filter->write("more");
  ASSERT_TRUE(more);
  EXPECT_EQ(*more, "more");
  const auto rest = filter->end();
  ASSERT_TRUE(rest);
  EXPECT_EQ(*rest, "");
  EXPECT_FALSE(filter->seen().usage);
  EXPECT_EQ(judge.asked, 0);
}

TEST(JsonFilter, ABodyOfExactlyTheLimitIsEdited) {
  Judge judge;
  const auto filter = make_json_filter(judge, {.max_body_bytes = kBody.size()});
  EXPECT_EQ(filtered(*filter, kBody, 5), kScrubbed);
}

TEST(JsonFilter, AfterTheEndEveryCallIsRefused) {
  Judge judge;
  const auto filter = make_json_filter(judge, {});
  ASSERT_TRUE(filter->end());
  const auto write = filter->write("{}");
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().status, core::Status::kState);
  const auto end = filter->end();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().status, core::Status::kState);
}

// Every allocation fails once. What was lost must not end cleanly.
TEST(JsonFilter, AFailedAllocationNeverEndsInAShorterResponse) {
  for (std::size_t nth = 1;; ++nth) {
    Judge judge(UsageEdit::Kind::kInject);
    const auto filter = make_json_filter(judge, {});
    std::string out;
    bool thrown = false;
    bool failed = false;
    {
      const test::FailingAllocation failing(nth);
      try {
        for (const std::string_view chunk : {kBody.substr(0, 9), kBody.substr(9)}) {
          if (!filter->write(chunk)) break;
        }
        const auto rest = filter->end();
        if (rest) out = *rest;
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      failed = failing.happened();
    }
    if (thrown) {
      const auto after = filter->end();
      ASSERT_FALSE(after) << nth;
    } else {
      EXPECT_NE(out.find("\"cached_tokens\":30"), std::string::npos) << nth << out;
    }
    if (!failed) break;
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
