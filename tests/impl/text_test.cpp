#include "core/text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/json_string.hpp"
#include "core/json_tape.hpp"

namespace satchel::core {
namespace {

using std::string_view_literals::operator""sv;

// The property White_Space of Unicode, all of it.
const std::vector<std::string_view> kSpaces = {
    "\t",           "\n",           "\v",           "\f",           "\r",           " ",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
    "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88",
    "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
    "\xe3\x80\x80"};

TEST(Trim, TakesUnicodesWhiteSpaceOffBothEnds) {
  for (const std::string_view space : kSpaces) {
    for (const std::string_view text : {"a", "é", "漢字", "😀", "a b", "x\xc2\xa0y"}) {
      const std::string padded = std::string(space) + std::string(text) + std::string(space);
      EXPECT_EQ(trim(padded), text);
      EXPECT_EQ(trim_start(padded), std::string(text) + std::string(space));
    }
    EXPECT_EQ(trim(std::string(space) + std::string(space)), "");
  }
  std::string all;
  for (const std::string_view space : kSpaces) all.append(space);
  EXPECT_EQ(trim(all), "");
  EXPECT_EQ(trim_start(all), "");
}

TEST(Trim, WhatLooksLikeWhiteSpaceStays) {
  for (const std::string_view text : {"\0"sv, "\x1f"sv, "\xe2\x80\x8b"sv, "\xe2\x81\xa0"sv,
                                      "\xef\xbb\xbf"sv, "\xe1\xa0\x8e"sv, "\x7f"sv}) {
    EXPECT_EQ(trim(text), text);
  }
}

TEST(Trim, EmptyTextStaysEmpty) {
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim_start({}), "");
}

// An Authorization header may hold anything.
TEST(Trim, BytesThatAreNoUtf8DoNoHarm) {
  for (const std::string_view text :
       {"\x80"sv, "\xff\xff"sv, "\xc2"sv, "\xe2\x80"sv, "\xf0\x9f\x98"sv, "\x80\x80\x80\x80\x80"sv,
        "\xa0"sv, "\x85"sv}) {
    for (const std::string& padded : {std::string(text), " " + std::string(text) + " "}) {
      const std::string_view kept = trim(padded);
      EXPECT_LE(kept.size(), padded.size());
      EXPECT_TRUE(kept.empty() || (kept.data() >= padded.data() &&
                                   kept.data() + kept.size() <= padded.data() + padded.size()));
    }
  }
}

TEST(Quoted, PrintsATextAsRustsDebugDoes) {
  struct Row {
    std::string_view text;
    std::string_view printed;
  };
  for (const Row& row :
       {Row{"", R"("")"}, Row{"5m", R"("5m")"}, Row{"a\"b", R"("a\"b")"}, Row{"a\\b", R"("a\\b")"},
        Row{"it's", R"("it's")"}, Row{"\n\r\t", R"("\n\r\t")"}, Row{"\0"sv, R"("\0")"},
        Row{"\x01\x1f\x7f", R"("\u{1}\u{1f}\u{7f}")"}, Row{"\b\f\v", R"("\u{8}\u{c}\u{b}")"},
        Row{"é漢😀", R"("é漢😀")"}, Row{"\xc2\x80", R"("\u{80}")"}, Row{"\xc2\xa0", R"("\u{a0}")"},
        Row{"\xe2\x80\x8b", R"("\u{200b}")"}, Row{"\xef\xbb\xbf", R"("\u{feff}")"},
        Row{"\xee\x80\x80", R"("\u{e000}")"}, Row{"\xf4\x8f\xbf\xbf", R"("\u{10ffff}")"}}) {
    EXPECT_EQ(quoted(row.text), row.printed);
  }
}

TEST(Quoted, IsUtf8WhateverBytesItIsGiven) {
  for (unsigned first = 0; first < 256; ++first) {
    for (const std::string_view rest :
         {""sv, "\""sv, "a"sv, "\x80"sv, "\x80\x80"sv, "\xbf\xbf\xbf"sv, "\xff"sv}) {
      std::string text(1, static_cast<char>(first));
      text.append(rest);
      std::string json;
      json_append_string(json, core::quoted(text));
      JsonTape tape;
      EXPECT_TRUE(tape.read(json)) << json;
    }
  }
}

TEST(CutAtCharacter, NeverCutsThroughOne) {
  const std::string_view text = "aé漢😀";  // 1, 2, 3 and 4 bytes
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10, 10};
  for (std::size_t max = 0; max < std::size(expected); ++max) {
    EXPECT_EQ(cut_at_character(text, max).size(), expected[max]) << max;
  }
  EXPECT_EQ(cut_at_character("", 5), "");
  EXPECT_EQ(cut_at_character("\x80\x80\x80", 2), "");
}

TEST(EqualsIgnoringAsciiCase, FoldsLettersOnly) {
  EXPECT_TRUE(equals_ignoring_ascii_case("Text/Event-STREAM", "text/event-stream"));
  EXPECT_TRUE(equals_ignoring_ascii_case("", ""));
  EXPECT_FALSE(equals_ignoring_ascii_case("a", "ab"));
  EXPECT_FALSE(equals_ignoring_ascii_case("ab", "a"));
  EXPECT_FALSE(equals_ignoring_ascii_case("@", "`"));
  EXPECT_FALSE(equals_ignoring_ascii_case("[", "{"));
  EXPECT_FALSE(equals_ignoring_ascii_case("\xc3\x89", "\xc3\xa9"));
}

}  // namespace
}  // namespace satchel::core
