#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "allocations.hpp"
#include "prompt_cache/response_filter.hpp"

namespace satchel::prompt_cache {
namespace {

class Judge final : public UsageJudge {
 public:
  explicit Judge(UsageEdit::Kind kind = UsageEdit::Kind::kScrub) : edit{kind, {30, 0, 5, 0}} {}
  UsageEdit judge(bool terminal) override {
    asked.push_back(terminal ? 't' : '-');
    return edit;
  }
  bool must_wait() override { return waits; }
  void give_up_waiting() override { waits = false; }
  UsageEdit edit;
  std::string asked;  // a letter a question: t for terminal
  bool waits = false;
};

std::string written(ResponseFilter& filter, std::string_view chunk) {
  const auto out = filter.write(chunk);
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? std::string(*out) : "(error)";
}

std::string ended(ResponseFilter& filter) {
  const auto out = filter.end();
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? std::string(*out) : "(error)";
}

struct Filtered {
  std::string text;
  UsageSeen seen;
  std::string asked;
};

Filtered filtered(std::string_view body, UsageEdit::Kind kind = UsageEdit::Kind::kScrub) {
  Judge judge(kind);
  const auto filter = make_sse_filter(judge, {});
  std::string text = written(*filter, body);
  text += ended(*filter);
  return {text, filter->seen(), judge.asked};
}

// ------------------------------------------------------------------------------ framing

TEST(SseFilter, AnEventPassesAsSoonAsItIsComplete) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  EXPECT_EQ(written(*filter, "data: 1"), "");
  EXPECT_EQ(written(*filter, "\n"), "");
  EXPECT_EQ(written(*filter, "\ndata: 2\n\nda"), "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(written(*filter, "ta: 3\r\n\r"), "");
  EXPECT_EQ(written(*filter, "\n: 4"), "data: 3\r\n\r\n");
  EXPECT_EQ(ended(*filter), ": 4");
}

TEST(SseFilter, AnEventEndsWithAnEmptyLineInEveryMixOfLineEnds) {
  for (const std::string_view end : {"\n\n", "\r\n\r\n", "\n\r\n", "\r\n\n"}) {
    Judge judge;
    const auto filter = make_sse_filter(judge, {});
    const std::string event = "data: x" + std::string(end);
    EXPECT_EQ(written(*filter, event), event);
    for (std::size_t cut = 1; cut < event.size(); ++cut) {
      EXPECT_EQ(written(*filter, event.substr(0, cut)), "");
      EXPECT_EQ(written(*filter, event.substr(cut)), event);
    }
  }
}

TEST(SseFilter, ACarriageReturnAloneEndsNothing) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  EXPECT_EQ(written(*filter, "data: x\r\rdata: y\n\r\r\n"), "");
  EXPECT_EQ(ended(*filter), "data: x\r\rdata: y\n\r\r\n");
}

TEST(SseFilter, WholeEventsWithoutAnEditAreTheCallersOwnBytes) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  const std::string_view chunk = "data: {\"usage\":null}\n\ndata: {\"usage\":{}}\n\nda";
  const auto out = filter->write(chunk);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->data(), chunk.data());
  EXPECT_EQ(out->size(), chunk.size() - 2);
}

TEST(SseFilter, EmptyChunksAndAnEmptyBodyAreFine) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  EXPECT_EQ(written(*filter, ""), "");
  EXPECT_EQ(written(*filter, "a"), "");
  EXPECT_EQ(written(*filter, ""), "");
  EXPECT_EQ(ended(*filter), "a");
}

TEST(SseFilter, AnUnfinishedEventIsReadAtTheEnd) {
  const Filtered out = filtered("data: {\"usage\":{\"cache_discount\":1},\"error\":1}");
  EXPECT_EQ(out.text, "data: {\"usage\":{},\"error\":1}");
  EXPECT_TRUE(out.seen.usage);
  EXPECT_TRUE(out.seen.error_frame);
}

