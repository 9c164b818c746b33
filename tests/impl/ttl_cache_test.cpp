#include "core/ttl_cache.hpp"

#include <gtest/gtest.h>

#include <string>

namespace satchel::core {
namespace {

TEST(TtlCache, AnAnswerIsRememberedUntilItsTimeIsOver) {
  TtlCache<int> cache(100, 10);
  cache.put("a", 1, 1000);
  EXPECT_EQ(cache.get("a", 1000), 1);
  EXPECT_EQ(cache.get("a", 1099), 1);
  EXPECT_EQ(cache.get("a", 1100), std::nullopt);
  EXPECT_EQ(cache.get("b", 1000), std::nullopt);
}

TEST(TtlCache, ReadingDoesNotExtendIt) {
  TtlCache<int> cache(100, 10);
  cache.put("a", 1, 0);
  EXPECT_EQ(cache.get("a", 99), 1);
  EXPECT_EQ(cache.get("a", 100), std::nullopt);
}

TEST(TtlCache, ANewAnswerReplacesTheOldAndLivesAnew) {
  TtlCache<int> cache(100, 1);
  cache.put("a", 1, 0);
  cache.put("a", 2, 50);
  EXPECT_EQ(cache.get("a", 149), 2);
  EXPECT_EQ(cache.get("a", 150), std::nullopt);
}

TEST(TtlCache, NoAnswerIsAnAnswerToo) {
  TtlCache<std::optional<int>> cache(100, 10);
  cache.put("a", std::nullopt, 0);
  const auto found = cache.get("a", 1);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
}

TEST(TtlCache, WhenItIsFullWhatIsOverGoesFirst) {
  TtlCache<int> cache(100, 2);
  cache.put("old", 1, 0);
  cache.put("young", 2, 90);
  cache.put("new", 3, 100);
  EXPECT_EQ(cache.get("old", 100), std::nullopt);
  EXPECT_EQ(cache.get("young", 100), 2);
  EXPECT_EQ(cache.get("new", 100), 3);
}

TEST(TtlCache, WhenItIsFullOfWhatLivesEverythingGoes) {
  TtlCache<int> cache(100, 2);
  cache.put("a", 1, 0);
  cache.put("b", 2, 0);
  cache.put("c", 3, 0);
  EXPECT_EQ(cache.get("a", 0), std::nullopt);
  EXPECT_EQ(cache.get("b", 0), std::nullopt);
  EXPECT_EQ(cache.get("c", 0), 3);
}

// Keys come from clients: ten thousand names of a model, each as long as a body may be, would fill
// the host's memory.
TEST(TtlCache, WhatHasAnEndlessKeyIsNotKept) {
  TtlCache<int> cache(100, 10);
  const std::string longest(1024, 'm');
  const std::string longer(1025, 'm');
  cache.put(longest, 1, 0);
  cache.put(longer, 2, 0);
  EXPECT_EQ(cache.get(longest, 0), 1);
  EXPECT_EQ(cache.get(longer, 0), std::nullopt);
}

TEST(TtlCache, NeverHoldsMoreThanItsBound) {
  TtlCache<int> cache(100, 8);
  for (int i = 0; i < 1000; ++i) {
    cache.put(std::to_string(i), i, i);
    int held = 0;
    for (int k = 0; k <= i; ++k) held += cache.get(std::to_string(k), i).has_value() ? 1 : 0;
    ASSERT_LE(held, 8);
    ASSERT_EQ(cache.get(std::to_string(i), i), i);
  }
}

}  // namespace
}  // namespace satchel::core
