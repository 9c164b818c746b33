#include "core/lowercase.hpp"

#include <gtest/gtest.h>

#include <string>

namespace satchel::core {
namespace {

struct Case {
  std::string_view bytes;
  std::string_view expected;
};

// What Rust 1.95 gives.
TEST(LowercaseLossy, IsThatOfRust) {
  const Case cases[] = {
      {"", ""},
      {"/Home/Me/README.MD", "/home/me/readme.md"},
      {"@[`{ AZaz 09", "@[`{ azaz 09"},
      {"ÀÖØÞ×", "àöøþ×"},
      {"ŸĀāĲ", "ÿāāĳ"},
      {"ẞß", "ßß"},
      {"İI", "i\u0307i"},  // one becomes two
      {"ΑΒΓ", "αβγ"},
      {"ЖЁ", "жё"},
      {"Ა", "ა"},
      {"Ꭰ", "ꭰ"},
      {"Ꭓ", "ꭓ"},
      {"\u2126\u212a\u212b", "ωkå"},  // ohm, kelvin, angstrom
      {"𐐀𞤀", "𐐨𞤢"},
      {"日本", "日本"},
      {"\xf0\x90\x80", "\ufffd"},
  };
  for (const Case& c : cases) EXPECT_EQ(lowercase_lossy(c.bytes), c.expected) << c.bytes;
}

TEST(LowercaseLossy, ASigmaAtTheEndOfAWordIsFinal) {
  const Case cases[] = {
      {"Σ", "σ"},
      {"ΑΣ", "ας"},
      {"ΣΑ", "σα"},
      {"ΑΣΑ", "ασα"},
      {"ΟΔΟΣ.txt", "οδοσ.txt"},  // a full stop is ignored, and t is cased
      {"ΟΔΟΣ/", "οδος/"},
      {"ΑΣ Α", "ας α"},
      {"ΑΣΣ", "ασς"},
      {"Α'Σ'", "α'ς'"},
      {"1Σ", "1σ"},
      {"aΣ", "aς"},
      {"aΣ\xff", "aς\ufffd"},
      {"a\u00adΣ\u0301", "a\u00adς\u0301"},
  };
  for (const Case& c : cases) EXPECT_EQ(lowercase_lossy(c.bytes), c.expected) << c.bytes;
}

TEST(Utf8Lossy, EachPartThatCouldHaveBegunACharacterBecomesOneReplacement) {
  const Case cases[] = {
      {"abc", "abc"},
      {"Zürich", "Zürich"},
      {"\x80", "\ufffd"},
      {"\xff\xfe", "\ufffd\ufffd"},
      {"\xc0\x80", "\ufffd\ufffd"},  // overlong
      {"\xc3", "\ufffd"},            // cut short
      {"\xc3(", "\ufffd("},
      {"\xe2\x82", "\ufffd"},
      {"\xe2\x82x", "\ufffdx"},
      {"\xe0\x80\x80", "\ufffd\ufffd\ufffd"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},  // half a surrogate
      {"\xf0\x9f\x98", "\ufffd"},
      {"\xf0\x9f\x98\x80", "😀"},
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},  // beyond the last
      {"\xf1\x80\x80\xe1\x80\xc2", "\ufffd\ufffd\ufffd"},
  };
  for (const Case& c : cases) EXPECT_EQ(utf8_lossy(c.bytes), c.expected) << c.bytes;
}

}  // namespace
}  // namespace satchel::core
