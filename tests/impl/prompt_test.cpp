#include "prompt_cache/prompt.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace satchel::prompt_cache {
namespace {

using std::string_view_literals::operator""sv;

// A body and what is read from it.
class Parsed {
 public:
  explicit Parsed(std::string body, PromptPolicy policy = {})
      : body_(std::move(body)), policy_(std::move(policy)) {
    EXPECT_TRUE(tape_.read(body_)) << body_;
    prompt_.read(tape_, policy_);
  }

  [[nodiscard]] const Prompt& prompt() const { return prompt_; }
  // The kind of the fault that a request is rejected for; kNone for none.
  [[nodiscard]] MarkerFault validated() const { return fault(prompt_.validate()); }
  MarkerFault parsed() { return fault(prompt_.find_breakpoints()); }

  // "role[message]: text", a line a block.
  std::string blocks() {
    std::string out;
    std::string storage;
    for (const Block& block : prompt_.blocks()) {
      out.append(prompt_.role(block) + "[" + std::to_string(block.message) + "]: ");
      out.append(prompt_.text(block, canonical_, storage)).append("\n");
    }
    return out;
  }

  // "block tier prefix", a line a breakpoint; the prefix in wire form.
  std::string breakpoints() {
    EXPECT_EQ(parsed(), MarkerFault::kNone);
    std::string out;
    for (const Breakpoint& point : prompt_.breakpoints()) {
      out.append(std::to_string(point.block) + " ").append(tier_name(point.tier)).append(" {");
      const Prefix& prefix = point.prefix;
      if (prefix.tools >= 0) out.append("tools:" + std::to_string(prefix.tools));
      if (prefix.message >= 0) out.append("message:" + std::to_string(prefix.message));
      if (prefix.block >= 0) out.append(",block:" + std::to_string(prefix.block));
      if (prefix.tool_call >= 0) out.append(",tool_call:" + std::to_string(prefix.tool_call));
      out.append("}\n");
    }
    return out;
  }

  // Checks that the blocks hash to what the contributions do, each prefix.
  void expect_hashed(const std::vector<std::string>& contributions) {
    ASSERT_EQ(prompt_.blocks().size(), contributions.size()) << body_;
    core::Sha256 hash;
    std::string so_far;
    std::string storage;
    for (std::size_t i = 0; i < contributions.size(); ++i) {
      const Block& block = prompt_.blocks()[i];
      const std::uint64_t length = prompt_.hash(block, canonical_, hash);
      so_far.append(contributions[i]);
      EXPECT_EQ(hash.digest(), core::sha256(so_far)) << "block " << i << " of " << body_;
      EXPECT_EQ(length, prompt_.text(block, canonical_, storage).size())
          << "block " << i << " of " << body_;
    }
  }

 private:
  static MarkerFault fault(const core::Result<void>& result) {
    return result ? MarkerFault::kNone : static_cast<MarkerFault>(result.error().reason);
  }

  std::string body_;
  PromptPolicy policy_;
  core::JsonTape tape_;
  core::JsonCanonical canonical_;
  Prompt prompt_;
};

std::string contribution(std::string_view role, std::string_view canonical) {
  return std::string(role) + '\0' + std::string(canonical);
}

#define M R"("cache_control":{"type":"ephemeral"})"
#define M1H R"("cache_control":{"type":"ephemeral","ttl":"1h"})"

// --------------------------------------------------------------------------------- blocks

TEST(Prompt, ToolsComeFirstThenEachMessagesContentThenItsToolCalls) {
  Parsed parsed(R"({"messages":[{"role":"system","content":"s"},
      {"tool_calls":[{"id":"c"},{"id":"d"}],"role":"assistant","content":[{"type":"text","text":"a"}]},
      {"role":"tool","content":"t"}],"tools":[{"name":"x"}],"model":"m"})");
  EXPECT_EQ(parsed.blocks(),
            "tool_definition[-1]: {\"name\":\"x\"}\nsystem[0]: s\nassistant[1]: a\n"
            "tool_call[1]: {\"id\":\"c\"}\ntool_call[1]: {\"id\":\"d\"}\ntool[2]: t\n");
}

TEST(Prompt, OnlyTheRoleAssistantHasToolCalls) {
  for (const std::string_view role : {R"("user")", R"("Assistant")", "null", "1", R"("")"}) {
    Parsed parsed(R"({"messages":[{"role":)" + std::string(role) +
                  R"(,"tool_calls":[{"id":1}]}]})");
    EXPECT_EQ(parsed.blocks(), "") << role;
  }
  EXPECT_EQ(Parsed(R"({"messages":[{"role":"assistan\u0074","tool_calls":[{"id":1}]}]})").blocks(),
            "tool_call[0]: {\"id\":1}\n");
}

