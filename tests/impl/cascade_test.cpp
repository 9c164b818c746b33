// The cascade put together, over a transport that the test answers.
#include "cascade/cascade.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/file.hpp"
#include "surroundings.hpp"

namespace satchel::cascade {
namespace {

using core::CapturedLog;
using core::kSecond;
using core::ManualClock;
using core::TemporaryDirectory;

// What the endpoint does; shared by all cascades of a test.
class Endpoint {
 public:
  std::atomic<int> requests{0};
  std::atomic<int> status{200};
  std::atomic<bool> holding{false};
  std::atomic<bool> silent{false};
  std::atomic<int> inside{0};

  core::Result<core::HttpAnswer> answer(const std::atomic<bool>& stopped) {
    const int number = ++requests;
    ++inside;
    while (holding && !stopped) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --inside;
    if (stopped) return core::Error{core::Status::kIo, "stopped", 0, 0};
    if (silent) return core::Error{core::Status::kTimeout, "silent", 0, 0};
    return core::HttpAnswer{
        status, {}, R"({"five_hour":{"utilization":)" + std::to_string(number) + "}}"};
  }
};

class ToEndpoint final : public core::Transport {
 public:
  explicit ToEndpoint(Endpoint& endpoint) : endpoint_(endpoint) {}
  core::Result<core::HttpAnswer> send(const core::HttpRequest& /*request*/) override {
    return endpoint_.answer(stopped_);
  }
  void stop() override { stopped_ = true; }

 private:
  Endpoint& endpoint_;
  std::atomic<bool> stopped_{false};
};

class FixedToken final : public Credentials {
 public:
  TokenAnswer token() override { return {UsageError::kNone, core::Secret("t")}; }
};

class CascadeTest : public testing::Test {
 protected:
  std::unique_ptr<Cascade> open(std::string_view config = "{}") {
    CascadeParts parts;
    parts.cache_dir = scratch_.path();
    parts.credentials = std::make_unique<FixedToken>();
    parts.transport = std::make_unique<ToEndpoint>(endpoint_);
    return std::make_unique<Cascade>(*read_cascade_config(config), std::move(parts), clock_, log_);
  }
  static float five_hour(const Usage& usage) {
    return usage.endpoint->bucket(BucketName::kFiveHour)->utilization;
  }
  static bool observe(Cascade& cascade, const char* five_hour, const char* status = "allowed") {
    const std::vector<HeaderView> headers = {
        {"anthropic-ratelimit-unified-status", status},
        {"anthropic-ratelimit-unified-5h-utilization", five_hour},
        {"anthropic-ratelimit-unified-7d-utilization", "0.5"}};
    return cascade.observe(headers);
  }

  TemporaryDirectory scratch_;
  ManualClock clock_;
  CapturedLog log_;
  Endpoint endpoint_;
};

TEST_F(CascadeTest, AsksOncePerWindowWhoeverAsks) {
  const auto one = open();
  const auto other = open();
  EXPECT_EQ(one->resolve().source, UsageSource::kEndpoint);
  EXPECT_EQ(other->resolve().source, UsageSource::kCache);
  EXPECT_EQ(endpoint_.requests, 1);
  clock_.advance(180 * kSecond);
  EXPECT_EQ(five_hour(other->resolve()), 2);
  EXPECT_EQ(five_hour(one->resolve()), 2);
  EXPECT_EQ(endpoint_.requests, 2);
}

TEST_F(CascadeTest, ManyThreadsOnAColdCacheMakeOneRequest) {
  const auto one = open(R"({"timeout_ms":60000})");
  const auto other = open(R"({"timeout_ms":60000})");
  endpoint_.holding = true;
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&, i] {
      if (five_hour((i % 2 == 0 ? one : other)->resolve()) == 1) ++answered;
    });
  }
  ASSERT_TRUE(core::eventually([&] { return endpoint_.inside == 1; }));
  endpoint_.holding = false;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 32);
  EXPECT_EQ(endpoint_.requests, 1);
}

