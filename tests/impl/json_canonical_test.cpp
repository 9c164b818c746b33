#include "core/json_canonical.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "json_canonical_cases.hpp"

namespace satchel::core {
namespace {

// The canonical text, checked to be the one that is hashed.
std::string canonical(std::string_view text, std::string_view skip = {}) {
  JsonTape tape;
  const auto read = tape.read(text);
  EXPECT_TRUE(read) << text;
  if (!read) return {};
  JsonCanonical writer;
  std::string out;
  writer.append(tape.root(), out, skip);
  Sha256 hash;
  EXPECT_EQ(writer.hash(tape.root(), hash, skip), out.size());
  EXPECT_EQ(hash.digest(), sha256(out)) << out.substr(0, 200);
  return out;
}

std::string number(std::size_t i) {
  std::string digits = std::to_string(i);
  return std::string(6 - digits.size(), '0') + digits;
}

TEST(JsonCanonical, DocumentsComeOutAsSerdeJsonWritesThem) {
  for (const DocumentCase& document : kDocuments) {
    EXPECT_EQ(canonical(document.text), document.canonical) << document.text;
  }
}

TEST(JsonCanonical, NamesAreSortedByTheirBytes) {
  EXPECT_EQ(canonical(R"({"é":1,"z":2,"Z":3,"😀":4,"漢":5,"":6,"~":7,"zz":8})"),
            R"({"":6,"Z":3,"z":2,"zz":8,"~":7,"é":1,"漢":5,"😀":4})");
}

TEST(JsonCanonical, ANameIsSortedByItsTextAndNotByItsSpelling) {
  EXPECT_EQ(canonical(R"({"b":1,"\u0061":2,"\u00e9":3,"c\/":4,"c.":5})"),
            R"({"a":2,"b":1,"c.":5,"c/":4,"é":3})");
}

TEST(JsonCanonical, NamesThatBeginAlikeAreComparedToTheirEnds) {
  EXPECT_EQ(canonical(R"({"abcdefgh2":1,"abcdefgh":2,"abcdefgh1":3,"abcdefg":4,"abcdefgh10":5})"),
            R"({"abcdefg":4,"abcdefgh":2,"abcdefgh1":3,"abcdefgh10":5,"abcdefgh2":1})");
}

TEST(JsonCanonical, AZeroByteInANameIsAByteLikeAnyOther) {
  EXPECT_EQ(canonical(R"({"a\u0000b":1,"a":2,"a\u0000":3,"a\u0001":4,"":5,"\u0000":6})"),
            R"({"":5,"\u0000":6,"a":2,"a\u0000":3,"a\u0000b":1,"a\u0001":4})");
}

TEST(JsonCanonical, TheLastOfEqualNamesWinsHoweverEachIsSpelled) {
  EXPECT_EQ(canonical(R"({"a":1,"a":2})"), R"({"a":2})");
  EXPECT_EQ(canonical(R"({"a":1,"\u0061":2})"), R"({"a":2})");
  EXPECT_EQ(canonical(R"({"\u0061":1,"a":2})"), R"({"a":2})");
  EXPECT_EQ(canonical(R"({"a":1,"b":9,"\u0061":2,"a":3,"c":0,"\u0061":4})"),
            R"({"a":4,"b":9,"c":0})");
  EXPECT_EQ(canonical(R"({"longer than eight":1,"longer than eight":{"x":1,"x":2}})"),
            R"({"longer than eight":{"x":2}})");
}

TEST(JsonCanonical, NestedObjectsAreSortedEach) {
  EXPECT_EQ(canonical(R"({"b":{"d":{"f":1,"e":2},"c":3},"a":[{"h":4,"g":5},{"j":6,"i":7}]})"),
            R"({"a":[{"g":5,"h":4},{"i":7,"j":6}],"b":{"c":3,"d":{"e":2,"f":1}}})");
}

TEST(JsonCanonical, TheOrderOfAnArrayStays) { EXPECT_EQ(canonical("[ 3 , 1 , 2 ]"), "[3,1,2]"); }

TEST(JsonCanonical, OnlyTheOutermostObjectsMembersAreSkipped) {
  EXPECT_EQ(canonical(R"({"m":1,"a":{"m":2},"b":[{"m":3}]})", "m"),
            R"({"a":{"m":2},"b":[{"m":3}]})");
  EXPECT_EQ(canonical(R"({"m":1,"\u006d":2,"m":3})", "m"), "{}");
  EXPECT_EQ(canonical(R"([{"m":1}])", "m"), R"([{"m":1}])");
  EXPECT_EQ(canonical(R"({"mm":1,"":2})", "m"), R"({"":2,"mm":1})");
}

TEST(JsonCanonical, AnObjectOfTenThousandMembersIsSorted) {
  constexpr std::size_t kMembers = 10'000;
  std::string source = "{";
  std::map<std::string, std::string> expected;
  for (std::size_t i = 0; i < kMembers; ++i) {
    const std::size_t shuffled = i * 7919 % kMembers;
    // Some names share their first eight bytes, some are given twice.
    const std::string name =
        (shuffled % 3 == 0 ? "a shared beginning " : "") + number(shuffled / 2);
    if (i > 0) source.append(",");
    source.append("\"" + name + "\":" + std::to_string(i));
    expected[name] = std::to_string(i);
  }
  source.append("}");
  std::string sorted = "{";
  for (const auto& [name, value] : expected) {
    sorted.append(sorted.size() == 1 ? "\"" : ",\"").append(name).append("\":").append(value);
  }
  sorted.append("}");
  EXPECT_EQ(canonical(source), sorted);
}

TEST(JsonCanonical, TheDeepestNestingIsWritten) {
  std::string source;
  std::string expected;
  for (int i = 0; i < kJsonMaxDepth; ++i) {
    source.append(R"({ "b":1, "a": )");
    expected.append(R"({"a":)");
  }
  source.append("0");
  expected.append("0");
  for (int i = 0; i < kJsonMaxDepth; ++i) {
    source.append("}");
    expected.append(R"(,"b":1})");
  }
  EXPECT_EQ(canonical(source), expected);
}

// The hash is given small pieces by the page and long ones as they lie.
TEST(JsonCanonical, PiecesOfEveryLengthAroundAPageAreHashed) {
  for (const std::size_t before : {0U, 3500U, 3583U, 3584U, 3585U, 4000U, 4088U, 4090U, 4091U,
                                   4092U, 4093U, 4094U, 4095U, 4096U, 4097U}) {
    for (const std::size_t length :
         {0U, 1U, 2U, 3U, 508U, 509U, 510U, 511U, 512U, 513U, 4095U, 4096U, 5000U}) {
      std::string source = "[";
      // Short pieces, so that the page fills to just there.
      for (std::size_t filled = 1; filled + 5 < before; filled += 4) source.append("10,");
      source.append("\"" + std::string(length, 'p') + "\",");
      source.append("\"" + std::string(length, 'q') + "\\u0041\",1,2,3]");
      canonical(source);
    }
  }
  for (std::size_t ones = 2030; ones < 2060; ++ones) {
    std::string source = "[";
    for (std::size_t i = 0; i < ones; ++i) source.append("1,");
    canonical(source + "\"" + std::string(509, 'p') + "\",1.5,{\"b\":1,\"a\":2}]");
  }
}

TEST(JsonCanonical, OneWriterServesManyDocuments) {
  JsonCanonical writer;
  for (int round = 0; round < 2; ++round) {
    for (const DocumentCase& document : kDocuments) {
      JsonTape tape;
      ASSERT_TRUE(tape.read(document.text));
      std::string out = "before ";
      writer.append(tape.root(), out);
      EXPECT_EQ(out, "before " + std::string(document.canonical));
    }
    writer.shrink(0);
  }
}

}  // namespace
}  // namespace satchel::core