constexpr std::string_view kStream =
    ": keep-alive\r\n\r\n"
    "event: message\nid: 7\ndata: {\"choices\":[{\"delta\":{\"content\":\"h\xc3\xa9\"}}],"
    "\"usage\":null}\n\n"
    "data:  {\"choices\":[{}],\"usage\":{\"prompt_tokens\":5,\"cache_discount\":1}} \r\n\n"
    "data:{\"choices\":[],\"us\\u0061ge\":{\"prompt_tokens\":6,\"prompt_tokens_details\":"
    "{\"cached_tokens\":4}}}\n\r\n"
    "data: {\"error\":null}\r\n\r\n\r\n"
    "data: [DONE]\n\ndata: {\"usage\":{\"cache_creation\":{}}}\n";
constexpr std::string_view kStreamScrubbed =
    ": keep-alive\r\n\r\n"
    "event: message\nid: 7\ndata: {\"choices\":[{\"delta\":{\"content\":\"h\xc3\xa9\"}}],"
    "\"usage\":null}\n\n"
    "data:  {\"choices\":[{}],\"usage\":{\"prompt_tokens\":5}} \r\n\n"
    "data:{\"choices\":[],\"us\\u0061ge\":{\"prompt_tokens\":6,\"prompt_tokens_details\":"
    "{\"cached_tokens\":0}}}\n\r\n"
    "data: {\"error\":null}\r\n\r\n\r\n"
    "data: [DONE]\n\ndata: {\"usage\":{}}\n";

// The stream cut at the places given.
std::string cut_at(const std::vector<std::size_t>& cuts) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  std::string out;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    out += written(*filter, std::string(kStream.substr(from, cut - from)));
    from = cut;
  }
  out += written(*filter, kStream.substr(from));
  out += ended(*filter);
  EXPECT_EQ(judge.asked, "-tt");
  EXPECT_TRUE(filter->seen().changed && filter->seen().usage && filter->seen().error_frame);
  EXPECT_EQ(filter->seen().prompt_tokens, 6U);
  EXPECT_EQ(filter->seen().upstream_cached_tokens, 4U);
  return out;
}

TEST(SseFilter, AnyChunkingGivesTheSameBytes) {
  EXPECT_EQ(cut_at({}), kStreamScrubbed);
  for (std::size_t cut = 1; cut < kStream.size(); ++cut) {
    ASSERT_EQ(cut_at({cut}), kStreamScrubbed) << cut;
  }
  for (std::size_t step = 1; step < 20; ++step) {
    std::vector<std::size_t> cuts;
    for (std::size_t cut = step; cut < kStream.size(); cut += step) cuts.push_back(cut);
    ASSERT_EQ(cut_at(cuts), kStreamScrubbed) << step;
  }
  std::mt19937 random(7);
  for (int i = 0; i < 500; ++i) {
    std::vector<std::size_t> cuts;
    for (std::size_t cut = random() % 60; cut < kStream.size(); cut += random() % 60) {
      cuts.push_back(cut);
    }
    ASSERT_EQ(cut_at(cuts), kStreamScrubbed) << i;
  }
}

// ------------------------------------------------------------------------- what is edited

TEST(SseFilter, TheCountsAreWrittenIntoTheFrameAndNothingElseChanges) {
  const Filtered out = filtered(
      "id: 1\r\ndata:   {\"usage\": {\"prompt_tokens\":20} , \"z\":1.50}\t\r\n\r\ndata: [DONE]\n\n",
      UsageEdit::Kind::kInject);
  EXPECT_EQ(out.text,
            "id: 1\r\ndata:   {\"usage\": {\"prompt_tokens\":20,\"prompt_tokens_details\":"
            "{\"cached_tokens\":15},\"cache_read_input_tokens\":15,\"cache_creation_input_tokens\":"
            "5,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":5,"
            "\"ephemeral_24h_input_tokens\":0}} , \"z\":1.50}\t\r\n\r\ndata: [DONE]\n\n");
  EXPECT_EQ(out.seen.written, (CacheUsage{15, 0, 5, 0}));
}

TEST(SseFilter, AJudgeThatLeavesTheUsageChangesNothing) {
  const std::string_view body = "data: {\"usage\":{\"cache_discount\":1,\"prompt_tokens\":3}}\n\n";
  const Filtered out = filtered(body, UsageEdit::Kind::kLeave);
  EXPECT_EQ(out.text, body);
  EXPECT_TRUE(out.seen.usage);
  EXPECT_FALSE(out.seen.changed);
  EXPECT_EQ(out.seen.prompt_tokens, 3U);
}

