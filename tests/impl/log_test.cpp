#include "core/log.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace satchel::core {
namespace {

class LinesLog final : public Log {
 public:
  using Log::Log;
  std::vector<std::string> lines;

 protected:
  void emit(LogLevel level, std::string_view component, std::string_view message) override {
    lines.push_back(std::string(log_level_name(level)) + " " + std::string(component) + ": " +
                    std::string(message));
  }
};

class BrokenLog final : public Log {
 public:
  using Log::Log;

 protected:
  void emit(LogLevel, std::string_view, std::string_view) override {
    throw std::runtime_error("full");
  }
};

TEST(Log, PassesWhatReachesTheThreshold) {
  LinesLog log(LogLevel::kWarn);
  log.write(LogLevel::kDebug, "c", "1");
  log.write(LogLevel::kInfo, "c", "2");
  log.write(LogLevel::kWarn, "c", "3");
  log.write(LogLevel::kError, "c", "4");
  EXPECT_EQ(log.lines, (std::vector<std::string>{"warn c: 3", "error c: 4"}));
  EXPECT_FALSE(log.enabled(LogLevel::kInfo));
  EXPECT_TRUE(log.enabled(LogLevel::kWarn));
}

TEST(Log, OffPassesNothing) {
  LinesLog log(LogLevel::kOff);
  log.write(LogLevel::kError, "c", "m");
  EXPECT_TRUE(log.lines.empty());
}

TEST(Log, ALineThatCannotBeWrittenIsLostAndNothingElse) {
  BrokenLog log(LogLevel::kDebug);
  log.write(LogLevel::kError, "c", "m");
}

TEST(StderrLog, WritesLevelComponentAndMessageOnOneLine) {
  StderrLog log(LogLevel::kInfo);
  testing::internal::CaptureStderr();
  log.write(LogLevel::kWarn, "prompt_cache.index", "disk full");
  log.write(LogLevel::kDebug, "x", "not this");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "satchel warn prompt_cache.index: disk full\n");
}

TEST(LogOnce, SaysAFactOnceAndAgainWhenTheQuietTimeIsOver) {
  LogOnce once(100);
  std::uint64_t suppressed = 99;
  EXPECT_TRUE(once.due(0, &suppressed));
  EXPECT_EQ(suppressed, 0U);
  EXPECT_FALSE(once.due(1, &suppressed));
  EXPECT_FALSE(once.due(99, &suppressed));
  EXPECT_TRUE(once.due(100, &suppressed));
  EXPECT_EQ(suppressed, 2U);
  EXPECT_FALSE(once.due(199, &suppressed));
  EXPECT_TRUE(once.due(200, &suppressed));
  EXPECT_EQ(suppressed, 1U);
}

TEST(LogOnce, SaysItAgainAfterItWasGone) {
  LogOnce once(100);
  std::uint64_t suppressed = 0;
  EXPECT_TRUE(once.due(0, &suppressed));
  EXPECT_FALSE(once.due(1, &suppressed));
  EXPECT_TRUE(once.clear());
  EXPECT_TRUE(once.due(2, &suppressed));
  EXPECT_EQ(suppressed, 0U);
}

TEST(LogOnce, WhatComesAndGoesAllTheTimeIsSaidAFewTimes) {
  LogOnce once(100'000);
  std::uint64_t suppressed = 0;
  int said = 0;
  int over = 0;
  for (int i = 0; i < 1000; ++i) {
    said += once.due(i, &suppressed) ? 1 : 0;
    over += once.clear() ? 1 : 0;
  }
  EXPECT_EQ(said, 5);
  EXPECT_EQ(over, 5);
  EXPECT_TRUE(once.due(100'000, &suppressed));
  EXPECT_EQ(suppressed, 995U);
}

TEST(LogOnce, TheEndOfWhatWasNeverSaidIsNotWorthALine) {
  LogOnce once(100);
  EXPECT_FALSE(once.clear());
  std::uint64_t suppressed = 0;
  EXPECT_TRUE(once.due(0, &suppressed));
  EXPECT_TRUE(once.clear());
  EXPECT_FALSE(once.clear());
}

TEST(LogOnce, OfManyThreadsOneSaysIt) {
  LogOnce once(1'000'000);
  std::atomic<int> said{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        std::uint64_t suppressed = 0;
        if (once.due(i, &suppressed)) ++said;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(said, 1);
}

}  // namespace
}  // namespace satchel::core