TEST(Prompt, ARoleThatIsAbsentOrNoStringIsEmpty) {
  for (const std::string_view role : {"", R"("role":null,)", R"("role":1,)", R"("role":["user"],)",
                                      R"("role":"user","role":{},)", R"("role":"",)"}) {
    Parsed parsed(R"({"messages":[{)" + std::string(role) + R"("content":"x"}]})");
    EXPECT_EQ(parsed.blocks(), "[0]: x\n") << role;
    parsed.expect_hashed({contribution("", R"({"text":"x","type":"text"})")});
  }
}

TEST(Prompt, ARoleIsTakenByItsText) {
  Parsed parsed(R"({"messages":[{"role":"\u0075ser\u0000\n","content":"x"}]})");
  parsed.expect_hashed({contribution("user\0\n"sv, R"({"text":"x","type":"text"})")});
}

TEST(Prompt, AMessageThatIsNoObjectHasNoBlocksButKeepsItsOrdinal) {
  EXPECT_EQ(Parsed(R"({"messages":[1,"x",null,["y"],{"role":"user","content":"z"}]})").blocks(),
            "user[4]: z\n");
}

TEST(Prompt, ContentThatIsNeitherStringNorArrayHasNoBlocks) {
  for (const std::string_view content : {"null", "1", "true", R"({"type":"text","text":"x"})"}) {
    EXPECT_EQ(
        Parsed(R"({"messages":[{"role":"user","content":)" + std::string(content) + "}]}").blocks(),
        "");
  }
}

TEST(Prompt, AnArrayIsABlockForEachItemObjectsOrNot) {
  Parsed parsed(
      R"({"messages":[{"role":"user","content":["s",1.0,null,[],{},{"type":"image","text":"t"},{"text":1}]}]})");
  EXPECT_EQ(parsed.blocks(),
            "user[0]: \nuser[0]: \nuser[0]: \nuser[0]: \nuser[0]: \nuser[0]: t\nuser[0]: \n");
  parsed.expect_hashed({contribution("user", "\"s\""), contribution("user", "1.0"),
                        contribution("user", "null"), contribution("user", "[]"),
                        contribution("user", "{}"),
                        contribution("user", R"({"text":"t","type":"image"})"),
                        contribution("user", R"({"text":1})")});
}

TEST(Prompt, ToolsAndCallsNeedNotBeObjects) {
  Parsed parsed(R"({"tools":[1e2,"x"],"messages":[{"role":"assistant","tool_calls":[null,[{)" M
                R"(}]]}]})");
  EXPECT_EQ(parsed.blocks(),
            "tool_definition[-1]: 100.0\ntool_definition[-1]: \"x\"\ntool_call[0]: null\n"
            "tool_call[0]: [{\"cache_control\":{\"type\":\"ephemeral\"}}]\n");
  EXPECT_EQ(parsed.breakpoints(), "");
}

TEST(Prompt, WhatIsNoObjectOrHasNoArraysHasNoBlocks) {
  for (const std::string_view body :
       {"[]", "null", "1", "\"x\"", "{}", R"({"messages":{},"tools":"x"})", R"({"messages":null})",
        R"([{"messages":[{"content":"x"}]}])"}) {
    Parsed parsed{std::string(body)};
    EXPECT_EQ(parsed.blocks(), "") << body;
    EXPECT_EQ(parsed.validated(), MarkerFault::kNone);
    EXPECT_EQ(parsed.breakpoints(), "");
  }
}

TEST(Prompt, TheLastOfMembersGivenTwiceCounts) {
  EXPECT_EQ(
      Parsed(
          R"({"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b",
      "role":"system","content":"c"}]})")
          .blocks(),
      "system[0]: c\n");
}

// ---------------------------------------------------------------------------------- hashes

TEST(Prompt, AStringHashesLikeATextBlockOfIt) {
  for (const std::string_view text : {R"(plain)", R"(a\nb\"c\\)", R"(\u0041\/\u00e9\ud83d\ude00)",
                                      "é漢😀", "", R"(\u0000\u001F\u007f)"}) {
    const std::string quoted = '"' + std::string(text) + '"';
    Parsed string(R"({"messages":[{"role":"user","content":)" + quoted + "}]}");
    Parsed block(R"({"messages":[{"role":"user","content":[{"type":"text","text":)" + quoted +
                 "}]}]}");
    core::Sha256 a;
    core::Sha256 b;
    core::JsonCanonical canonical;
    const auto a_length = string.prompt().hash(string.prompt().blocks()[0], canonical, a);
    const auto b_length = block.prompt().hash(block.prompt().blocks()[0], canonical, b);
    EXPECT_EQ(a.digest(), b.digest()) << text;
    EXPECT_EQ(a_length, b_length) << text;
    EXPECT_EQ(string.blocks(), block.blocks());
  }
}