TEST(SseFilter, EveryDataLineOfAnEventIsADocumentOfItsOwn) {
  EXPECT_EQ(filtered("data: {\"usage\":{\"cache_discount\":1}}\ndata: x\n"
                     "data: {\"usage\":{\"cache_discount\":2}}\n\n")
                .text,
            "data: {\"usage\":{}}\ndata: x\ndata: {\"usage\":{}}\n\n");
}

TEST(SseFilter, UnicodeWhiteSpaceAroundTheDocumentIsTrimmed) {
  EXPECT_EQ(filtered("data:\u3000{\"usage\":{\"cache_discount\":1}}\u00a0\u2003\r\n\n").text,
            "data:\u3000{\"usage\":{}}\u00a0\u2003\r\n\n");
}

TEST(SseFilter, AnEscapedNameCounts) {
  for (const std::string_view name :
       {"usage", "\\u0075sage", "u\\u0073age", "us\\u0061ge", "usa\\u0067e", "usag\\u0065",
        "\\u0075\\u0073\\u0061\\u0067\\u0065"}) {
    const std::string frame = "data: {\"" + std::string(name) + "\" :\t";
    EXPECT_EQ(filtered(frame + "{\"cache_discount\":1}}\n\n").text, frame + "{}}\n\n");
  }
  for (const std::string_view name :
       {"error", "\\u0065rror", "e\\u0072ror", "err\\u006fr", "err\\u006Fr", "erro\\u0072"}) {
    EXPECT_TRUE(filtered("data: {\"" + std::string(name) + "\" : null}\n\n").seen.error_frame)
        << name;
  }
}

// The search looks at sixteen bytes at a time: the name at every place of them, and at every
// distance from the end of the event.
TEST(SseFilter, ANameIsSeenWhereverItStands) {
  for (std::size_t before = 0; before < 40; ++before) {
    for (std::size_t behind = 0; behind < 40; ++behind) {
      const std::string head = "data: {" + std::string(before, ' ');
      const std::string tail = "}" + std::string(behind, ' ') + "\n\n";
      ASSERT_EQ(filtered(head + "\"usage\":{\"cache_discount\":1}" + tail).text,
                head + "\"usage\":{}" + tail);
      ASSERT_TRUE(filtered(head + "\"error\":0" + tail).seen.error_frame);
    }
  }
}

TEST(SseFilter, WhatIsNoUsageObjectPassesAsItIs) {
  for (const std::string_view line : {
           "data: {\"usage\":null}",
           "data: {\"usage\":7}",
           "data: {\"usage\":[{\"cache_discount\":1}]}",
           "data: {\"usage\":{\"cache_discount\":1},\"usage\":null}",
           "data: {\"x\":{\"usage\":{\"cache_discount\":1}}}",
           "data: [{\"usage\":{\"cache_discount\":1}}]",
           "data: \"\\\"usage\\\":{\\\"cache_discount\\\":1}\"",
           "data: {\"Usage\":{\"cache_discount\":1}}",
           "data: {\"usage\":{\"cache_discount\":1}",
           "data: {\"usage\":{\"cache_discount\":1}}]",
           "data: {\"usage\":{\"cache_discount\":1},\"x\":\"\\ud800\"}",
           "data : {\"usage\":{\"cache_discount\":1}}",
           " data: {\"usage\":{\"cache_discount\":1}}",
           "Data: {\"usage\":{\"cache_discount\":1}}",
           "\xef\xbb\xbf"
           "data: {\"usage\":{\"cache_discount\":1}}",
           "event: {\"usage\":{\"cache_discount\":1}}",
           ": data: {\"usage\":{\"cache_discount\":1}}",
           "data: {\"usage\":\ndata: {\"cache_discount\":1}}",
       }) {
    const std::string body = std::string(line) + "\n\n";
    const Filtered out = filtered(body);
    EXPECT_EQ(out.text, body);
    EXPECT_FALSE(out.seen.usage) << line;
    EXPECT_FALSE(out.seen.changed) << line;
    EXPECT_EQ(out.asked, "") << line;
  }
}

TEST(SseFilter, OfTwoUsageMembersTheLastIsEdited) {
  EXPECT_EQ(
      filtered("data: {\"usage\":{\"cache_discount\":1},\"usage\":{\"cache_discount\":2}}\n\n")
          .text,
      "data: {\"usage\":{\"cache_discount\":1},\"usage\":{}}\n\n");
}

