// The order of the cascade's steps, with scripted parts.
#include "cascade/resolve.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace satchel::cascade {
namespace {

using core::Timestamp;

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::int64_t kFresh = 180'000'000'000;

std::shared_ptr<const EndpointUsage> usage_of(float five_hour) {
  auto usage = std::make_shared<EndpointUsage>();
  usage->bucket(BucketName::kFiveHour) = UsageBucket{five_hour, Timestamp{kNow + 3600, 0}};
  return usage;
}

CacheEntry entry_of_age(std::int64_t seconds, float five_hour = 40) {
  return {{kNow - seconds, 0}, usage_of(five_hour), {}};
}

std::shared_ptr<const Observation> observed(std::int64_t seconds_ago, const char* five_hour,
                                            const char* seven_day) {
  const std::vector<HeaderView> headers = {
      {"anthropic-ratelimit-unified-5h-utilization", five_hour},
      {"anthropic-ratelimit-unified-7d-utilization", seven_day}};
  return std::make_shared<const Observation>(*observe_headers(headers, {kNow - seconds_ago, 0}));
}

// What the parts answer, and what they were asked, in order.
class Script final : public ResolveParts {
 public:
  std::optional<CacheEntry> cached;
  std::optional<Lock> locked;
  std::shared_ptr<const Observation> seen;
  bool my_turn = true;
  UsageError token_error = UsageError::kNone;
  Fetched fetched{UsageError::kNone, {}, usage_of(10), false, false};
  std::optional<TokenCounts> transcript_tokens;
  // What another process has done by the time it is our turn.
  std::optional<CacheEntry> cached_meanwhile;
  // What another process has written between our look at the cache and that at the lock.
  std::optional<CacheEntry> cached_between;
  std::vector<std::string> calls;

  Timestamp now() override { return {kNow, 500}; }
  std::optional<CacheEntry> cache() override { return cached; }
  std::optional<Lock> lock() override {
    if (cached_between) cached = cached_between;
    return locked;
  }
  std::shared_ptr<const Observation> observation() override { return seen; }
  bool wait_for_turn() override {
    calls.emplace_back("turn");
    if (cached_meanwhile) cached = cached_meanwhile;
    return my_turn;
  }
  void end_turn() override { calls.emplace_back("end"); }
  TokenAnswer token() override {
    calls.emplace_back("token");
    return {token_error, core::Secret("t")};
  }
  Fetched fetch(const core::Secret& token) override {
    EXPECT_EQ(token.view(), "t");
    calls.emplace_back("fetch");
    return fetched;
  }
  TranscriptAnswer transcripts(Timestamp /*now*/) override {
    calls.emplace_back("transcripts");
    if (!transcript_tokens) return {UsageError::kNoEntries, {}};
    TranscriptAnswer answer;
    answer.windows.seven_day = *transcript_tokens;
    answer.windows.five_hour = {{kNow + 7200, 0}, *transcript_tokens};
    return answer;
  }
  void write_cache(const EndpointUsage& /*usage*/) override { calls.emplace_back("cache"); }
  void clear_cache() override { calls.emplace_back("clear"); }
  void write_lock(const Lock& lock) override {
    calls.push_back("lock +" + std::to_string(lock.blocked_until - kNow) + " " +
                    lock.error.value_or("-"));
  }
};

using Calls = std::vector<std::string>;

TEST(Resolve, AFreshCacheTouchesNothingElse) {
  Script script;
  script.cached = entry_of_age(179);
  script.locked = Lock{kNow + 1000, "Unauthorized"};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kCache);
  EXPECT_EQ(usage.error, UsageError::kNone);
  EXPECT_EQ(age_ns(usage), 179'000'000'500);
  EXPECT_TRUE(script.calls.empty());
}

TEST(Resolve, ACacheIsFreshToTheNanosecond) {
  Script script;
  script.cached = CacheEntry{{kNow - 180, 501}, usage_of(1), {}};
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kCache);
  script.cached->cached_at.nanos = 500;
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kEndpoint);
}

TEST(Resolve, ACacheFromBeforeTimeIsAsOldAsCanBe) {
  Script script;
  script.cached = CacheEntry{{core::kEarliestSecond, 0}, usage_of(1), {}};
  script.fetched = {UsageError::kNetworkError, {}, nullptr, false, false};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kStale);
  EXPECT_EQ(age_ns(usage), std::numeric_limits<std::int64_t>::max());
}

TEST(Resolve, ACacheFromTheFutureIsAMiss) {
  Script script;
  script.cached = CacheEntry{{kNow, 501}, usage_of(1), {}};
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kEndpoint);
}

TEST(Resolve, AFetchIsWrittenAndAnswered) {
  Script script;
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kEndpoint);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 10);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "fetch", "cache", "lock +180 -"}));
}

