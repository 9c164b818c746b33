#include "prompt_cache/remembered.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "surroundings.hpp"

namespace satchel::prompt_cache {
namespace {

using Resolved = Metrics::Resolved;
using Answer = core::Result<int>;

constexpr std::int64_t kTtl = 100;

core::Error no() { return {core::Status::kIo, "no"}; }

class RememberedTest : public testing::Test {
 protected:
  template <class Ask>
  Answer get(const Ask& ask, Patience patience = {}) {
    return remembered.get("key", patience, ask, how);
  }
  core::ManualClock clock;
  Remembered<int> remembered{kTtl, 10, clock};
  Resolved how{};
};

TEST_F(RememberedTest, AnAnswerIsAskedForOnceAndThenAgain) {
  EXPECT_EQ(*get([] { return Answer(1); }), 1);
  EXPECT_EQ(how, Resolved::kMiss);
  clock.advance(kTtl - 1);
  EXPECT_EQ(*get([] { return Answer(2); }), 1);
  EXPECT_EQ(how, Resolved::kHit);
  clock.advance(1);
  EXPECT_EQ(*get([] { return Answer(3); }), 3);
  EXPECT_EQ(how, Resolved::kMiss);
}

TEST_F(RememberedTest, AFailureIsNotRemembered) {
  EXPECT_FALSE(get([] { return Answer(no()); }));
  EXPECT_EQ(how, Resolved::kFailed);
  EXPECT_EQ(*get([] { return Answer(2); }), 2);
}

TEST_F(RememberedTest, NothingIsAskedOnceNobodyWaits) {
  Patience over;
  over.until_ns = clock.monotonic_ns();
  bool asked = false;
  const Answer answer = get(
      [&] {
        asked = true;
        return Answer(1);
      },
      over);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().status, core::Status::kTimeout);
  EXPECT_FALSE(asked);
  EXPECT_EQ(how, Resolved::kFailed);
}

TEST_F(RememberedTest, WhatIsRememberedIsToldToWhoeverHasNoTime) {
  remembered.put("key", 5);
  Patience over;
  over.until_ns = clock.monotonic_ns();
  EXPECT_EQ(*get([] { return Answer(1); }, over), 5);
}

TEST_F(RememberedTest, AFailureThatCameWithTheEndOfPatienceIsNoAnswerForOthers) {
  Patience short_one;
  short_one.until_ns = clock.monotonic_ns() + 10;
  std::atomic<bool> asking{false};
  std::atomic<bool> go_on{false};
  Answer hasty = Answer(0);
  std::thread first([&] {
    Resolved ignored{};
    hasty = remembered.get(
        "key", short_one,
        [&] {
          asking = true;
          while (!go_on) std::this_thread::yield();
          clock.advance(10);
          return Answer(no());
        },
        ignored);
  });
  while (!asking) std::this_thread::yield();
  std::thread let_go([&] { go_on = true; });
  const Answer patient = get([] { return Answer(2); });
  first.join();
  let_go.join();
  EXPECT_FALSE(hasty);
  ASSERT_TRUE(patient);
  EXPECT_EQ(*patient, 2);
}

TEST_F(RememberedTest, ManyWhoWantTheSameAskOnce) {
  constexpr int kThreads = 16;
  std::atomic<int> asked{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Resolved mine{};
      const Answer answer = remembered.get(
          "key", {},
          [&] {
            ++asked;
            std::this_thread::yield();
            return Answer(7);
          },
          mine);
      if (!answer || *answer != 7) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace satchel::prompt_cache
