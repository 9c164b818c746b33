#include "prompt_cache/query.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace satchel::prompt_cache {
namespace {

using Kind = QueryBreakpoint::Kind;

TEST(QueryBreakpoint, IsReadByteForByteAndTheFirstCounts) {
  struct Row {
    std::string_view target;
    Kind kind;
    std::string_view value;
  };
  for (const Row& row :
       {Row{"/p", Kind::kAbsent, ""},
        Row{"/p?", Kind::kAbsent, ""},
        Row{"", Kind::kAbsent, ""},
        Row{"/cacheBreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?cacheBreakpoint=lastUserMessage", Kind::kMarker, "lastUserMessage"},
        Row{"/p?a=1&cacheBreakpoint=lastUserMessage&b", Kind::kMarker, "lastUserMessage"},
        Row{"/p?&&cacheBreakpoint=lastUserMessage&&", Kind::kMarker, "lastUserMessage"},
        Row{"/p?cacheBreakpoint=lastUserMessage&cacheBreakpoint=x", Kind::kMarker,
            "lastUserMessage"},
        Row{"/p?cacheBreakpoint=x&cacheBreakpoint=lastUserMessage", Kind::kInvalid, "x"},
        Row{"/p?cacheBreakpoint", Kind::kInvalid, ""},
        Row{"/p?cacheBreakpoint=", Kind::kInvalid, ""},
        Row{"/p?cacheBreakpoint&cacheBreakpoint=lastUserMessage", Kind::kInvalid, ""},
        Row{"/p?cacheBreakpoint=lastUserMessage=", Kind::kInvalid, "lastUserMessage="},
        Row{"/p?cacheBreakpoint==lastUserMessage", Kind::kInvalid, "=lastUserMessage"},
        Row{"/p?cacheBreakpoint=LastUserMessage", Kind::kInvalid, "LastUserMessage"},
        Row{"/p?cacheBreakpoint=lastUserMessag%65", Kind::kInvalid, "lastUserMessag%65"},
        Row{"/p?cacheBreakpoint=lastUserMessage ", Kind::kInvalid, "lastUserMessage "},
        Row{"/p?cachebreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?%63acheBreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?xcacheBreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?cacheBreakpointx=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?a=cacheBreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?a=1;cacheBreakpoint=lastUserMessage", Kind::kAbsent, ""},
        Row{"/p?a?cacheBreakpoint=lastUserMessage", Kind::kAbsent, ""}}) {
    const QueryBreakpoint found = read_query_breakpoint(row.target);
    EXPECT_EQ(static_cast<int>(found.kind), static_cast<int>(row.kind)) << row.target;
    EXPECT_EQ(found.value, row.value) << row.target;
  }
}

TEST(QueryBreakpoint, TheValueIsAViewOfTheTarget) {
  const std::string_view target = "/p?cacheBreakpoint=x";
  EXPECT_EQ(read_query_breakpoint(target).value.data(), target.data() + target.size() - 1);
}

TEST(QueryBreakpoint, EverySuchPairIsRemovedAndTheOthersStayAsTheyAre) {
  struct Row {
    std::string_view target;
    std::optional<std::string> kept;
  };
  for (const Row& row :
       {Row{"/p", std::nullopt}, Row{"/p?a=1&b=2", std::nullopt}, Row{"/p?", std::nullopt},
        Row{"/p?cacheBreakpoint=x", "/p"}, Row{"/p?cacheBreakpoint", "/p"},
        Row{"/p?cacheBreakpoint=1&cacheBreakpoint=2&cacheBreakpoint", "/p"},
        Row{"/p?a=1&cacheBreakpoint=x", "/p?a=1"}, Row{"/p?cacheBreakpoint=x&a=1", "/p?a=1"},
        Row{"/p?a=%20+&cacheBreakpoint=x&b=&c&a=1", "/p?a=%20+&b=&c&a=1"},
        Row{"/p?a&cacheBreakpoint=1&b&cacheBreakpoint=2&c", "/p?a&b&c"},
        Row{"/p?cacheBreakpoint=x&cachebreakpoint=y", "/p?cachebreakpoint=y"}}) {
    EXPECT_EQ(strip_query_breakpoint(row.target), row.kept) << row.target;
  }
}

std::optional<std::string> marked(std::string_view body) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(body)) << body;
  core::JsonEdits edits;
  if (!edit_query_marker(tape.root(), edits)) {
    EXPECT_TRUE(edits.empty());
    return std::nullopt;
  }
  std::string out;
  edits.apply(body, out);
  return out;
}

#define MARKER R"("cache_control":{"type":"ephemeral","ttl":"1h"})"

TEST(QueryMarker, IsPutIntoABodyWithoutOne) {
  EXPECT_EQ(marked("{}"), "{" MARKER "}");
  EXPECT_EQ(marked("{ }"), "{" MARKER " }");
  EXPECT_EQ(marked(R"( {"a":[1] } )"), R"( {"a":[1],)" MARKER " } ");
  EXPECT_EQ(marked(R"({"messages":[{"cache_control":1}]})"),
            R"({"messages":[{"cache_control":1}],)" MARKER "}");
}

TEST(QueryMarker, ReplacesANull) {
  EXPECT_EQ(marked(R"({"cache_control" : null ,"a":1})"),
            R"({"cache_control" : {"type":"ephemeral","ttl":"1h"} ,"a":1})");
  EXPECT_EQ(marked(R"({"cache_control":1,"cache_control":null})"),
            R"({"cache_control":1,)" MARKER "}");
}

TEST(QueryMarker, TheBodysOwnMarkerWins) {
  EXPECT_EQ(marked(R"({"cache_control":{"type":"ephemeral"}})"), std::nullopt);
  EXPECT_EQ(marked(R"({"cache_control":false})"), std::nullopt);
  EXPECT_EQ(marked(R"({"cache_control":null,"cache_control":1})"), std::nullopt);
}

TEST(QueryMarker, NeedsAnObject) {
  for (const std::string_view body : {"[]", "null", "1", "\"{}\"", "[{}]"})
    EXPECT_EQ(marked(body), std::nullopt);
}

}  // namespace
}  // namespace satchel::prompt_cache
