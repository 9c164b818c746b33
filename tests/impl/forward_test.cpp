#include "prompt_cache/forward.hpp"

#include <gtest/gtest.h>

#include <string>

namespace satchel::prompt_cache {
namespace {

struct Forwarded {
  std::string body;
  bool had_markers = false;
  bool changed = false;
};

Forwarded forwarded(std::string_view body, const TelemetryPolicy& telemetry = {}) {
  Forwarded out;
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(body)) << body;
  core::JsonEdits edits;
  out.had_markers = edit_forwarded_body(tape.root(), telemetry, edits);
  out.changed = !edits.empty();
  edits.apply(body, out.body);
  EXPECT_TRUE(tape.read(out.body)) << out.body;
  return out;
}

#define M R"("cache_control":{"type":"ephemeral"})"

TEST(Forward, MarkersGoWhereParsingReadsThem) {
  struct Row {
    std::string_view body;
    std::string_view expected;
  };
  for (const Row& row :
       {Row{"{" M "}", "{}"}, Row{R"({"a":1,)" M "}", R"({"a":1})"},
        Row{"{" M R"(,"a":1})", R"({"a":1})"},
        Row{R"({"tools":[{"n":1,)" M R"(},{)" M R"(,"n":2}]})", R"({"tools":[{"n":1},{"n":2}]})"},
        Row{R"({"messages":[{"role":"user","content":[{"text":"a",)" M "}]}]}",
            R"({"messages":[{"role":"user","content":[{"text":"a"}]}]})"},
        Row{R"({"messages":[{"content":[{)" M "}]}]}", R"({"messages":[{"content":[{}]}]})"},
        Row{R"({"messages":[{"role":"assistant","tool_calls":[{"id":1,)" M "}]}]}",
            R"({"messages":[{"role":"assistant","tool_calls":[{"id":1}]}]})"},
        Row{R"({"messages":[{"role":"user","tool_calls":[{"id":1,)" M "}]}]}",
            R"({"messages":[{"role":"user","tool_calls":[{"id":1}]}]})"},
        Row{R"({"messages":[{"tool_calls":[{)" M "}]}]}", R"({"messages":[{"tool_calls":[{}]}]})"},
        Row{R"({"messages":[1,null,"x",[{)" M R"(}],{"content":[{)" M "}]}]}",
            R"({"messages":[1,null,"x",[{)" M R"(}],{"content":[{}]}]})"}}) {
    const Forwarded out = forwarded(row.body);
    EXPECT_EQ(out.body, row.expected) << row.body;
    EXPECT_TRUE(out.had_markers) << row.body;
  }
}

TEST(Forward, MarkersAnywhereElseAreTheClientsData) {
  for (const std::string_view body :
       {R"({"tools":[{"function":{"parameters":{)" M "}," M "}}]}",
        R"({"messages":[{"content":"x",)" M "}]}", R"({"messages":[{"content":{)" M "}}]}",
        R"({"messages":[{"content":[[{)" M "}]]}]}",
        R"({"messages":[{"tool_calls":[{"function":{)" M "}}]}]}", R"({"metadata":{)" M "}}",
        R"({"tools":{)" M "}}", R"({"messages":{"content":[{)" M "}]}}", R"([{)" M "}]",
        R"({"Cache_control":1,"cache_control ":1})"}) {
    const Forwarded out = forwarded(body);
    EXPECT_FALSE(out.changed) << body;
    EXPECT_FALSE(out.had_markers) << body;
  }
}

TEST(Forward, ANullMarkerGoesButIsNoWishToCache) {
  const Forwarded null =
      forwarded(R"({"cache_control":null,"tools":[{"cache_control" : null , "n":1}]})");
  EXPECT_EQ(null.body, R"({"tools":[{"n":1}]})");
  EXPECT_TRUE(null.changed);
  EXPECT_FALSE(null.had_markers);
}

TEST(Forward, OfMarkersGivenTwiceTheLastOneIsTheWishAndAllGo) {
  const Forwarded last_null = forwarded(R"({"tools":[{"cache_control":1,"cache_control":null}]})");
  EXPECT_EQ(last_null.body, R"({"tools":[{}]})");
  EXPECT_FALSE(last_null.had_markers);
  const Forwarded last_set =
      forwarded(R"({"tools":[{"cache_control":null,"a":1,"\u0063ache_control":1}]})");
  EXPECT_EQ(last_set.body, R"({"tools":[{"a":1}]})");
  EXPECT_TRUE(last_set.had_markers);
}

TEST(Forward, OtherBytesStayAsTheClientSentThem) {
  const std::string_view body =
      "\n{ \"model\" : \"m\\u0041\" , \"n\":1.50e+2,\t\"tools\" : [ {\"b\":1 , " M
      " , \"a\":-0} ] }\r\n";
  EXPECT_EQ(
      forwarded(body).body,
      "\n{ \"model\" : \"m\\u0041\" , \"n\":1.50e+2,\t\"tools\" : [ {\"b\":1 , \"a\":-0} ] }\r\n");
}

// ------------------------------------------------------------------------- include_usage

TEST(Forward, AStreamIsAskedForItsUsage) {
  struct Row {
    std::string_view body;
    std::string_view expected;
  };
  for (const Row& row :
       {Row{R"({"stream":true})", R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":{}})",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream_options":{ },"stream":true})",
            R"({"stream_options":{"include_usage":true },"stream":true})"},
        Row{R"({"stream":true,"stream_options":{"a":1}})",
            R"({"stream":true,"stream_options":{"a":1,"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":{"include_usage":false,"a":1}})",
            R"({"stream":true,"stream_options":{"include_usage":true,"a":1}})"},
        Row{R"({"stream":true,"stream_options":{"include_usage":null}})",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":{"include_usage":"true"}})",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":{"include_usage":{"x":[]}}})",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":false,"stream":true})",
            R"({"stream":false,"stream":true,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":1,"stream_options":{}})",
            R"({"stream":true,"stream_options":1,"stream_options":{"include_usage":true}})"},
        Row{R"({"stream":true,"stream_options":{"include_usage":true,"include_usage":false}})",
            R"({"stream":true,"stream_options":{"include_usage":true,"include_usage":true}})"},
        Row{R"({"stream":true,)" M "}",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{"{" M R"(,"stream":true})",
            R"({"stream":true,"stream_options":{"include_usage":true}})"},
        Row{"{" M R"(,"stream":true,"x":1, )" M " }",
            R"({"stream":true,"x":1,"stream_options":{"include_usage":true} })"}}) {
    EXPECT_EQ(forwarded(row.body).body, row.expected) << row.body;
  }
}