TEST(Prompt, EveryBlockAddsItsRoleAZeroAndItsCanonicalFormWithoutItsMarker) {
  Parsed parsed(
      R"({"tools":[ { "z" : 1.50 , "cache_control" : null , "a" : { "cache_control" : 1 } } ],"messages":[
      {"role":"user","content":[{"text":"x","type":"text",)" M R"(}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"1",)" M1H
      R"(,"function":{"arguments":"{}","name":"f"}}]}]})");
  parsed.expect_hashed(
      {contribution("tool_definition", R"({"a":{"cache_control":1},"z":1.5})"),
       contribution("user", R"({"text":"x","type":"text"})"),
       contribution("tool_call", R"({"function":{"arguments":"{}","name":"f"},"id":"1"})")});
}

TEST(Prompt, MarkersDoNotChangeAHash) {
  const std::string with =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"x",)" M1H "}]}]}";
  const std::string without =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]})";
  const std::vector<std::string> same = {contribution("user", R"({"text":"x","type":"text"})")};
  Parsed(with).expect_hashed(same);
  Parsed(without).expect_hashed(same);
}

// ----------------------------------------------------------------------------- breakpoints

TEST(Prompt, ABreakpointKnowsItsPrefix) {
  Parsed parsed(R"({"tools":[{"a":1},{)" M R"(},{"b":1}],"messages":[
      {"role":"system","content":[{"text":"s",)" M1H R"(},{"text":"t"}]},
      {"role":"assistant","content":[{"text":"u",)" M R"(}],"tool_calls":[{)" M R"(},{"x":1}]}]})");
  EXPECT_EQ(parsed.breakpoints(),
            "1 5m {tools:2}\n3 1h {message:0,block:0}\n5 5m {message:1,block:0}\n6 5m "
            "{message:1,tool_call:0}\n");
}

TEST(Prompt, OnAMessagesLastElementThePrefixIsTheMessage) {
  EXPECT_EQ(Parsed(R"({"messages":[{"role":"user","content":[{"text":"a"},{"text":"b",)" M "}]}]}")
                .breakpoints(),
            "1 5m {message:0}\n");
  EXPECT_EQ(
      Parsed(R"({"messages":[{"role":"assistant","content":"a","tool_calls":[{"x":1},{)" M "}]}]}")
          .breakpoints(),
      "2 5m {message:0}\n");
  EXPECT_EQ(Parsed(R"({"messages":[{"role":"assistant","content":[{)" M R"(}],"tool_calls":[]}]})")
                .breakpoints(),
            "0 5m {message:0}\n");
}

TEST(Prompt, OrdinalsOfMessagesCountThoseWithoutBlocks) {
  EXPECT_EQ(Parsed(R"({"messages":[1,{"role":"user"},{"role":"user","content":[{)" M "}]}]}")
                .breakpoints(),
            "0 5m {message:2}\n");
}

TEST(Prompt, ANullMarkerIsNone) {
  Parsed parsed(
      R"({"cache_control":null,"tools":[{"cache_control":null}],"messages":[{"content":[{"cache_control":null}]}]})");
  EXPECT_EQ(parsed.validated(), MarkerFault::kNone);
  EXPECT_EQ(parsed.breakpoints(), "");
}

TEST(Prompt, OfMarkersGivenTwiceTheLastCounts) {
  EXPECT_EQ(Parsed(R"({"tools":[{"cache_control":7,)" M1H "}]}").breakpoints(), "0 1h {tools:1}\n");
  EXPECT_EQ(Parsed(R"({"tools":[{)" M R"(,"cache_control":null}]})").breakpoints(), "");
}

// ------------------------------------------------------------------------------- automatic

TEST(Prompt, ATopLevelMarkerMarksTheLastBlock) {
  EXPECT_EQ(
      Parsed("{" M1H
             R"(,"messages":[{"role":"user","content":"a"},{"role":"user","content":["b","c"]}]})")
          .breakpoints(),
      "2 1h {message:1}\n");
  EXPECT_EQ(Parsed("{" M R"(,"tools":[{},{}]})").breakpoints(), "1 5m {tools:2}\n");
}

