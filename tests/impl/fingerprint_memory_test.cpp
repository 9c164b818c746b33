#include "tool_cache/fingerprint_memory.hpp"

#include <gtest/gtest.h>

#include <string>

namespace satchel::tool_cache {
namespace {

TEST(FingerprintMemory, HoldsNoMoreThanItMay) {
  FingerprintMemory memory(160);
  const core::ClockEpoch epoch = core::clock_epoch();
  for (int i = 0; i < 5000; ++i) {
    memory.put("/file/" + std::to_string(i), Form::kContent, {}, epoch, "x");
    ASSERT_LE(memory.size(), 160U);
  }
  EXPECT_GT(memory.size(), 100U);
}

TEST(FingerprintMemory, WhatIsAskedForStaysAndWhatIsNotGoes) {
  FingerprintMemory memory(160);
  const core::ClockEpoch epoch = core::clock_epoch();
  memory.put("/kept", Form::kContent, {}, epoch, "kept");
  memory.put("/left", Form::kContent, {}, epoch, "left");
  for (int i = 0; i < 5000; ++i) {
    memory.put("/file/" + std::to_string(i), Form::kContent, {}, epoch, "x");
    ASSERT_EQ(memory.find("/kept", Form::kContent, {}, epoch), "kept");
  }
  EXPECT_EQ(memory.find("/left", Form::kContent, {}, epoch), std::nullopt);
}

TEST(FingerprintMemory, FormsOfOnePathAreRememberedApart) {
  FingerprintMemory memory(160);
  const core::ClockEpoch epoch = core::clock_epoch();
  memory.put("/a", Form::kContent, {}, epoch, "content");
  memory.put("/a", Form::kDirectory, {}, epoch, "directory");
  EXPECT_EQ(memory.find("/a", Form::kContent, {}, epoch), "content");
  EXPECT_EQ(memory.find("/a", Form::kDirectory, {}, epoch), "directory");
}

}  // namespace
}  // namespace satchel::tool_cache