TEST_F(CascadeTest, NobodyWaitsLongerThanTheTimeout) {
  const auto one = open(R"({"timeout_ms":60000})");
  const auto other = open(R"({"timeout_ms":20})");
  endpoint_.holding = true;
  std::thread asking([&] { EXPECT_EQ(one->resolve().source, UsageSource::kEndpoint); });
  ASSERT_TRUE(core::eventually([&] { return endpoint_.inside == 1; }));
  const Usage late = other->resolve();
  EXPECT_EQ(late.source, UsageSource::kNone);
  EXPECT_EQ(late.error, UsageError::kTimeout);
  endpoint_.holding = false;
  asking.join();
  EXPECT_EQ(endpoint_.requests, 1);
  EXPECT_NE(other->metrics().find("turns_not_had_total 1"), std::string::npos);
}

TEST_F(CascadeTest, WhoWaitedForOneThatDiedKeepsNobodyFromTheEndpoint) {
  constexpr std::chrono::milliseconds kTimeout(800);
  const auto cascade = open(R"({"timeout_ms":800,"transcripts":{"enabled":false}})");
  endpoint_.silent = true;
  core::Result<core::UniqueFd> lock = core::open_private_file(scratch_ / "satchel-fetch.lock");
  ASSERT_TRUE(lock);
  ASSERT_EQ(core::lock_range(lock->get(), core::LockKind::kExclusive, 0, 1), 0);
  std::atomic<bool> begun{false};
  std::thread dying([&] {
    while (!begun) std::this_thread::yield();
    std::this_thread::sleep_for(kTimeout * 4 / 5);
    lock->reset();
  });
  begun = true;
  EXPECT_EQ(cascade->resolve().error, UsageError::kTimeout);
  dying.join();
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "usage.lock"));
  // One that has all of its time does.
  cascade->resolve();
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "usage.lock"));
}

TEST_F(CascadeTest, ObservedHeadersAreSharedAndNeedNoRequest) {
  const auto proxy = open();
  const auto other = open();
  EXPECT_TRUE(observe(*proxy, "0.25"));
  EXPECT_FALSE(proxy->observe({}));
  for (Cascade* cascade : {proxy.get(), other.get()}) {
    const Usage usage = cascade->resolve();
    EXPECT_EQ(usage.source, UsageSource::kHeaders);
    EXPECT_EQ(five_hour(usage), 25);
  }
  EXPECT_EQ(endpoint_.requests, 0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "usage.json"));
}

TEST_F(CascadeTest, ObservationsAreWrittenWhenTheyChangeElseOnceASecond) {
  const auto proxy = open();
  const auto other = open();
  const auto age = [&] { return age_ns(other->resolve()); };
  observe(*proxy, "0.1");
  observe(*proxy, "0.2");
  EXPECT_EQ(five_hour(other->resolve()), 20);
  clock_.advance(kSecond - 1);
  observe(*proxy, "0.2");
  EXPECT_EQ(age(), kSecond - 1) << "the same once more, not written";
  EXPECT_EQ(age_ns(proxy->resolve()), 0) << "its own are known at once";
  clock_.advance(1);
  observe(*proxy, "0.2");
  EXPECT_EQ(age(), 0);
  clock_.advance(1);
  observe(*proxy, "0.2");
  EXPECT_EQ(age(), 1);
  proxy->shut_down();
  EXPECT_EQ(age(), 0);
}

TEST_F(CascadeTest, WhatIsObservedCountsThoughTheClockWasSetBack) {
  const auto proxy = open();
  const auto other = open();
  observe(*proxy, "0.1");
  clock_.advance(-3600 * kSecond);
  observe(*proxy, "0.2");
  for (Cascade* cascade : {proxy.get(), other.get()}) {
    const Usage usage = cascade->resolve();
    ASSERT_EQ(usage.source, UsageSource::kHeaders);
    EXPECT_EQ(five_hour(usage), 20);
  }
  EXPECT_EQ(endpoint_.requests, 0);
}

TEST_F(CascadeTest, WhatOthersObservedInTheFutureHidesNothing) {
  const auto proxy = open();
  const auto other = open();
  observe(*proxy, "0.2");
  clock_.advance(3600 * kSecond);
  observe(*other, "0.1");
  clock_.advance(-3600 * kSecond);
  EXPECT_EQ(five_hour(proxy->resolve()), 20);
}