TEST(Prompt, TheAutomaticPrefixIsTheLastMessageEvenIfThatHasNoBlock) {
  EXPECT_EQ(Parsed("{" M R"(,"messages":[{"role":"user","content":"a"},{"role":"user"},7]})")
                .breakpoints(),
            "0 5m {message:2}\n");
  EXPECT_EQ(Parsed("{" M R"(,"tools":[{}],"messages":[null]})").breakpoints(),
            "0 5m {message:0}\n");
  EXPECT_EQ(Parsed("{" M R"(,"tools":[{}],"messages":[]})").breakpoints(), "0 5m {tools:1}\n");
}

TEST(Prompt, WithoutABlockATopLevelMarkerDoesNothing) {
  Parsed parsed("{" M R"(,"messages":[{"role":"user"}]})");
  EXPECT_EQ(parsed.validated(), MarkerFault::kNone);
  EXPECT_EQ(parsed.breakpoints(), "");
}

TEST(Prompt, ATopLevelMarkerOfTheLastBlocksTierDoesNothing) {
  Parsed parsed("{" M1H R"(,"messages":[{"content":[{)" M1H "}]}]}");
  EXPECT_EQ(parsed.validated(), MarkerFault::kNone);
  EXPECT_EQ(parsed.breakpoints(), "0 1h {message:0}\n");
}

TEST(Prompt, ATopLevelMarkerOfAnotherTierConflicts) {
  Parsed parsed("{" M1H R"(,"messages":[{"content":[{)" M "}]}]}");
  EXPECT_EQ(parsed.validated(), MarkerFault::kAutomaticTtlConflict);
  EXPECT_EQ(parsed.parsed(), MarkerFault::kAutomaticTtlConflict);
}

TEST(Prompt, FourMarkersLeaveNoSlotUnlessOneIsTheLastBlocks) {
  const std::string four = R"({)" M R"(},{)" M R"(},{)" M R"(},{)" M "}";
  Parsed full("{" M R"(,"tools":[)" + four + R"(],"messages":[{"content":"x"}]})");
  EXPECT_EQ(full.validated(), MarkerFault::kNoAutomaticSlot);
  EXPECT_EQ(full.parsed(), MarkerFault::kNoAutomaticSlot);
  Parsed same("{" M R"(,"tools":[)" + four + "]}");
  EXPECT_EQ(same.validated(), MarkerFault::kNone);
  EXPECT_EQ(same.breakpoints(), "0 5m {tools:1}\n1 5m {tools:2}\n2 5m {tools:3}\n3 5m {tools:4}\n");
  EXPECT_EQ(Parsed("{" M1H R"(,"tools":[)" + four + "]}").validated(),
            MarkerFault::kAutomaticTtlConflict);
}

// ---------------------------------------------------------------------------------- errors

TEST(Prompt, TheFirstErrorInDocumentOrderIsTold) {
  const std::string bad_ttl = R"({"cache_control":{"type":"ephemeral","ttl":"9h"}})";
  const std::string bad_type = R"({"cache_control":{"type":"x"}})";
  struct Row {
    std::string body;
    MarkerFault fault;
  };
  for (const Row& row :
       {Row{R"({"messages":[{"content":[)" + bad_type + R"(]}],"tools":[)" + bad_ttl + "]}",
            MarkerFault::kInvalidTtl},
        Row{R"({"messages":[{"tool_calls":[)" + bad_type + R"(],"role":"assistant","content":[)" +
                bad_ttl + "]}]}",
            MarkerFault::kInvalidTtl},
        Row{R"({"cache_control":1,"messages":[{"content":[)" + bad_ttl + "]}]}",
            MarkerFault::kInvalidTtl},
        Row{R"({"cache_control":1})", MarkerFault::kMalformed},
        Row{R"({"messages":[{"role":"user","tool_calls":[)" + bad_type + "]}]}",
            MarkerFault::kNone}}) {
    Parsed parsed(row.body);
    EXPECT_EQ(parsed.validated(), row.fault) << row.body;
    EXPECT_EQ(parsed.parsed(), row.fault) << row.body;
  }
}

TEST(Prompt, FiveMarkersAreTooMany) {
  const std::string five = R"({"tools":[{)" M R"(},{)" M R"(},{)" M R"(},{)" M
                           R"(}],"messages":[{"content":[{)" M "}]}]}";
  EXPECT_EQ(Parsed(five).validated(), MarkerFault::kTooManyBreakpoints);
  EXPECT_EQ(Parsed(five).parsed(), MarkerFault::kTooManyBreakpoints);
}