TEST(Resolve, WhileBlockedStaleDataIsServedAndNobodyIsAsked) {
  Script script;
  script.cached = entry_of_age(10'000);
  script.locked = Lock{kNow + 1, "Timeout"};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kStale);
  EXPECT_EQ(usage.error, UsageError::kTimeout);
  EXPECT_TRUE(script.calls.empty());
}

// A fetcher writes the cache first and the lock behind it: both may happen between our two looks.
TEST(Resolve, WhoSeesTheLockOfAFetchSeesItsAnswer) {
  Script script;
  script.cached_between = entry_of_age(0);
  script.locked = Lock{kNow + 180, {}};
  script.transcript_tokens = TokenCounts{1, 2, 3, 4};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kCache);
  EXPECT_EQ(usage.error, UsageError::kNone);
  EXPECT_TRUE(script.calls.empty());
}

TEST(Resolve, ALockThatEndsNowIsOver) {
  Script script;
  script.locked = Lock{kNow, "Timeout"};
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kEndpoint);
}

TEST(Resolve, BehindARefusalStaleDataIsNeverServed) {
  for (const char* refusal : {"Unauthorized", "Forbidden"}) {
    Script script;
    script.cached = entry_of_age(10'000);
    script.seen = observed(5'000, "0.5", "0.5");
    script.locked = Lock{kNow + 1, refusal};
    const Usage usage = resolve(script, kFresh);
    EXPECT_EQ(usage.source, UsageSource::kNone);
    EXPECT_EQ(usage_error_name(usage.error), refusal);
    EXPECT_EQ(script.calls, (Calls{"transcripts"}));
  }
}

TEST(Resolve, WhileBlockedTheErrorIsTheCachesThenTheLocksThenRateLimited) {
  Script script;
  script.locked = Lock{kNow + 1, "Timeout"};
  script.cached = CacheEntry{{kNow - 900, 0}, nullptr, "SomethingNew"};
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kNetworkError);
  script.cached.reset();
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kTimeout);
  script.locked->error.reset();
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kRateLimited);
}

TEST(Resolve, TranscriptsAnswerWhereTheEndpointDoesNotAndSayWhy) {
  Script script;
  script.fetched = {UsageError::kNetworkError, {}, nullptr, false};
  script.transcript_tokens = TokenCounts{1, 2, 3, 4};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kJsonl);
  EXPECT_EQ(usage.error, UsageError::kNetworkError);
  EXPECT_EQ(usage.transcripts.seven_day.output, 2u);
  // A block that begins in the future begins with this hour.
  EXPECT_EQ(usage.transcripts.five_hour->start, (Timestamp{kNow - kNow % 3600, 0}));
  EXPECT_EQ(script.calls,
            (Calls{"turn", "token", "fetch", "lock +30 NetworkError", "end", "transcripts"}));
}

TEST(Resolve, BackoffDependsOnTheFailure) {
  struct Case {
    Fetched fetched;
    const char* lock;
  };
  const std::vector<Case> cases = {
      {{UsageError::kRateLimited, 77, nullptr, false}, "lock +77 RateLimited"},
      {{UsageError::kRateLimited, {}, nullptr, false}, "lock +300 RateLimited"},
      {{UsageError::kRateLimited, 0, nullptr, false}, "lock +0 RateLimited"},
      {{UsageError::kForbidden, {}, nullptr, false}, "lock +300 Forbidden"},
      {{UsageError::kUnauthorized, {}, nullptr, false}, "lock +30 Unauthorized"},
      {{UsageError::kParseError, {}, nullptr, false}, "lock +30 ParseError"},
      {{UsageError::kTimeout, {}, nullptr, false}, "lock +30 Timeout"}};
  for (const Case& wanted : cases) {
    Script script;
    script.fetched = wanted.fetched;
    resolve(script, kFresh);
    EXPECT_EQ(std::count(script.calls.begin(), script.calls.end(), wanted.lock), 1) << wanted.lock;
  }
}

TEST(Resolve, ARefusalClearsTheCacheAndServesNothingStale) {
  Script script;
  script.cached = entry_of_age(1000);
  script.fetched = {UsageError::kForbidden, {}, nullptr, false};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kNone);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "fetch", "clear", "lock +300 Forbidden", "end",
                                 "transcripts"}));
}

TEST(Resolve, OtherFailuresServeWhatWasKnown) {
  Script script;
  script.cached = entry_of_age(1000);
  script.fetched = {UsageError::kRateLimited, 5, nullptr, false};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kStale);
  EXPECT_EQ(usage.error, UsageError::kRateLimited);
  EXPECT_EQ(script.calls.back(), "end");
}