TEST(SseFilter, AnErrorIsAMemberOfTheFrameItself) {
  for (const std::string_view frame : {"{\"error\":{\"message\":\"x\"}}", "{\"error\":null}",
                                       "{\"error\" : \"x\",\"usage\":{}}"}) {
    EXPECT_TRUE(filtered("data: " + std::string(frame) + "\n\n").seen.error_frame) << frame;
  }
  for (const std::string_view frame :
       {"{\"a\":{\"error\":1}}", "{\"a\":\"error\"}", "{\"a\":\"\\\"error\\\":1\"}", "\"error\"",
        "{\"error\":}", "[{\"error\":1}]", "{\"errors\":1}"}) {
    EXPECT_FALSE(filtered("data: " + std::string(frame) + "\n\n").seen.error_frame) << frame;
  }
}

TEST(SseFilter, AnEventThatIsNotUtf8PassesUnreadAndTheNextIsRead) {
  const Filtered out = filtered(
      ": \xe9\ndata: {\"usage\":{\"cache_discount\":1},\"error\":1}\n\n"
      "data: {\"usage\":{\"cache_discount\":1}}\n\n");
  EXPECT_EQ(out.text,
            ": \xe9\ndata: {\"usage\":{\"cache_discount\":1},\"error\":1}\n\n"
            "data: {\"usage\":{}}\n\n");
  EXPECT_FALSE(out.seen.error_frame);
  EXPECT_EQ(out.asked, "t");
}

TEST(SseFilter, OnlyTheLastUsageIsTerminal) {
  struct Case {
    std::string_view choices;
    std::string_view asked;
  };
  const std::vector<Case> cases = {
      {"", "t"},
      {"\"choices\":[],", "t"},
      {"\"choices\":null,", "t"},
      {"\"choices\":{\"a\":1},", "t"},
      {"\"choices\":[{\"delta\":{}}],", "-"},
      {"\"choices\":[{\"finish_reason\":null}],", "-"},
      {"\"choices\":[1,null],", "-"},
      {"\"choices\":[{\"finish_reason\":\"stop\"}],", "t"},
      {"\"choices\":[{\"finish_reason\":null},{\"finish_reason\":\"length\"}],", "t"},
      {"\"choices\":[{\"finish_reason\":\"stop\",\"finish_reason\":null}],", "-"},
      {"\"choices\":[{}],\"choices\":[],", "t"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(filtered("data: {" + std::string(c.choices) + "\"usage\":{}}\n\n").asked, c.asked)
        << c.choices;
  }
}

// OpenRouter's streams: the choice ends, and the usage comes in a frame behind it whose choice says
// nothing of an end.
TEST(SseFilter, UsageBehindTheEndOfAChoiceIsTerminal) {
  const std::string usage =
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}],\"usage\":{}}\n\n";
  const std::vector<std::string_view> ends = {
      "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
      "{\"choices\": [{\"finish_reason\" : \"length\", \"delta\": {}}]}",
      "{\"choices\":[{\"finish_reason\":null},{\"finish_reason\":\"stop\"}]}",
      "{\"choices\":[{\"finish_reason\":null,\"native_finish_reason\":null}]}\n\n"
      "data: {\"choices\":[{\"finish_reason\":\"stop\",\"native_finish_reason\":\"STOP\"}]}",
  };
  for (const std::string_view end : ends) {
    const std::string stream = usage + "data: " + std::string(end) + "\n\n: wait\n\n" + usage;
    EXPECT_EQ(filtered(stream).asked, "-t") << end;
  }
  const std::vector<std::string_view> others = {
      "{\"choices\":[{\"finish_reason\":null}]}",
      "{\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"}}]}",
      "{\"choices\":[{\"delta\":{\"content\":\"finish_reason\"},\"finish_reason\": null}]}",
      "[DONE]",
  };
  for (const std::string_view other : others) {
    EXPECT_EQ(filtered("data: " + std::string(other) + "\n\n" + usage).asked, "-") << other;
  }
}