TEST_F(CascadeTest, StaleWhileRevalidateAnswersAtOnceAndRefreshesBehind) {
  open()->resolve();
  clock_.advance(181 * kSecond);
  const auto cascade = open(R"({"stale_while_revalidate":true})");
  endpoint_.holding = true;
  const Usage stale = cascade->resolve();
  EXPECT_EQ(stale.source, UsageSource::kStale);
  EXPECT_EQ(five_hour(stale), 1);
  ASSERT_TRUE(core::eventually([&] { return endpoint_.inside == 1; }));
  EXPECT_EQ(cascade->resolve().source, UsageSource::kStale);
  endpoint_.holding = false;
  ASSERT_TRUE(core::eventually([&] { return cascade->resolve().source == UsageSource::kCache; }));
  EXPECT_EQ(endpoint_.requests, 2);
}

TEST_F(CascadeTest, WhereNoThreadIsToBeHadStaleDataIsServedAllTheSame) {
  open()->resolve();
  clock_.advance(181 * kSecond);
  const auto cascade = open(R"({"stale_while_revalidate":true})");
  pthread_attr_t usual;
  pthread_attr_t impossible;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_getattr_default_np(&impossible), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&impossible, std::size_t{1} << 47), 0);
  ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cascade->resolve().source, UsageSource::kStale);
  }
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  EXPECT_EQ(log_.count("no thread"), 1U);
  EXPECT_EQ(cascade->resolve().source, UsageSource::kStale);
  EXPECT_TRUE(core::eventually([&] { return cascade->resolve().source == UsageSource::kCache; }));
}

TEST_F(CascadeTest, WithoutAnythingStaleItWaits) {
  const auto cascade = open(R"({"stale_while_revalidate":true})");
  EXPECT_EQ(cascade->resolve().source, UsageSource::kEndpoint);
}

TEST_F(CascadeTest, WhoeverMayNotWaitIsCalledBack) {
  const auto cascade = open();
  std::mutex mutex;
  std::condition_variable done;
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(cascade->resolve_start([&](std::optional<Usage> usage) {
      const std::lock_guard lock(mutex);
      if (usage && five_hour(*usage) == 1) ++answered;
      done.notify_one();
    }));
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(done.wait_for(lock, std::chrono::seconds(60), [&] { return answered == 10; }));
  EXPECT_EQ(endpoint_.requests, 1);
}

TEST_F(CascadeTest, ClosingBreaksOffWhatIsUnderWayAndWritesNoLock) {
  auto cascade = open(R"({"timeout_ms":600000})");
  endpoint_.holding = true;
  std::atomic<int> told{0};
  const auto count = [&](std::optional<Usage> usage) { told += usage ? 100 : 1; };
  ASSERT_TRUE(cascade->resolve_start(count));
  ASSERT_TRUE(core::eventually([&] { return endpoint_.inside == 1; }));
  ASSERT_TRUE(cascade->resolve_start(count));
  cascade.reset();
  EXPECT_EQ(told, 2);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "usage.lock"));
}

TEST_F(CascadeTest, ABoundedNumberMayWait) {
  auto cascade = open(R"({"timeout_ms":600000})");
  endpoint_.holding = true;
  int started = 0;
  while (started < 5000 && cascade->resolve_start([](const std::optional<Usage>&) {})) ++started;
  EXPECT_LT(started, 5000);
}

TEST_F(CascadeTest, WithoutACacheNothingIsWritten) {
  const auto cascade = open(R"({"cache":false,"transcripts":{"enabled":false}})");
  EXPECT_EQ(cascade->resolve().source, UsageSource::kEndpoint);
  EXPECT_EQ(cascade->resolve().source, UsageSource::kEndpoint);
  EXPECT_EQ(endpoint_.requests, 2);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
  EXPECT_EQ(cascade->report({}).error().status, core::Status::kNotHandled);
}

TEST_F(CascadeTest, CountsWhatItDid) {
  const auto cascade = open(R"({"transcripts":{"enabled":false}})");
  endpoint_.status = 429;
  cascade->resolve();
  cascade->resolve();
  observe(*cascade, "0.5");
  cascade->resolve();
  const std::string text = cascade->metrics();
  for (const char* line : {"satchel_cascade_resolves_total{source=\"none\"} 2",
                           "satchel_cascade_resolves_total{source=\"headers\"} 1",
                           "satchel_cascade_requests_total{outcome=\"RateLimited\"} 1",
                           "satchel_cascade_requests_total{outcome=\"ok\"} 0",
                           "satchel_cascade_observations_total 1"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace satchel::cascade
