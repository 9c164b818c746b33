#include "core/json_tape.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/json_string.hpp"

namespace satchel::core {
namespace {

using std::string_view_literals::operator""sv;

// The text in a block of its own, exactly as long, so that a sanitizer sees every byte read too
// far.
class Copied {
 public:
  explicit Copied(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
    std::memcpy(bytes_.get(), text.data(), size_);
  }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

Result<void> reading(std::string_view text) {
  const Copied copy(text);
  JsonTape tape;
  return tape.read(copy.view());
}

bool accepts(std::string_view text) { return reading(text).ok(); }

std::string why_not(std::string_view text) {
  const auto read = reading(text);
  return read ? "accepted" : read.error().message;
}

std::string repeated(std::string_view piece, std::size_t times) {
  std::string out;
  while (times-- > 0) out.append(piece);
  return out;
}

// ------------------------------------------------------------------------------- acceptance

TEST(JsonTape, AnyValueMayBeTheDocument) {
  for (const std::string_view text : {"null", "true", "false", "0", "-1.5e3", "\"\"", "\"a\"", "[]",
                                      "{}", "[[]]", "{\"a\":{}}", "[1,2]", "{\"a\":1,\"b\":2}"}) {
    EXPECT_TRUE(accepts(text)) << text;
  }
}

TEST(JsonTape, WhiteSpaceIsSpaceTabLineFeedAndCarriageReturn) {
  EXPECT_TRUE(accepts(" \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 ] } \t\r\n"));
  for (const std::string_view space : std::initializer_list<std::string_view>{
           "\v", "\f", "\xc2\xa0", "\xe2\x80\x83", "\xef\xbb\xbf", "\0"sv, "\xc2\x85", "/**/",
           "//\n"}) {
    EXPECT_FALSE(accepts(std::string(space) + "1"));
    EXPECT_FALSE(accepts("1" + std::string(space)));
    EXPECT_FALSE(accepts("[1," + std::string(space) + "2]"));
  }
}

TEST(JsonTape, WhatIsNoJsonIsRefused) {
  for (const std::string_view text : {"",
                                      " ",
                                      "\n",
                                      ",",
                                      ":",
                                      "]",
                                      "}",
                                      "[",
                                      "{",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[,]",
                                      "[1 2]",
                                      "[1}",
                                      "{1}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\" 1}",
                                      "{\"a\":1]",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\",1}",
                                      "{:1}",
                                      "{\"a\"::1}",
                                      "{\"a\":1,,\"b\":2}",
                                      "{\"a\":1;}",
                                      "{null:1}",
                                      "{1:1}",
                                      "nul",
                                      "nulll",
                                      "Null",
                                      "TRUE",
                                      "tru",
                                      "truefalse",
                                      "fals",
                                      "n",
                                      "t",
                                      "f",
                                      "undefined",
                                      "\"",
                                      "\"a",
                                      "\"\\\"",
                                      "'a'",
                                      "1 2",
                                      "{}{}",
                                      "[] []",
                                      "null,",
                                      "{\"a\":1}x",
                                      "\"a\"\"b\"",
                                      "[\"a\"\"b\"]",
                                      "{\"a\":1}}",
                                      "[1]]",
                                      "// c\n1",
                                      "{\"a\": nan}"}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
}

TEST(JsonTape, NestingGoesTo127AndNoDeeper) {
  for (const auto& [open, close] : {std::pair{"["sv, "]"sv}, {"{\"a\":"sv, "}"sv}}) {
    const std::string inner = open == "[" ? "" : "1";
    EXPECT_TRUE(accepts(repeated(open, 127) + inner + repeated(close, 127)));
    EXPECT_FALSE(accepts(repeated(open, 128) + inner + repeated(close, 128)));
  }
  EXPECT_TRUE(accepts(repeated("[", 126) + "{\"a\":\"b\"}" + repeated("]", 126)));
  EXPECT_FALSE(accepts(repeated("[", 127) + "{}" + repeated("]", 127)));
  EXPECT_EQ(why_not(repeated("[", 1'000'000)), "nested too deeply at byte 127");
}

TEST(JsonTape, ContainersBesideEachOtherAreNotNested) {
  EXPECT_TRUE(accepts("[" + repeated("[],", 1000) + repeated("{},", 1000) + "0]"));
}

TEST(JsonTape, AnErrorNamesTheOffset) {
  EXPECT_EQ(why_not(""), "expected a value at byte 0");
  EXPECT_EQ(why_not("[1,]"), "a comma before the end of an array or object at byte 3");
  EXPECT_EQ(why_not("{\"a\" 1}"), "expected a colon at byte 5");
  EXPECT_EQ(why_not("[1] x"), "text after the document at byte 4");
  EXPECT_EQ(why_not("[\"a\\x\"]"), "invalid escape at byte 3");
}

TEST(JsonTape, AfterAnErrorTheTapeIsEmpty) {
  JsonTape tape;
  ASSERT_TRUE(tape.read("[1,2]"));
  ASSERT_FALSE(tape.read("[1,2"));
  EXPECT_TRUE(tape.tokens().empty());
}

TEST(JsonTape, ATextOverTheBoundIsALimitAndNotRead) {
  // Nothing of it is touched: the length alone decides.
  const std::string_view text("[]", 2);
  JsonTape tape;
  const auto read = tape.read(std::string_view(text.data(), kJsonMaxBytes + 1));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().status, Status::kLimit);
}

// ------------------------------------------------------------------------------------ UTF-8

TEST(JsonTape, WellFormedUtf8IsTaken) {
  for (const std::string_view text :
       {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(accepts('"' + std::string(text) + '"'));
  }
}

// Overlong, surrogates, beyond U+10FFFF, lone continuations, cut short: at every place of a block.
TEST(JsonTape, MalformedUtf8IsNoJson) {
  for (const std::string_view bytes : {"\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc2",
                                       "\xc2 ",
                                       "\xe0\x80\x80",
                                       "\xe0\x9f\xbf",
                                       "\xe2\x82",
                                       "\xe2 \x82",
                                       "\xed\xa0\x80",
                                       "\xed\xaf\xbf",
                                       "\xed\xb0\x80",
                                       "\xed\xbf\xbf",
                                       "\xf0\x80\x80\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf0\x9f\x98",
                                       "\xf0\x9f",
                                       "\xf0",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xf8\x88\x80\x80\x80",
                                       "\xfe",
                                       "\xff"}) {
    for (std::size_t before = 0; before < 140; ++before) {
      for (const std::size_t after : {std::size_t{0}, std::size_t{5}, std::size_t{70}}) {
        const std::string text =
            '"' + std::string(before, 'a') + std::string(bytes) + std::string(after, 'b') + '"';
        ASSERT_FALSE(accepts(text)) << before << " " << after;
        ASSERT_FALSE(accepts("{" + text + ":1}")) << before << " " << after;
      }
    }
  }
}

// -------------------------------------------------------------------------- strings, blocks

// One thing that may stand in a string, as written and as text.
struct Piece {
  std::string_view written;
  std::string_view text;
  JsonKind kind;
};

constexpr Piece kPieces[] = {
    {"a", "a", JsonKind::kPlain},
    {"\x7f", "\x7f", JsonKind::kPlain},
    {"/", "/", JsonKind::kPlain},
    {"\xc3\xa9", "\xc3\xa9", JsonKind::kPlain},
    {"\xe6\xbc\xa2", "\xe6\xbc\xa2", JsonKind::kPlain},
    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", JsonKind::kPlain},
    {R"(\n)", "\n", JsonKind::kEscaped},
    {R"(\t)", "\t", JsonKind::kEscaped},
    {R"(\r)", "\r", JsonKind::kEscaped},
    {R"(\b)", "\b", JsonKind::kEscaped},
    {R"(\f)", "\f", JsonKind::kEscaped},
    {R"(\")", "\"", JsonKind::kEscaped},
    {R"(\\)", "\\", JsonKind::kEscaped},
    {R"(\u0000)", "\0"sv, JsonKind::kEscaped},
    {R"(\u0001)", "\x01", JsonKind::kEscaped},
    {R"(\u000b)", "\v", JsonKind::kEscaped},
    {R"(\u001f)", "\x1f", JsonKind::kEscaped},
    {R"(\/)", "/", JsonKind::kUncanonical},
    {R"(\u000B)", "\v", JsonKind::kUncanonical},
    {R"(\u001F)", "\x1f", JsonKind::kUncanonical},
    {R"(\u000a)", "\n", JsonKind::kUncanonical},
    {R"(\u0008)", "\b", JsonKind::kUncanonical},
    {R"(\u0009)", "\t", JsonKind::kUncanonical},
    {R"(\u000c)", "\f", JsonKind::kUncanonical},
    {R"(\u000d)", "\r", JsonKind::kUncanonical},
    {R"(\u0022)", "\"", JsonKind::kUncanonical},
    {R"(\u005c)", "\\", JsonKind::kUncanonical},
    {R"(\u0020)", " ", JsonKind::kUncanonical},
    {R"(\u0041)", "A", JsonKind::kUncanonical},
    {R"(\u007f)", "\x7f", JsonKind::kUncanonical},
    {R"(\u0080)", "\xc2\x80", JsonKind::kUncanonical},
    {R"(\u07FF)", "\xdf\xbf", JsonKind::kUncanonical},
    {R"(\u0800)", "\xe0\xa0\x80", JsonKind::kUncanonical},
    {R"(\ud7ff)", "\xed\x9f\xbf", JsonKind::kUncanonical},
    {R"(\ue000)", "\xee\x80\x80", JsonKind::kUncanonical},
    {R"(\uFFFF)", "\xef\xbf\xbf", JsonKind::kUncanonical},
    {R"(\ud800\udc00)", "\xf0\x90\x80\x80", JsonKind::kUncanonical},
    {R"(\uD83D\uDE00)", "\xf0\x9f\x98\x80", JsonKind::kUncanonical},
    {R"(\udbff\udfff)", "\xf4\x8f\xbf\xbf", JsonKind::kUncanonical},
};

// Grows a string piece by piece, and knows what must be read from it.
struct Built {
  std::string written;
  std::string text;
  JsonKind kind = JsonKind::kPlain;

  Built& add(const Piece& piece) {
    written.append(piece.written);
    text.append(piece.text);
    kind = std::max(kind, piece.kind);
    return *this;
  }
  Built& fill(std::size_t count) {
    written.append(count, 'x');
    text.append(count, 'x');
    return *this;
  }
};

// Reads the string with `before` and `after` around it, and checks all that is said of it.
void expect_read(const Built& built, std::string_view before, std::string_view after) {
  const Copied source(std::string(before) + '"' + built.written + '"' + std::string(after));
  JsonTape tape;
  const auto read = tape.read(source.view());
  ASSERT_TRUE(read) << read.error().message << " in " << source.view();
  const JsonValue value = before.empty() ? tape.root() : JsonCursor(tape.root()).value();
  std::string storage;
  ASSERT_TRUE(value.is_string());
  ASSERT_EQ(value.text(storage), built.text) << source.view();
  ASSERT_EQ(value.text_length(), built.text.size()) << source.view();
  ASSERT_EQ(static_cast<int>(value.kind()), static_cast<int>(built.kind)) << source.view();
  ASSERT_EQ(value.raw(), '"' + built.written + '"') << source.view();
  ASSERT_TRUE(value.text_equals(built.text)) << source.view();
  std::string canonical;
  json_append_string(canonical, built.text);
  ASSERT_EQ(canonical == value.raw(), built.kind != JsonKind::kUncanonical) << source.view();
}

TEST(JsonTape, AnEscapeIsReadAtEveryPlaceOfABlock) {
  for (const Piece& piece : kPieces) {
    for (std::size_t before = 0; before < 134; ++before) {
      for (const std::size_t after : {0U, 1U, 15U, 16U, 63U, 64U, 65U, 130U}) {
        Built built;
        built.fill(before).add(piece).fill(after);
        expect_read(built, {}, {});
        expect_read(built, "[", ",1]");
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(JsonTape, TwoEscapesAreReadAtEveryDistanceAcrossABlocksEdge) {
  for (const Piece& first : kPieces) {
    for (const Piece& second : kPieces) {
      for (std::size_t before = 52; before < 68; before += 3) {
        for (const std::size_t between : {0U, 1U, 2U, 7U}) {
          Built built;
          built.fill(before).add(first).fill(between).add(second).fill(70);
          expect_read(built, "[", "]");
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(JsonTape, ARunOfBackslashesOfAnyLengthIsPairedFromItsBeginning) {
  for (std::size_t before = 0; before < 70; ++before) {
    for (std::size_t pairs = 1; pairs < 70; ++pairs) {
      Built even;
      even.fill(before);
      for (std::size_t i = 0; i < pairs; ++i) even.add({R"(\\)", "\\", JsonKind::kEscaped});
      Built odd = even;
      odd.add({R"(\")", "\"", JsonKind::kEscaped}).fill(3);
      expect_read(even, "[", "                                                                 ]");
      expect_read(odd, "[", "]");
      if (HasFatalFailure()) return;
    }
  }
}

TEST(JsonTape, RandomStringsAreReadAsTheyWereBuilt) {
  std::uint32_t state = 12345;
  const auto next = [&](std::uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % below;
  };
  for (int i = 0; i < 20'000; ++i) {
    Built built;
    for (std::uint32_t pieces = next(30); pieces > 0; --pieces) {
      if (next(3) == 0) {
        built.fill(next(40));
      } else {
        built.add(kPieces[next(std::size(kPieces))]);
      }
    }
    const bool inside = next(2) == 0;
    expect_read(built, inside ? "[" : "", inside ? "]" : "");
    if (HasFatalFailure()) return;
  }
}

TEST(JsonTape, AControlCharacterInAStringIsRefusedAtEveryPlace) {
  for (unsigned code = 0; code < 0x20; ++code) {
    for (std::size_t before = 0; before < 134; ++before) {
      for (const std::string_view prefix : {"", "\\\\", "\\"}) {
        const std::string text = '"' + std::string(before, 'x') + std::string(prefix) +
                                 static_cast<char>(code) + std::string(before % 7 * 13, 'y') + '"';
        ASSERT_FALSE(accepts(text)) << code << " at " << before;
      }
    }
  }
}

TEST(JsonTape, AnInvalidEscapeIsRefusedAtEveryPlace) {
  for (const std::string_view escape : {R"(\x)",
                                        R"(\a)",
                                        R"(\v)",
                                        R"(\0)",
                                        R"(\')",
                                        R"(\N)",
                                        R"(\U0041)",
                                        R"(\u)",
                                        R"(\u1)",
                                        R"(\u12)",
                                        R"(\u123)",
                                        R"(\u123g)",
                                        R"(\u 123)",
                                        R"(\u+123)",
                                        R"(\u-123)",
                                        R"(\u0x41)",
                                        R"(\ud800)",
                                        R"(\udbff)",
                                        R"(\udc00)",
                                        R"(\udfff)",
                                        R"(\ud800\ud800)",
                                        R"(\udc00\ud800)",
                                        R"(\ud800\n)",
                                        R"(\ud800A)",
                                        R"(\ud800\\udc00)",
                                        R"(\ud800\u0041)",
                                        R"(\ud800\udc0)",
                                        R"(\ud800\u)",
                                        R"(\ud800udc00)",
                                        "\\ud800\xed\xb0\x80",
                                        "\\\xc3\xa9",
                                        "\\\n"}) {
    for (std::size_t before = 0; before < 134; ++before) {
      for (const std::size_t after : {0U, 1U, 20U, 70U}) {
        const std::string text =
            '"' + std::string(before, 'x') + std::string(escape) + std::string(after, 'z') + '"';
        ASSERT_FALSE(accepts(text)) << escape << " at " << before;
      }
    }
  }
}

TEST(JsonTape, ATextThatEndsInsideAStringIsRefused) {
  for (const Piece& piece : kPieces) {
    for (std::size_t before = 0; before < 134; ++before) {
      const std::string whole = '"' + std::string(before, 'x') + std::string(piece.written) + '"';
      for (std::size_t cut = 1; cut <= piece.written.size() + 1; ++cut) {
        ASSERT_FALSE(accepts(whole.substr(0, whole.size() - cut))) << whole << " less " << cut;
      }
    }
  }
}

// ------------------------------------------------------------------------------------ values

TEST(JsonValue, KnowsWhereItStands) {
  const std::string_view source = R"( { "a" : [ 1.50 , "x\n" ] , "b":{ } } )";
  JsonTape tape;
  ASSERT_TRUE(tape.read(source));
  EXPECT_EQ(tape.root().raw(), source.substr(1, source.size() - 2));
  const JsonValue a = tape.root().member("a");
  EXPECT_EQ(a.raw(), R"([ 1.50 , "x\n" ])");
  JsonCursor cursor(a);
  EXPECT_EQ(cursor.value().raw(), "1.50");
  cursor.next();
  EXPECT_EQ(cursor.value().raw(), R"("x\n")");
  cursor.next();
  EXPECT_FALSE(cursor.valid());
  EXPECT_EQ(tape.root().member("b").raw(), "{ }");
}

TEST(JsonValue, TheLastMemberOfANameCountsHoweverItIsSpelled) {
  for (const std::string_view text : {R"({"a":1,"a":2})", R"({"\u0061":1,"a":2})",
                                      R"({"a":1,"\u0061":2})", R"({"a":[1],"b":3,"a":2})"}) {
    JsonTape tape;
    ASSERT_TRUE(tape.read(text));
    EXPECT_EQ(tape.root().member("a").raw(), "2") << text;
  }
}

TEST(JsonValue, AMemberOfWhatIsNoObjectIsNotFound) {
  for (const std::string_view text : {"[\"a\"]", "\"a\"", "1", "null", "{}", "{\"b\":{\"a\":1}}"}) {
    JsonTape tape;
    ASSERT_TRUE(tape.read(text));
    EXPECT_FALSE(tape.root().member("a").exists()) << text;
    EXPECT_FALSE(tape.root().member("a").member("b").exists()) << text;
  }
}

TEST(JsonValue, ANameIsComparedWhole) {
  JsonTape tape;
  ASSERT_TRUE(tape.read(R"({"role\u0000":1,"rol":2,"roles":3,"":4,"Role":5})"));
  EXPECT_FALSE(tape.root().member("role").exists());
  EXPECT_EQ(tape.root().member("role\0"sv).raw(), "1");
  EXPECT_EQ(tape.root().member("").raw(), "4");
  EXPECT_EQ(tape.root().member(std::string_view{}).raw(), "4");
}

TEST(JsonValue, OnlyAnUnsignedIntegerIsAU64) {
  struct Row {
    std::string_view text;
    bool is;
    std::uint64_t value;
  };
  for (const Row& row :
       {Row{"0", true, 0}, Row{"18446744073709551615", true, UINT64_MAX}, Row{"7", true, 7},
        Row{"-1", false, 0}, Row{"-0", false, 0}, Row{"1.0", false, 0}, Row{"1e0", false, 0},
        Row{"18446744073709551616", false, 0}, Row{"\"1\"", false, 0}, Row{"null", false, 0},
        Row{"[]", false, 0}}) {
    JsonTape tape;
    ASSERT_TRUE(tape.read(row.text));
    std::uint64_t value = 99;
    EXPECT_EQ(tape.root().as_u64(&value), row.is) << row.text;
    EXPECT_EQ(value, row.is ? row.value : 99) << row.text;
  }
}

TEST(JsonCursor, WalksPastNestedContainers) {
  JsonTape tape;
  ASSERT_TRUE(tape.read(R"({"a":[[],{},[{"x":[1]}]],"b":{"c":{"d":[]}},"e":0,"f":[]})"));
  std::string names;
  std::string storage;
  for (JsonCursor cursor(tape.root()); cursor.valid(); cursor.next()) {
    names.append(cursor.key().text(storage));
  }
  EXPECT_EQ(names, "abef");
}

TEST(JsonTape, GivesMemoryBackWhereItHasMoreThanIsToBeKept) {
  JsonTape tape;
  ASSERT_TRUE(tape.read("[" + repeated("1,", 10'000) + "1]"));
  tape.shrink(1'000'000);
  EXPECT_GE(tape.tokens().capacity(), 10'000U);
  tape.shrink(1'000);
  EXPECT_EQ(tape.tokens().capacity(), 0U);
}

TEST(JsonTape, ReadsAgainAfterGivingItsMemoryBack) {
  JsonTape tape;
  ASSERT_TRUE(tape.read("[1,2,3,\"\\n\"]"));
  tape.shrink(0);
  EXPECT_TRUE(tape.tokens().empty());
  ASSERT_TRUE(tape.read("[\"\\u0041\"]"));
  EXPECT_EQ(JsonCursor(tape.root()).value().text_length(), 1U);
}

}  // namespace
}  // namespace satchel::core