TEST(SseFilter, EveryUsageOfAStreamIsEdited) {
  const Filtered out = filtered(
      "data: {\"choices\":[{}],\"usage\":{\"cache_discount\":1}}\n\n"
      "data: {\"choices\":[{}],\"usage\":{\"cache_discount\":2}}\n\n"
      "data: {\"choices\":[],\"usage\":{\"cache_discount\":3}}\n\ndata: [DONE]\n\n");
  EXPECT_EQ(out.text,
            "data: {\"choices\":[{}],\"usage\":{}}\n\ndata: {\"choices\":[{}],\"usage\":{}}\n\n"
            "data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n");
  EXPECT_EQ(out.asked, "--t");
}

// ------------------------------------------------------------------------------ the limit

void expect_broken(ResponseFilter& filter) {
  for (int i = 0; i < 2; ++i) {
    const auto write = filter.write("\n\n");
    ASSERT_FALSE(write);
    EXPECT_EQ(write.error().status, core::Status::kStream);
    const auto end = filter.end();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().status, core::Status::kStream);
    EXPECT_NE(end.error().message.find("10 bytes"), std::string::npos) << end.error().message;
  }
}

TEST(SseFilter, AnUnfinishedEventOverTheLimitBreaksTheStreamForGood) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {.max_event_bytes = 10});
  EXPECT_EQ(written(*filter, "1234567890"), "");
  const auto out = filter->write("1");
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().status, core::Status::kStream);
  expect_broken(*filter);
}

TEST(SseFilter, CompleteEventsBeforeTheBreakAreDeliveredAndTheNextCallFails) {
  for (const std::string_view held : {"", "da"}) {
    Judge judge;
    const auto filter = make_sse_filter(judge, {.max_event_bytes = 10});
    EXPECT_EQ(written(*filter, held), "");
    EXPECT_EQ(written(*filter, "ta: {\"usage\":{\"cache_discount\":1}}\n\n12345678901"),
              std::string(held) + (held.empty() ? "ta: {\"usage\":{\"cache_discount\":1}}\n\n"
                                                : "ta: {\"usage\":{}}\n\n"));
    expect_broken(*filter);
  }
}

TEST(SseFilter, TheLimitIsOnUnfinishedEventsOnly) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {.max_event_bytes = 10});
  EXPECT_EQ(written(*filter, "1234567890"), "");
  EXPECT_EQ(written(*filter, "12345\n\n12345"), "123456789012345\n\n");
  EXPECT_EQ(written(*filter, "67890"), "");
  EXPECT_EQ(ended(*filter), "1234567890");
}

TEST(SseFilter, AfterTheEndEveryCallIsRefused) {
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  EXPECT_EQ(ended(*filter), "");
  const auto write = filter->write("data: 1\n\n");
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().status, core::Status::kState);
  const auto end = filter->end();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().status, core::Status::kState);
}

// ------------------------------------------------------------------------------- memory

TEST(SseFilter, FramesWithoutUsageAllocateNothingOnceTheFilterIsWarm) {
  const std::vector<std::string> frames = {
      "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n",
      "data: "
      "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hello\"}}],\"usage\":null}\r\n\r\n",
      "data: "
      "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"\\u4f60\\n\"}}],\"usage\":null}\n\n",
      "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"\\u0068\"}}],\"usage\":null}\n\n",
      "data: "
      "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"h\xc3\xa9\"}}],\"error\":null}\n\n",
      ": keep-alive\n\n",
      "data: [DONE]\n\n",
  };
  Judge judge;
  const auto filter = make_sse_filter(judge, {});
  const auto pass_all = [&] {
    bool well = true;
    for (const std::string_view frame : frames) {
      well = well && filter->write(frame);
      well = well && filter->write(frame.substr(0, frame.size() / 2));
      well = well && filter->write(frame.substr(frame.size() / 2));
    }
    return well;
  };
  ASSERT_TRUE(pass_all());
  const std::size_t before = test::allocations();
  ASSERT_TRUE(pass_all());
  EXPECT_EQ(test::allocations(), before);
}

