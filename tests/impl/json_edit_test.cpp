#include "core/json_edit.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/json_canonical.hpp"

namespace satchel::core {
namespace {

std::string canonical(std::string_view text) {
  JsonTape tape;
  const auto read = tape.read(text);
  EXPECT_TRUE(read) << text;
  if (!read) return {};
  std::string out;
  JsonCanonical().append(tape.root(), out);
  return out;
}

std::string applied(JsonEdits& edits, std::string_view source) {
  std::string out;
  edits.apply(source, out);
  return out;
}

// White space that differs from place to place.
class Spaces {
 public:
  std::string next() {
    static constexpr std::string_view kSpaces[] = {"", " ", "\n", "\t ", "\r\n  "};
    state_ = state_ * 1664525U + 1013904223U;
    return std::string(kSpaces[(state_ >> 16) % std::size(kSpaces)]);
  }

 private:
  std::uint32_t state_ = 7;
};

constexpr std::string_view kValues[] = {"1", R"("a,]}\"")", R"({ "x" : [ 1 , 2 ] })", "[ ]",
                                        "null"};

TEST(JsonRemoveChildren, AnySubsetOfAnArrayGoesAndTheRestStays) {
  Spaces spaces;
  for (std::size_t count = 0; count <= 5; ++count) {
    for (unsigned dropped = 0; dropped < 1U << count; ++dropped) {
      for (int round = 0; round < 10; ++round) {
        std::string source = spaces.next() + "[" + spaces.next();
        std::string expected = "[";
        for (std::size_t i = 0; i < count; ++i) {
          if (i > 0) source.append(spaces.next() + "," + spaces.next());
          source.append(kValues[i]);
          if ((dropped >> i & 1U) != 0) continue;
          expected.append(expected.size() > 1 ? "," : "").append(canonical(kValues[i]));
        }
        source.append(spaces.next() + "]" + spaces.next());
        expected.append("]");

        JsonTape tape;
        ASSERT_TRUE(tape.read(source));
        JsonEdits edits;
        std::size_t at = 0;
        const std::size_t removed = json_remove_children(
            tape.root(), edits, [&](const JsonCursor&) { return (dropped >> at++ & 1U) != 0; });
        EXPECT_EQ(at, count);
        EXPECT_EQ(removed, static_cast<std::size_t>(__builtin_popcount(dropped)));
        EXPECT_EQ(edits.empty(), dropped == 0);
        EXPECT_EQ(canonical(applied(edits, source)), expected) << source << " without " << dropped;
      }
    }
  }
}

TEST(JsonRemoveChildren, AnySubsetOfAnObjectGoesAndAMemberIsAppended) {
  Spaces spaces;
  for (std::size_t count = 0; count <= 5; ++count) {
    for (unsigned dropped = 0; dropped < 1U << count; ++dropped) {
      for (int round = 0; round < 10; ++round) {
        std::string source = "{" + spaces.next();
        std::string expected = "{";
        for (std::size_t i = 0; i < count; ++i) {
          const std::string name = "\"n" + std::to_string(i) + "\"";
          if (i > 0) source.append(spaces.next() + "," + spaces.next());
          source.append(name + spaces.next() + ":" + spaces.next()).append(kValues[i]);
          if ((dropped >> i & 1U) == 0) expected.append(name + ":" + canonical(kValues[i]) + ",");
        }
        source.append(spaces.next() + "}");

        JsonTape tape;
        ASSERT_TRUE(tape.read(source));
        JsonEdits edits;
        std::size_t at = 0;
        const std::size_t removed = json_remove_children(
            tape.root(), edits, [&](const JsonCursor&) { return (dropped >> at++ & 1U) != 0; });
        // Both ways round: edits may come in any order.
        edits.append_member(tape.root(), R"("z":0)", removed == count);
        EXPECT_EQ(canonical(applied(edits, source)), expected + "\"z\":0}") << source;
      }
    }
  }
}

TEST(JsonRemoveChildren, AllMembersOfANameGo) {
  const std::string_view source = R"({"m":1,"a":2,"\u006d":3,"m":4,"b":5,"m":6})";
  JsonTape tape;
  ASSERT_TRUE(tape.read(source));
  JsonEdits edits;
  EXPECT_EQ(json_remove_children(tape.root(), edits,
                                 [](const JsonCursor& c) { return c.key().text_equals("m"); }),
            4U);
  EXPECT_EQ(applied(edits, source), R"({"a":2,"b":5})");
}

TEST(JsonRemoveChildren, BytesOfWhatStaysAreUntouched) {
  const std::string_view source = "{ \"a\" : 1.50 ,\n \"m\" : {} , \"b\":\"\\u0041\" }";
  JsonTape tape;
  ASSERT_TRUE(tape.read(source));
  JsonEdits edits;
  json_remove_children(tape.root(), edits,
                       [](const JsonCursor& c) { return c.key().text_equals("m"); });
  EXPECT_EQ(applied(edits, source), "{ \"a\" : 1.50 , \"b\":\"\\u0041\" }");
}

TEST(JsonEdits, AMemberIsAppendedBehindTheLast) {
  for (const auto& [source, expected] : {std::pair{"{}", R"({"z":0})"},
                                         {"{ }", R"({"z":0 })"},
                                         {R"({"a":1})", R"({"a":1,"z":0})"},
                                         {R"({"a":[{}] })", R"({"a":[{}],"z":0 })"}}) {
    JsonTape tape;
    ASSERT_TRUE(tape.read(source));
    JsonEdits edits;
    edits.append_member(tape.root(), R"("z":0)", !JsonCursor(tape.root()).valid());
    EXPECT_EQ(applied(edits, source), expected);
  }
}

TEST(JsonEdits, EditsAreGivenInAnyOrder) {
  JsonEdits edits;
  edits.replace(8, 9, "I");
  edits.replace(0, 1, "A");
  edits.replace(4, 4, "-");
  edits.replace(4, 4, "+");
  EXPECT_EQ(applied(edits, "abcdefghij"), "Abcd-+efghIj");
}

TEST(JsonEdits, NoEditsGiveTheTextAsItIs) {
  JsonEdits edits;
  EXPECT_TRUE(edits.empty());
  EXPECT_EQ(applied(edits, "abc"), "abc");
  EXPECT_EQ(applied(edits, ""), "");
}

TEST(JsonEdits, ClearedEditsAreForgotten) {
  JsonEdits edits;
  edits.replace(0, 1, "x");
  edits.clear();
  EXPECT_EQ(applied(edits, "abc"), "abc");
  edits.replace(1, 2, "y");
  edits.shrink(0);
  EXPECT_TRUE(edits.empty());
}

}  // namespace
}  // namespace satchel::core
