#include "core/json_number.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "core/json_tape.hpp"
#include "json_number_cases.hpp"

namespace satchel::core {
namespace {

struct Reading {
  const char* error;
  std::size_t taken;
  JsonNumber number;
};

Reading reading(std::string_view text) {
  Reading out{};
  const char* at = text.data();
  out.error = read_json_number(at, text.data() + text.size(), out.number);
  out.taken = static_cast<std::size_t>(at - text.data());
  return out;
}

std::string written(double value) {
  std::string out;
  append_json_double(out, value);
  return out;
}

TEST(JsonNumber, EveryNumberIsReadAndWrittenAsSerdeJsonDoes) {
  for (const NumberCase& number : kNumbers) {
    const Reading got = reading(number.text);
    ASSERT_EQ(got.error, nullptr) << number.text << ": " << got.error;
    EXPECT_EQ(got.taken, number.text.size()) << number.text;
    const std::string canonical =
        got.number.integer ? std::string(number.text) : written(got.number.value);
    EXPECT_EQ(canonical, number.canonical) << number.text;
  }
}

TEST(JsonNumber, WhatSerdeJsonRefusesIsNoDocument) {
  for (const std::string_view text : kNoNumbers) {
    JsonTape tape;
    const auto read = tape.read(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().status, Status::kJson) << text;
  }
}

TEST(JsonNumber, ReadingStopsBehindTheNumber) {
  for (const std::string_view text : {"12,3", "12]", "12}", "12 ", "12\n", "12x", "12-", "12+"}) {
    const Reading got = reading(text);
    EXPECT_EQ(got.error, nullptr) << text;
    EXPECT_EQ(got.taken, 2U) << text;
    EXPECT_TRUE(got.number.integer) << text;
  }
}

// The bytes behind `end` are the host's, and may be digits.
TEST(JsonNumber, NothingBehindTheEndIsRead) {
  const std::string_view text = "1.5e10";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const char* at = text.data();
    JsonNumber number;
    const char* error = read_json_number(at, text.data() + length, number);
    EXPECT_LE(at, text.data() + length);
    const bool valid = length == 1 || length == 3 || length == 5 || length == 6;
    EXPECT_EQ(error == nullptr, valid) << length;
  }
}

TEST(JsonNumber, IntegersThatFit64BitsAreCanonicalAsTheyStand) {
  for (const std::string_view text :
       {"0", "7", "18446744073709551615", "-1", "-9223372036854775808"}) {
    EXPECT_TRUE(reading(text).number.integer) << text;
  }
  for (const std::string_view text :
       {"-0", "18446744073709551616", "-9223372036854775809", "1e0"}) {
    EXPECT_FALSE(reading(text).number.integer) << text;
  }
}

TEST(JsonNumber, WhatIsTooLargeForADoubleIsOutOfRange) {
  EXPECT_STREQ(reading("1e309").error, "number out of range");
  EXPECT_STREQ(reading("-1e309").error, "number out of range");
  EXPECT_STREQ(reading("1e99999999999999999999").error, "number out of range");
  EXPECT_STREQ(reading(std::string(400, '9')).error, "number out of range");
  EXPECT_EQ(reading("0e99999999999999999999").error, nullptr);
}

TEST(JsonNumber, WhatIsTooSmallForADoubleIsZeroWithItsSign) {
  EXPECT_EQ(written(reading("1e-400").number.value), "0.0");
  EXPECT_EQ(written(reading("-1e-400").number.value), "-0.0");
  EXPECT_EQ(written(reading("-1e-99999999999999999999").number.value), "-0.0");
}

TEST(JsonNumber, TheNotationChangesAtTenToTheMinusFiveAndToTheSixteen) {
  EXPECT_EQ(written(1e-5), "0.00001");
  EXPECT_EQ(written(9.9e-6), "9.9e-6");
  EXPECT_EQ(written(1e15), "1000000000000000.0");
  EXPECT_EQ(written(9999999999999998.0), "9999999999999998.0");
  EXPECT_EQ(written(1e16), "1e+16");
  EXPECT_EQ(written(1.5e-7), "1.5e-7");
  EXPECT_EQ(written(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_EQ(written(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
}

// What we write must be read as the same double by a correct reader, whatever ours makes of it.
TEST(JsonNumber, ADoubleIsWrittenSoThatItReadsBackToItself) {
  std::uint64_t state = 1;
  for (int i = 0; i < 100'000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto value = std::bit_cast<double>(state ^ state >> 29);
    if (!std::isfinite(value)) continue;
    const std::string text = written(value);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)),
              std::bit_cast<std::uint64_t>(value))
        << text;
    ASSERT_EQ(reading(text).error, nullptr) << text;
  }
}

}  // namespace
}  // namespace satchel::core