TEST(Forward, NothingIsAskedForWhereNoneIsNeededOrThereIsNoPlaceForIt) {
  for (const std::string_view body :
       {"{}", R"({"stream":false})", R"({"stream":null})", R"({"stream":"true"})",
        R"({"stream":1})", R"({"stream":true,"stream":false})",
        R"({"stream":true,"stream_options":null})", R"({"stream":true,"stream_options":[]})",
        R"({"stream":true,"stream_options":"x"})",
        R"({"stream":true,"stream_options":{},"stream_options":null})",
        R"({"stream":true,"stream_options":{"include_usage":true}})",
        R"({"stream":true,"stream_options":{"include_usage":false,"include_usage":true}})",
        R"({"options":{"stream":true}})"}) {
    EXPECT_FALSE(forwarded(body).changed) << body;
  }
}

// ----------------------------------------------------------------------------- telemetry

const TelemetryPolicy kStrip{{"x-bill"}, true};

TEST(Forward, TelemetryIsForwardedUnlessItIsToBeStripped) {
  const std::string_view body =
      R"({"messages":[{"role":"system","content":[{"text":"x-bill 1"},{"text":"a"}]}]})";
  EXPECT_FALSE(forwarded(body, {{"x-bill"}, false}).changed);
  EXPECT_EQ(forwarded(body, kStrip).body,
            R"({"messages":[{"role":"system","content":[{"text":"a"}]}]})");
}

TEST(Forward, StrippedBlocksGoWithTheirNullMarkersAndTheOthersLoseTheirs) {
  const Forwarded out = forwarded(
      R"({"messages":[{"role":"system","content":[{"text":"x-bill","cache_control":null},{"text":"a",)" M
      R"(},{"text":" x-bill"},{"text":"x-bill",)" M R"(},{"text":"x-bill 9"}]}]})",
      kStrip);
  EXPECT_EQ(out.body,
            R"({"messages":[{"role":"system","content":[{"text":"a"},{"text":"x-bill"}]}]})");
  EXPECT_TRUE(out.had_markers);
}

TEST(Forward, AMessageOfTelemetryAloneKeepsAnEmptyContent) {
  EXPECT_EQ(
      forwarded(
          R"({"messages":[{"role":"system","content":[ {"text":"x-bill"} , {"text":"x-bill"} ]}]})",
          kStrip)
          .body,
      R"({"messages":[{"role":"system","content":[  ]}]})");
}

TEST(Forward, OnlySystemMessagesAreStripped) {
  for (const std::string_view body :
       {R"({"messages":[{"role":"user","content":[{"text":"x-bill"}]}]})",
        R"({"messages":[{"content":[{"text":"x-bill"}]}]})",
        R"({"messages":[{"role":"system","content":"x-bill"}]})",
        R"({"messages":[{"role":"system","content":["x-bill"]}]})"}) {
    EXPECT_FALSE(forwarded(body, kStrip).changed) << body;
  }
}

TEST(Forward, WhatIsNoObjectStays) {
  for (const std::string_view body : {"[]", "null", "7", R"("cache_control")"}) {
    EXPECT_FALSE(forwarded(body).changed);
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