TEST(Resolve, CredentialFailuresWriteNoLock) {
  Script script;
  script.token_error = UsageError::kMissingField;
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kMissingField);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "end", "transcripts"}));
}

TEST(Resolve, WhoeverWaitedFindsTheAnswerInTheFiles) {
  Script script;
  script.cached_meanwhile = entry_of_age(0, 77);
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kCache);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 77);
  EXPECT_EQ(script.calls, (Calls{"turn"}));
}

TEST(Resolve, WhoeverWaitedInVainAsksNobodyAndWritesNothing) {
  Script script;
  script.my_turn = false;
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kTimeout);
  EXPECT_EQ(script.calls, (Calls{"turn", "transcripts"}));
  script.calls.clear();
  script.cached = entry_of_age(1000);
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kStale);
  EXPECT_EQ(script.calls, (Calls{"turn"}));
}

TEST(Resolve, AFetchThatOthersLeftNoTimeForKeepsNobodyFromTheEndpoint) {
  Script script;
  script.fetched = {UsageError::kTimeout, {}, nullptr, false, true};
  EXPECT_EQ(resolve(script, kFresh).error, UsageError::kTimeout);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "fetch", "end", "transcripts"}));
  script.calls.clear();
  script.cached = entry_of_age(1000);
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kStale);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "fetch", "end"}));
}

TEST(Resolve, AFetchThatWasBrokenOffSaysNothingOfTheEndpoint) {
  Script script;
  script.fetched = {UsageError::kNetworkError, {}, nullptr, true, false};
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kNone);
  EXPECT_EQ(script.calls, (Calls{"turn", "token", "fetch"}));
}

TEST(Resolve, ObservedHeadersAreAsGoodAsFresh) {
  Script script;
  script.seen = observed(179, "0.25", "0.5");
  script.locked = Lock{kNow + 1000, "Unauthorized"};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kHeaders);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 25);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kSevenDay)->utilization, 50);
  EXPECT_TRUE(script.calls.empty());
}

TEST(Resolve, ObservedHeadersLieOverAnOlderCacheAndUnderANewerOne) {
  Script script;
  auto known = std::make_shared<EndpointUsage>(*usage_of(40));
  known->bucket(BucketName::kSevenDayOpus) = UsageBucket{9, {}};
  script.cached = CacheEntry{{kNow - 1000, 0}, known, {}};
  script.seen = observed(10, "0.25", "0.5");
  Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kHeaders);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 25);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kSevenDayOpus)->utilization, 9);
  EXPECT_EQ(usage.endpoint_as_of, (Timestamp{kNow - 1000, 0}));
  script.cached->cached_at = {kNow - 5, 0};
  usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kCache);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 40);
}

TEST(Resolve, OneObservedWindowDoesNotAnswerAloneButLiesOverWhatIsFresh) {
  Script script;
  script.seen = observed(10, "0.25", "");
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kEndpoint);
  script.cached = entry_of_age(100);
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kHeaders);
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 25);
}

TEST(Resolve, OldObservationsAreStaleData) {
  Script script;
  script.seen = observed(500, "0.25", "0.5");
  script.cached = entry_of_age(1000);
  script.fetched = {UsageError::kTimeout, {}, nullptr, false};
  const Usage usage = resolve(script, kFresh);
  EXPECT_EQ(usage.source, UsageSource::kStale);
  EXPECT_EQ(usage.error, UsageError::kTimeout);
  EXPECT_EQ(usage.as_of, (Timestamp{kNow - 500, 0}));
  EXPECT_EQ(usage.endpoint->bucket(BucketName::kFiveHour)->utilization, 25);
}

TEST(Resolve, AnObservationFromTheFutureIsNone) {
  Script script;
  script.seen = observed(-5, "0.25", "0.5");
  EXPECT_EQ(resolve(script, kFresh).source, UsageSource::kEndpoint);
}

TEST(Resolve, AtOnceServesStaleDataAndAsksForARefresh) {
  Script script;
  AtOnce at_once = resolve_at_once(script, kFresh);
  EXPECT_FALSE(at_once.usage);
  EXPECT_TRUE(at_once.refresh);
  script.cached = entry_of_age(1000);
  at_once = resolve_at_once(script, kFresh);
  EXPECT_EQ(at_once.usage->source, UsageSource::kStale);
  EXPECT_TRUE(at_once.refresh);
  script.locked = Lock{kNow + 5, "Timeout"};
  EXPECT_FALSE(resolve_at_once(script, kFresh).refresh);
  script.cached = entry_of_age(1);
  at_once = resolve_at_once(script, kFresh);
  EXPECT_EQ(at_once.usage->source, UsageSource::kCache);
  EXPECT_FALSE(at_once.refresh);
  EXPECT_TRUE(script.calls.empty());
}

}  // namespace
}  // namespace satchel::cascade
