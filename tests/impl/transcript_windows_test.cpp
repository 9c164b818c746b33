#include "cascade/transcript_windows.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace satchel::cascade {
namespace {

constexpr std::int64_t kHour = 3'600;
// 2026-11-20T10:00:00Z
constexpr std::int64_t kTen = 1'795'168'800;

struct Said {
  core::Timestamp time;
  std::uint64_t tokens;
};

class Buckets {
 public:
  explicit Buckets(const std::vector<Said>& said) {
    for (const Said& one : said) {
      const BucketEntry entry{ns_in_bucket(one.time), 1, true, {one.tokens, 0, 0, 0, 0}};
      buckets_[bucket_of(one.time)].add(entry);
      entries_[bucket_of(one.time)].push_back(entry);
    }
  }
  TranscriptWindows windows(core::Timestamp now) {
    WindowGatherer gatherer(now, [this](std::int64_t id) {
      ++asked_;
      return entries_[id];
    });
    for (auto at = buckets_.rbegin(); at != buckets_.rend(); ++at) {
      if (!gatherer.add(at->first, at->second)) break;
    }
    return gatherer.finish();
  }
  // "start first last tokens" of each block, in hours from ten o'clock.
  std::vector<std::uint64_t> blocks() {
    std::vector<std::uint64_t> tokens;
    BlockGatherer gatherer;
    const auto note = [&](const std::optional<TranscriptBlock>& block) {
      if (block) tokens.push_back(static_cast<std::uint64_t>(block->models.at(0).sums.input));
    };
    for (const auto& [id, bucket] : buckets_) note(gatherer.add(id, bucket));
    note(gatherer.finish());
    return tokens;
  }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  std::map<std::int64_t, Bucket> buckets_;
  std::map<std::int64_t, std::vector<BucketEntry>> entries_;
  int asked_ = 0;
};

struct BlockCase {
  const char* what;
  std::vector<Said> said;
  core::Timestamp now;
  std::optional<std::int64_t> start;
  std::uint64_t tokens;
};

TEST(TranscriptBlockTest, TheActiveBlockIsTheReferences) {
  const BlockCase cases[] = {
      {"one entry now", {{{kTen + 1800, 0}, 1}}, {kTen + 1800, 0}, kTen, 1},
      {"on the hour", {{{kTen, 0}, 1}}, {kTen, 0}, kTen, 1},
      {"just before the hour", {{{kTen - 1, 999'999'999}, 1}}, {kTen, 0}, kTen - kHour, 1},
      {"five hours old", {{{kTen, 0}, 1}}, {kTen + 5 * kHour, 0}, kTen, 1},
      {"five hours and a nanosecond old", {{{kTen, 0}, 1}}, {kTen + 5 * kHour, 1}, {}, 0},
      {"in the future", {{{kTen + 9 * kHour, 5}, 1}}, {kTen, 0}, kTen + 9 * kHour, 1},
      {"a gap of five hours",
       {{{kTen, 7}, 1}, {{kTen + 5 * kHour, 7}, 2}},
       {kTen + 5 * kHour, 7},
       kTen,
       3},
      {"a gap of five hours and a nanosecond",
       {{{kTen, 7}, 1}, {{kTen + 5 * kHour, 8}, 2}},
       {kTen + 5 * kHour, 8},
       kTen + 5 * kHour,
       2},
      {"longer than five hours",
       {{{kTen, 0}, 1}, {{kTen + 4 * kHour, 0}, 2}, {{kTen + 8 * kHour, 0}, 4}},
       {kTen + 9 * kHour, 0},
       kTen,
       7},
      {"the last is in the future, and what is before it",
       {{{kTen, 0}, 1}, {{kTen + 4 * kHour, 0}, 2}},
       {kTen + kHour, 0},
       kTen,
       3},
      {"before 1970", {{{-1, 0}, 1}}, {0, 0}, -kHour, 1},
      {"no entries", {}, {kTen, 0}, {}, 0},
  };
  for (const BlockCase& c : cases) {
    const TranscriptWindows windows = Buckets(c.said).windows(c.now);
    ASSERT_EQ(windows.five_hour.has_value(), c.start.has_value()) << c.what;
    if (!c.start) continue;
    EXPECT_EQ(windows.five_hour->start, (core::Timestamp{*c.start, 0})) << c.what;
    EXPECT_EQ(windows.five_hour->tokens.input, c.tokens) << c.what;
  }
}

TEST(TranscriptBlockTest, BlocksEndWhereNothingHappenedForMoreThanFiveHours) {
  Buckets buckets({{{kTen, 0}, 1},
                   {{kTen + 5 * kHour, 0}, 2},
                   {{kTen + 10 * kHour, 1}, 4},
                   {{kTen + 16 * kHour, 0}, 8}});
  EXPECT_EQ(buckets.blocks(), (std::vector<std::uint64_t>{3, 4, 8}));
}

TEST(TranscriptBlockTest, ActivityWithoutUsageHoldsABlockTogether) {
  Bucket silent;
  silent.activity = BucketSpan{0, 0};
  BlockGatherer gatherer;
  Bucket first;
  first.add({0, 1, true, {1, 0, 0, 0, 0}});
  const std::int64_t ten = kTen / kBucketSeconds;
  EXPECT_FALSE(gatherer.add(ten, first));
  EXPECT_FALSE(gatherer.add(ten + 16, silent));
  EXPECT_FALSE(gatherer.add(ten + 32, first));
  EXPECT_EQ(gatherer.finish()->models.at(0).sums.input, 2U);
}

TEST(TranscriptWindowTest, SevenDaysAreCutToTheNanosecond) {
  const core::Timestamp now{kTen + 1800, 500};
  const core::Timestamp from{now.seconds - 7 * 86'400, 500};
  Buckets buckets({{{from.seconds, 499}, 1},
                   {from, 2},
                   {{from.seconds, 501}, 4},
                   {{kTen, 0}, 8},
                   {now, 16},
                   {{now.seconds, 501}, 32}});
  EXPECT_EQ(buckets.windows(now).seven_day.input, 30U);
  EXPECT_EQ(buckets.asked(), 2) << "only the buckets that an edge cuts";
}

TEST(TranscriptWindowTest, WholeBucketsAreNotLookedInto) {
  Buckets buckets(
      {{{kTen - 86'400, 0}, 1}, {{kTen - 6 * 86'400, 0}, 2}, {{kTen - 8 * 86'400, 0}, 4}});
  EXPECT_EQ(buckets.windows({kTen, 0}).seven_day.input, 3U);
  EXPECT_EQ(buckets.asked(), 0);
}

TEST(TranscriptWindowTest, SumsOfManySaturate) {
  const std::uint64_t most = ~std::uint64_t{0};
  Buckets buckets({{{kTen, 0}, most}, {{kTen + 1000, 0}, most}, {{kTen + 2000, 0}, 1}});
  const TranscriptWindows windows = buckets.windows({kTen + 2000, 0});
  EXPECT_EQ(windows.seven_day.input, most);
  EXPECT_EQ(windows.five_hour->tokens.input, most);
}

}  // namespace
}  // namespace satchel::cascade
