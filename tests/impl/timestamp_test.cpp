#include "core/timestamp.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "core/civil_date.hpp"
#include "timestamp_cases.hpp"

namespace satchel::core {
namespace {

TEST(Timestamp, ReadsWhatJiffReads) {
  for (const TimestampCase& c : kTimestamps) {
    const auto time = parse_timestamp(c.text);
    ASSERT_EQ(time.has_value(), !c.printed.empty()) << c.text;
    if (!time) continue;
    EXPECT_EQ(time->seconds, c.time.seconds) << c.text;
    EXPECT_EQ(time->nanos, c.time.nanos) << c.text;
  }
}

TEST(Timestamp, PrintsAsJiffPrints) {
  for (const TimestampCase& c : kTimestamps) {
    if (c.printed.empty()) continue;
    EXPECT_EQ(format_timestamp(c.time), c.printed) << c.text;
  }
}

TEST(Timestamp, WhatIsPrintedReadsBackTheSame) {
  std::mt19937_64 random(20261120);
  std::uniform_int_distribution<std::int64_t> seconds(kEarliestSecond, kLatestSecond);
  std::uniform_int_distribution<std::int32_t> nanos(0, 999'999'999);
  for (int i = 0; i < 20'000; ++i) {
    const Timestamp time{seconds(random), i % 3 == 0 ? 0 : nanos(random)};
    const std::string text = format_timestamp(time);
    ASSERT_EQ(parse_timestamp(text), time) << text;
  }
}

// The form that nearly all have takes a way of its own: each change to it must lead to what the
// general way makes of it, which a space for the T asks for.
TEST(Timestamp, TheUsualFormIsReadAsEveryOther) {
  const std::string usual = "2024-02-29T23:59:59.250Z";
  for (std::size_t at = 0; at < usual.size(); ++at) {
    if (usual[at] == 'T') continue;
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = usual;
      changed[at] = static_cast<char>(byte);
      std::string general = changed;
      general[10] = ' ';
      EXPECT_EQ(parse_timestamp(changed), parse_timestamp(general)) << changed;
    }
  }
}

TEST(Timestamp, EveryLengthOfTheUsualFormIsReadWithinItsBounds) {
  const std::string usual = "2024-02-29T23:59:59.123456789Z";
  for (std::size_t size = 0; size <= usual.size(); ++size) {
    // Its own allocation of that size, for the address sanitizer to watch.
    const std::string cut(usual, 0, size);
    EXPECT_EQ(parse_timestamp(cut).has_value(), size == usual.size()) << cut;
    if (size == 0) continue;
    std::string ended = cut;
    ended.back() = 'Z';
    const bool hours_only = ended == "2024-02-29T23Z" || ended == "2024-02-29T23:59Z";
    EXPECT_EQ(parse_timestamp(ended).has_value(), hours_only || size == 20 || size >= 22) << ended;
  }
}

TEST(Timestamp, BeyondWhatJiffHoldsTheNearestIsPrinted) {
  EXPECT_EQ(format_timestamp({std::numeric_limits<std::int64_t>::max(), 0}),
            "9999-12-30T22:00:00Z");
  EXPECT_EQ(format_timestamp({std::numeric_limits<std::int64_t>::min(), 0}),
            "-009999-01-02T01:59:58Z");
}

TEST(Timestamp, NanosecondsAreRoundedDownToSeconds) {
  EXPECT_EQ(timestamp_of_ns(0), (Timestamp{0, 0}));
  EXPECT_EQ(timestamp_of_ns(1'500'000'000), (Timestamp{1, 500'000'000}));
  EXPECT_EQ(timestamp_of_ns(-1), (Timestamp{-1, 999'999'999}));
  EXPECT_EQ(timestamp_of_ns(-1'000'000'000), (Timestamp{-1, 0}));
  EXPECT_EQ(timestamp_of_ns(std::numeric_limits<std::int64_t>::max()),
            (Timestamp{9'223'372'036, 854'775'807}));
  EXPECT_EQ(timestamp_of_ns(std::numeric_limits<std::int64_t>::min()),
            (Timestamp{-9'223'372'037, 145'224'192}));
}

TEST(Timestamp, NanosecondsComeBackAsTheyWere) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 10'000; ++i) {
    const auto ns = static_cast<std::int64_t>(random());
    ASSERT_EQ(unix_ns_of(timestamp_of_ns(ns)), ns);
  }
  for (const std::int64_t ns : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                std::int64_t{0}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(unix_ns_of(timestamp_of_ns(ns)), ns);
  }
}

TEST(Timestamp, WhatSixtyFourBitsCannotHoldIsTheNearestThatTheyCan) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(unix_ns_of({9'223'372'036, 854'775'808}), kMost);
  EXPECT_EQ(unix_ns_of({kLatestSecond, 0}), kMost);
  EXPECT_EQ(unix_ns_of({kMost, 999'999'999}), kMost);
  EXPECT_EQ(unix_ns_of({-9'223'372'037, 145'224'191}), kLeast);
  EXPECT_EQ(unix_ns_of({kEarliestSecond, 0}), kLeast);
  EXPECT_EQ(unix_ns_of({kLeast, 0}), kLeast);
}

TEST(CivilDate, EveryDayFollowsTheOneBefore) {
  CivilDate date{-9999, 1, 1};
  for (std::int64_t days = days_of(date); date.year < 10'000; ++days) {
    ASSERT_EQ(days_of(date), days);
    ASSERT_EQ(date_of(days), date);
    if (++date.day <= days_in_month(date.year, date.month)) continue;
    date.day = 1;
    if (++date.month <= 12) continue;
    date.month = 1;
    ++date.year;
  }
  EXPECT_EQ(days_of({1970, 1, 1}), 0);
}

}  // namespace
}  // namespace satchel::core