TEST(Prompt, TheCountIsCheckedBeforeTheTopLevelMarker) {
  const std::string body =
      R"({"cache_control":1,"tools":[{)" M R"(},{)" M R"(},{)" M R"(},{)" M R"(},{)" M "}]}";
  EXPECT_EQ(Parsed(body).validated(), MarkerFault::kTooManyBreakpoints);
  EXPECT_EQ(Parsed(body).parsed(), MarkerFault::kTooManyBreakpoints);
}

TEST(Prompt, ValidationStopsAtTheFifthParsingLooksAtAllFirst) {
  const std::string four = R"({)" M R"(},{)" M R"(},{)" M R"(},{)" M "}";
  const std::string fifth_bad = R"({"tools":[)" + four + R"(,{"cache_control":1}]})";
  EXPECT_EQ(Parsed(fifth_bad).validated(), MarkerFault::kMalformed);
  EXPECT_EQ(Parsed(fifth_bad).parsed(), MarkerFault::kMalformed);
  const std::string sixth_bad = R"({"tools":[)" + four + ",{" M R"(},{"cache_control":1}]})";
  EXPECT_EQ(Parsed(sixth_bad).validated(), MarkerFault::kTooManyBreakpoints);
  EXPECT_EQ(Parsed(sixth_bad).parsed(), MarkerFault::kMalformed);
}

// ------------------------------------------------------------------------------- telemetry

PromptPolicy telemetry(bool strip) {
  PromptPolicy policy;
  policy.telemetry = {{"x-bill"}, strip};
  return policy;
}

constexpr const char* kTelemetryBetween =
    R"({"messages":[{"role":"system","content":[{"text":"a"},{"text":"\nx-bill 1"},{"text":"b",)" M
    R"(},{"text":"c"}]}]})";

TEST(Prompt, TelemetryIsLeftOutOfTheView) {
  Parsed parsed(kTelemetryBetween, telemetry(false));
  EXPECT_EQ(parsed.blocks(), "system[0]: a\nsystem[0]: b\nsystem[0]: c\n");
  parsed.expect_hashed({contribution("system", R"({"text":"a"})"),
                        contribution("system", R"({"text":"b"})"),
                        contribution("system", R"({"text":"c"})")});
}

TEST(Prompt, OrdinalsAreThoseOfTheBodyAsForwarded) {
  EXPECT_EQ(Parsed(kTelemetryBetween, telemetry(false)).breakpoints(),
            "1 5m {message:0,block:2}\n");
  EXPECT_EQ(Parsed(kTelemetryBetween, telemetry(true)).breakpoints(), "1 5m {message:0,block:1}\n");
}

TEST(Prompt, TelemetryBehindTheMarkerEndsTheMessageOnlyWhereItIsNotForwarded) {
  const std::string body =
      R"({"messages":[{"role":"system","content":[{"text":"a",)" M R"(},{"text":"x-bill"}]}]})";
  EXPECT_EQ(Parsed(body, telemetry(false)).breakpoints(), "0 5m {message:0,block:0}\n");
  EXPECT_EQ(Parsed(body, telemetry(true)).breakpoints(), "0 5m {message:0}\n");
}

TEST(Prompt, MarkedTelemetryStays) {
  const std::string body =
      R"({"messages":[{"role":"system","content":[{"text":"x-bill",)" M "}]}]}";
  EXPECT_EQ(Parsed(body, telemetry(true)).breakpoints(), "0 5m {message:0}\n");
}

TEST(Prompt, AStringOfTelemetryStays) {
  EXPECT_EQ(
      Parsed(R"({"messages":[{"role":"system","content":"x-bill"}]})", telemetry(true)).blocks(),
      "system[0]: x-bill\n");
}

TEST(Prompt, OnePromptServesManyBodies) {
  core::JsonTape tape;
  const PromptPolicy policy;
  Prompt prompt;
  ASSERT_TRUE(tape.read("{" M R"(,"tools":[{},{)" M "}]}"));
  prompt.read(tape, policy);
  EXPECT_TRUE(prompt.find_breakpoints());
  ASSERT_TRUE(tape.read(R"({"messages":[{"content":"x"}]})"));
  prompt.read(tape, policy);
  EXPECT_TRUE(prompt.find_breakpoints());
  EXPECT_TRUE(prompt.breakpoints().empty());
  EXPECT_EQ(prompt.blocks().size(), 1U);
  prompt.shrink(0);
  EXPECT_EQ(prompt.blocks().capacity(), 0U);
}

}  // namespace
}  // namespace satchel::prompt_cache
