#include "cascade/observation.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace satchel::cascade {
namespace {

using core::Timestamp;

constexpr Timestamp kNow{1'774'470'000, 0};
constexpr std::int64_t kFresh = 180'000'000'000;

// As a client recorded them.
const std::vector<HeaderView> kRecorded = {
    {"content-type", "application/json"},
    {"Anthropic-Ratelimit-Unified-Status", "rejected"},
    {"anthropic-ratelimit-unified-5h-status", "rejected"},
    {"anthropic-ratelimit-unified-5h-reset", "1774472400"},
    {"anthropic-ratelimit-unified-5h-utilization", "1.0"},
    {"anthropic-ratelimit-unified-7d-status", "allowed"},
    {"anthropic-ratelimit-unified-7d-reset", "1774580400"},
    {"anthropic-ratelimit-unified-7d-utilization", "0.59"},
    {"anthropic-ratelimit-unified-7d_oi-utilization", "1.02"},
    {"anthropic-ratelimit-unified-representative-claim", "five_hour"},
    {"anthropic-ratelimit-unified-fallback-percentage", "0.5"},
    {"anthropic-ratelimit-unified-overage-disabled-reason", "out_of_credits"},
    {"anthropic-ratelimit-unified-overage-status", "rejected"},
    {"retry-after", "2094"}};

Observation of(const std::vector<HeaderView>& headers) { return *observe_headers(headers, kNow); }

Observation utilization(const char* value) {
  return of({{"anthropic-ratelimit-unified-5h-utilization", value}});
}

TEST(Observation, ReadsTheFormsInUse) {
  const Observation seen = of(kRecorded);
  EXPECT_EQ(seen.whole.status, "rejected");
  EXPECT_EQ(seen.representative_claim, "five_hour");
  EXPECT_EQ(seen.five_hour.status, "rejected");
  EXPECT_EQ(seen.five_hour.utilization, 100);
  EXPECT_EQ(seen.five_hour.resets_at, (Timestamp{1'774'472'400, 0}));
  EXPECT_EQ(seen.seven_day.status, "allowed");
  EXPECT_EQ(seen.seven_day.utilization, 59);
  EXPECT_EQ(seen.overage.status, "rejected");
  EXPECT_EQ(seen.overage_disabled_reason, "out_of_credits");
  EXPECT_EQ(seen.headers.size(), 12u);
}

TEST(Observation, HeadersThatSayNothingAreNone) {
  EXPECT_FALSE(observe_headers({}, kNow));
  const std::vector<HeaderView> others = {{"anthropic-ratelimit-requests-remaining", "5"},
                                          {"anthropic-ratelimit-unified-", "x"},
                                          {"retry-after", "1"}};
  EXPECT_FALSE(observe_headers(others, kNow));
}

TEST(Observation, UtilizationIsAFractionClampedToThePercentages) {
  EXPECT_EQ(utilization("0.42").five_hour.utilization, 42);
  EXPECT_EQ(utilization(" 0.07 ").five_hour.utilization, 7);
  EXPECT_EQ(utilization("1.02").five_hour.utilization, 100);
  EXPECT_EQ(utilization("-0.5").five_hour.utilization, 0);
  EXPECT_EQ(utilization("37%").five_hour.utilization, 37);
}

TEST(Observation, AFormThatIsNotKnownIsKeptAndChangesNothing) {
  for (const char* value : {"42", "lots", "", "null", "NaN", "inf", "0.4x"}) {
    const Observation seen = utilization(value);
    EXPECT_FALSE(seen.five_hour.utilization) << value;
    EXPECT_EQ(seen.headers.front().second, value);
  }
}

TEST(Observation, ResetsAreSecondsMillisecondsOrRfc3339) {
  const auto reset = [](const char* value) {
    return of({{"anthropic-ratelimit-unified-5h-reset", value}}).five_hour.resets_at;
  };
  EXPECT_EQ(reset("1774472400"), (Timestamp{1'774'472'400, 0}));
  EXPECT_EQ(reset("1774472400.5"), (Timestamp{1'774'472'400, 500'000'000}));
  EXPECT_EQ(reset("1774472400000"), (Timestamp{1'774'472'400, 0}));
  EXPECT_EQ(reset("2026-03-25T21:00:00Z"), (Timestamp{1'774'472'400, 0}));
  EXPECT_FALSE(reset("soon"));
  EXPECT_FALSE(reset("-5"));
  EXPECT_FALSE(reset("1e300"));
}

TEST(Observation, IsBounded) {
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i)
    names.push_back("anthropic-ratelimit-unified-x" + std::to_string(i));
  std::vector<HeaderView> headers;
  for (const std::string& name : names) headers.emplace_back(name, "1");
  EXPECT_EQ(of(headers).headers.size(), 64u);
  const std::string long_value(300, 'x');
  const std::vector<HeaderView> bad = {{"anthropic-ratelimit-unified-status", long_value},
                                       {"anthropic-ratelimit-unified-reset", "1\n2"},
                                       {"anthropic-ratelimit-unified-\x01", "x"}};
  EXPECT_FALSE(observe_headers(bad, kNow));
}

TEST(Observation, TheFileHoldsAllOfIt) {
  const Observation seen = of(kRecorded);
  const std::optional<Observation> read = read_observation_file(write_observation_file(seen));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->observed_at, kNow);
  EXPECT_EQ(read->headers, seen.headers);
  EXPECT_EQ(read->seven_day.utilization, 59);
}

TEST(Observation, AFileOfAnotherKindIsNone) {
  for (const char* text :
       {"", "{}", "[]", R"({"schema_version":2,"observed_at":"2026-03-25T21:00:00Z","headers":{}})",
        R"({"schema_version":1,"observed_at":"x","headers":{}})",
        R"({"schema_version":1,"observed_at":"2026-03-25T21:00:00Z"})",
        R"({"schema_version":1,"observed_at":"2026-03-25T21:00:00Z","headers":{"a":1}})"}) {
    EXPECT_FALSE(read_observation_file(text)) << text;
  }
}

TEST(Observation, AnswersAloneWhileYoungWithBothWindowsNoneOfThemReset) {
  const Observation seen = of(kRecorded);
  EXPECT_TRUE(answers(seen, kNow, kFresh));
  EXPECT_TRUE(answers(seen, {kNow.seconds + 179, 0}, kFresh));
  EXPECT_FALSE(answers(seen, {kNow.seconds + 180, 0}, kFresh));
  EXPECT_FALSE(answers(seen, {kNow.seconds - 1, 0}, kFresh));
  EXPECT_FALSE(answers(utilization("0.5"), kNow, kFresh));
  Observation short_lived = seen;
  short_lived.five_hour.resets_at = Timestamp{kNow.seconds + 10, 0};
  EXPECT_TRUE(answers(short_lived, {kNow.seconds + 9, 0}, kFresh));
  EXPECT_FALSE(answers(short_lived, {kNow.seconds + 10, 0}, kFresh));
}

TEST(Observation, AWindowThatWasResetIsNotLaidOver) {
  const Observation seen = of(kRecorded);
  EndpointUsage usage;
  usage.bucket(BucketName::kFiveHour) = UsageBucket{1, {}};
  EXPECT_TRUE(lay_over(seen, {1'774'472'400, 0}, usage));
  EXPECT_EQ(usage.bucket(BucketName::kFiveHour)->utilization, 1);
  EXPECT_EQ(usage.bucket(BucketName::kSevenDay)->utilization, 59);
  EXPECT_FALSE(lay_over(seen, {1'774'580'400, 0}, usage));
}

}  // namespace
}  // namespace satchel::cascade