// Every allocation fails once. What was lost must not end cleanly.
TEST(SseFilter, AFailedAllocationNeverEndsInAShorterResponse) {
  const std::string expected = filtered(kStream, UsageEdit::Kind::kInject).text;
  for (std::size_t nth = 1;; ++nth) {
    Judge judge(UsageEdit::Kind::kInject);
    const auto filter = make_sse_filter(judge, {});
    std::string out;
    out.reserve(4 * expected.size());
    bool thrown = false;
    bool failed = false;
    {
      const test::FailingAllocation failing(nth);
      try {
        for (std::size_t at = 0; at < kStream.size(); at += 50) {
          const auto bytes = filter->write(kStream.substr(at, 50));
          if (bytes) out += *bytes;
        }
        const auto rest = filter->end();
        if (rest) out += *rest;
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      failed = failing.happened();
    }
    if (thrown) {
      ASSERT_EQ(expected.compare(0, out.size(), out), 0) << nth;
      const auto write = filter->write("data: 1\n\n");
      ASSERT_FALSE(write) << nth;
      EXPECT_EQ(write.error().status, core::Status::kStream);
      const auto end = filter->end();
      ASSERT_FALSE(end) << nth;
      EXPECT_EQ(end.error().status, core::Status::kStream);
    } else {
      ASSERT_EQ(out, expected) << nth;
    }
    if (!failed) break;
  }
}

// ------------------------------------------------------------------------------ keeping back

TEST(SseFilter, TheUsageThatCountsIsKeptBackWhileTheJudgeWaits) {
  Judge judge;
  judge.waits = true;
  const auto filter = make_sse_filter(judge, {});
  // An event of two frames: the first is edited at once, unless the second must wait.
  const std::string both =
      "data: {\"choices\":[{}],\"usage\":{\"cache_discount\":1}}\n"
      "data: {\"usage\":{\"cache_discount\":2}}\n\n";
  EXPECT_EQ(written(*filter, "data: 1\n\n" + both), "data: 1\n\n");
  EXPECT_TRUE(filter->pending());
  EXPECT_EQ(written(*filter, "data: [DONE]\n\n"), "");
  EXPECT_FALSE(filter->seen().done);
  EXPECT_EQ(ended(*filter), "");
  EXPECT_TRUE(filter->pending());
  judge.waits = false;
  EXPECT_EQ(ended(*filter),
            "data: {\"choices\":[{}],\"usage\":{}}\ndata: {\"usage\":{}}\n\ndata: [DONE]\n\n");
  EXPECT_FALSE(filter->pending());
  EXPECT_TRUE(filter->seen().done);
}

TEST(SseFilter, AnUnfinishedLastEventIsKeptBackAsWell) {
  Judge judge;
  judge.waits = true;
  const auto filter = make_sse_filter(judge, {});
  EXPECT_EQ(written(*filter, "data: 1\n\ndata: {\"usage\":{\"cache_discount\":2}}"), "data: 1\n\n");
  EXPECT_FALSE(filter->pending());
  EXPECT_EQ(ended(*filter), "");
  EXPECT_TRUE(filter->pending());
  judge.waits = false;
  EXPECT_EQ(ended(*filter), "data: {\"usage\":{}}");
}

TEST(SseFilter, WhatIsKeptBackComesOutAsIfItHadNotBeen) {
  const std::string frames[] = {
      "data: {\"choices\":[{\"delta\":{}}]}\n\n",
      "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":90,\"cache_discount\":1}}\r\n\r\n",
      "data: {\"usage\":{\"prompt_tokens\":80}}\n\n",
      ": comment\n\n",
      "data: {\"choices\":[{}],\"usage\":{}}\ndata: {\"usage\":{\"cache_discount\":2}}\n\n",
      "data: [DONE]\n\n"};
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    std::string stream;
    for (auto left = random() % 12; left > 0; --left)
      stream += frames[random() % std::size(frames)];
    if (random() % 4 == 0) stream.resize(random() % (stream.size() + 1));
    const Filtered expected = filtered(stream, UsageEdit::Kind::kInject);
    Judge judge(UsageEdit::Kind::kInject);
    const auto filter = make_sse_filter(judge, {});
    std::string out;
    for (std::size_t at = 0; at < stream.size();) {
      judge.waits = random() % 2 == 0;
      const std::size_t size = std::min<std::size_t>(random() % 60, stream.size() - at);
      out += written(*filter, std::string_view(stream).substr(at, size));
      at += size;
    }
    for (;;) {
      judge.waits = random() % 2 == 0;
      out += ended(*filter);
      if (!filter->pending()) break;
    }
    ASSERT_EQ(out, expected.text) << round;
    EXPECT_EQ(filter->seen().written, expected.seen.written);
    EXPECT_EQ(filter->seen().done, expected.seen.done);
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
