#include "prompt_cache/exact_count.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

namespace satchel::prompt_cache {
namespace {

constexpr std::optional<std::uint64_t> kNone;

std::vector<Breakpoint> at(const std::vector<std::size_t>& blocks) {
  std::vector<Breakpoint> breakpoints;
  for (const std::size_t block : blocks) {
    Breakpoint& breakpoint = breakpoints.emplace_back();
    breakpoint.block = block;
    breakpoint.prefix.message = static_cast<std::int64_t>(block);
  }
  return breakpoints;
}

TEST(RenderRequest, IsAsTheForwardedBodyHasIt) {
  core::JsonTape tape;
  const std::string body =
      R"({"model":"m","tools":[ {"a":1e2} ],"messages": [{"role":"user","content":"\u00e9"} ]})";
  ASSERT_TRUE(tape.read(body));
  EXPECT_EQ(render_request(tape).messages, R"([{"role":"user","content":"\u00e9"} ])");
  EXPECT_EQ(render_request(tape).tools, R"([ {"a":1e2} ])");
}

TEST(RenderRequest, WithoutMessagesHasNoneAndWithoutToolsSaysNothingOfThem) {
  core::JsonTape tape;
  ASSERT_TRUE(tape.read(R"({"model":"m"})"));
  EXPECT_EQ(render_request(tape).messages, "[]");
  EXPECT_TRUE(render_request(tape).tools.empty());
}

TEST(RenderRequest, OfEqualMembersTheLastCounts) {
  core::JsonTape tape;
  ASSERT_TRUE(tape.read(R"({"messages":[1],"tools":null,"messages":[2]})"));
  EXPECT_EQ(render_request(tape).messages, "[2]");
  EXPECT_EQ(render_request(tape).tools, "null");
}

TEST(PrefixesBeyond, AreThoseOfBreakpointsBehindTheRead) {
  const std::vector<Breakpoint> breakpoints = at({2, 5, 9});
  const auto messages = [&](const std::optional<KnownPrefix>& known) {
    std::vector<std::int64_t> found;
    for (const Prefix& prefix : prefixes_beyond(breakpoints, known)) {
      found.push_back(prefix.message);
    }
    return found;
  };
  EXPECT_EQ(messages(std::nullopt), (std::vector<std::int64_t>{2, 5, 9}));
  EXPECT_EQ(messages(KnownPrefix{1, 0}), (std::vector<std::int64_t>{2, 5, 9}));
  EXPECT_EQ(messages(KnownPrefix{2, 0}), (std::vector<std::int64_t>{5, 9}));
  EXPECT_EQ(messages(KnownPrefix{7, 0}), (std::vector<std::int64_t>{9}));
  EXPECT_TRUE(messages(KnownPrefix{9, 0}).empty());
}

TEST(JudgeRender, BelievesCountsThatGrowAndFitIntoTheWhole) {
  struct Row {
    RenderCounts counts;
    std::size_t asked;
    RenderVerdict verdict;
  };
  using enum RenderVerdict;
  const Row rows[] = {
      {{10, {1, 2, 3}}, 3, kUsable},        {{10, {1, 1, 10}}, 3, kUsable},
      {{10, {{}, {}, {}}}, 3, kUsable},     {{10, {3, {}, 3}}, 3, kUsable},
      {{10, {}}, 1, kMisaligned},           {{10, {1, 2}}, 1, kMisaligned},
      {{10, {1, 2}}, 3, kMisaligned},       {{10, {2, 1}}, 2, kNotMonotonic},
      {{10, {5, {}, 4}}, 3, kNotMonotonic}, {{10, {11}}, 1, kNotMonotonic},
      {{0, {1}}, 1, kNotMonotonic},         {{0, {0}}, 1, kUsable},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(judge_render(row.counts, row.asked), row.verdict)
        << "row " << &row - std::begin(rows);
  }
}

TEST(CountsOf, GivesEachBreakpointBehindTheReadItsOwn) {
  const std::vector<Breakpoint> breakpoints = at({2, 5, 9});
  const RenderCounts counts{100, {50, {}}};
  const BreakpointCounts found = counts_of(counts, breakpoints, KnownPrefix{2, 7});
  EXPECT_EQ(found, (BreakpointCounts{kNone, 50, kNone}));
  EXPECT_TRUE(has_gaps(found, breakpoints, KnownPrefix{2, 7}));
  EXPECT_FALSE(has_gaps({kNone, 50, 60}, breakpoints, KnownPrefix{2, 7}));
  EXPECT_TRUE(has_gaps({kNone, 50, 60}, breakpoints, std::nullopt));
}

TEST(FillGaps, EstimatesFromTheClosestCount) {
  struct Row {
    const char* what;
    BreakpointCounts counts;  // at blocks 1, 3, 5
    std::optional<KnownPrefix> known;
    std::uint64_t total;
    BreakpointCounts filled;
  };
  // Plain tokens: block 0 has 10, block 1 has 20, ... up to and including each of six.
  const std::vector<std::uint32_t> plain{10, 30, 60, 100, 150, 210};
  const Row rows[] = {
      {"nothing to fill", {1, 2, 3}, {}, 9, {1, 2, 3}},
      {"from the one before", {35, kNone, 999}, {}, 999, {35, 105, 999}},
      {"the last from the one before", {35, 110, kNone}, {}, 999, {35, 110, 220}},
      {"two from the same, one after the other", {35, kNone, kNone}, {}, 999, {35, 105, 215}},
      {"from the read", {kNone, kNone, 999}, KnownPrefix{0, 500}, 999, {520, 590, 999}},
      {"the read counts where no count is before",
       {kNone, 700, 800},
       KnownPrefix{0, 600},
       999,
       {620, 700, 800}},
      {"from the one after", {kNone, 100, 200}, {}, 999, {30, 100, 200}},
      {"from the closest after", {kNone, kNone, 300}, {}, 999, {120, 190, 300}},
      {"from the one after, not below zero", {kNone, 50, 200}, {}, 999, {0, 50, 200}},
      {"from segments alone", {kNone, kNone, kNone}, {}, 999, {30, 100, 210}},
      {"not above the next", {35, kNone, 90}, {}, 999, {35, 90, 90}},
      {"not above the whole", {35, 110, kNone}, {}, 150, {35, 110, 150}},
      {"segments alone not above the whole", {kNone, kNone, kNone}, {}, 80, {30, 80, 80}},
      {"before the read nothing is filled",
       {kNone, kNone, kNone},
       KnownPrefix{3, 400},
       999,
       {kNone, kNone, 510}},
      {"nor taken from", {kNone, kNone, 420}, KnownPrefix{1, 400}, 999, {kNone, 420, 420}},
  };
  for (const Row& row : rows) {
    BreakpointCounts counts = row.counts;
    fill_gaps(counts, at({1, 3, 5}), row.known, plain, row.total);
    EXPECT_EQ(counts, row.filled) << row.what;
  }
}

TEST(FillGaps, SumsThatShrinkMakeNoneLarger) {
  BreakpointCounts counts{40, kNone};
  fill_gaps(counts, at({0, 1}), std::nullopt, std::vector<std::uint32_t>{100, 60}, 999);
  EXPECT_EQ(counts, (BreakpointCounts{40, 40}));
  counts = {kNone, 40};
  fill_gaps(counts, at({0, 1}), std::nullopt, std::vector<std::uint32_t>{100, 60}, 999);
  EXPECT_EQ(counts, (BreakpointCounts{40, 40}));
}

TEST(FillGaps, TheGreatestCountsDoNotWrapAround) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  BreakpointCounts counts{kNone};
  fill_gaps(counts, at({1}), KnownPrefix{0, kMost}, std::vector<std::uint32_t>{0, kMost}, kMost);
  EXPECT_EQ(counts, (BreakpointCounts{kMost}));
}

TEST(DriftAlarm, OverTwentyTokensAndOverOnePercentOfTheirs) {
  struct Row {
    std::uint64_t ours;
    std::uint64_t theirs;
    bool alarm;
  };
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const Row rows[] = {
      {1000, 1000, false},    {1020, 1000, false},    {1021, 1000, true},
      {979, 1000, true},      {980, 1000, false},     {10'100, 10'000, false},
      {10'101, 10'000, true}, {9'900, 10'000, false}, {9'899, 10'000, true},
      {21, 0, true},          {20, 0, false},         {0, 21, true},
      {0, kMost, true},       {kMost, 0, true},       {kMost, kMost, false},
      {2'122, 2'100, true},   {2'121, 2'100, false},  {2'022, 2'199, true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(drift_alarm(row.ours, row.theirs), row.alarm) << row.ours << " " << row.theirs;
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
