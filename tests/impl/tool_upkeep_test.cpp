// Bounds, what runs in the background, and an index that is never believed over the store.
#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "tool_cache_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolUpkeepTest : public ToolCacheFixture {
 protected:
  ToolUpkeepTest() { config_.maintenance_interval_ms = 3'600'000; }  // by evict() and flush() only

  [[nodiscard]] std::filesystem::path index() const { return store() / ".satchel" / "index"; }

  void fill(ToolCache& cache, int entries) {
    for (int i = 0; i < entries; ++i) {
      const std::string name = "f" + std::to_string(i);
      persist(cache, key_of(name), "payload of " + name, meta("read", {root(write(name, name))}));
      persist(cache, key_of("llm " + name), "llm of " + name, meta("llm", {}, {key_of(name)}));
    }
  }

  // The index says what the store says: each file has its entry and the dependent.
  void expect_right(int entries) {
    const auto cache = open();
    EXPECT_EQ(count(*cache), 2U * static_cast<unsigned>(entries));
    for (int i = 0; i < entries; ++i) {
      const std::string name = "f" + std::to_string(i);
      EXPECT_EQ(*cache->invalidate_path(name), 1U) << name;
      EXPECT_EQ(look(*cache, key_of("llm " + name)), "miss") << name;
    }
    EXPECT_EQ(count(*cache), 0U);
  }
};

TEST_F(ToolUpkeepTest, TheLeastRecentlyUsedGoesFirst) {
  config_.max_entries = 2;
  const auto cache = open();
  ASSERT_TRUE(cache->flush(60 * core::kSecond));  // opening evicts too, in the background
  for (const char* name : {"a", "b", "c"}) persist(*cache, key_of(name), name, meta("read"));
  EXPECT_EQ(check(*cache, key_of("a")), "hit: a");  // used last
  EXPECT_EQ(check(*cache, key_of("c")), "hit: c");
  EXPECT_EQ(*cache->evict(), 1U);
  EXPECT_EQ(look(*cache, key_of("b")), "miss");
  EXPECT_EQ(look(*cache, key_of("a")), "hit: a");
  EXPECT_EQ(*cache->evict(), 0U);
}

TEST_F(ToolUpkeepTest, TheBoundOnBytesCountsWhatIsOnTheDisk) {
  const auto cache = open();
  for (const char* name : {"a", "b", "c"}) {
    persist(*cache, key_of(name), std::string(1000, 'x'), meta("read"));
  }
  const std::uint64_t all = *cache->total_bytes();
  config_.max_bytes = static_cast<std::int64_t>(all) - 1;
  const auto bounded = open();
  ASSERT_TRUE(bounded->evict());  // or the pass at opening
  EXPECT_EQ(*bounded->total_bytes(), all / 3 * 2);
}

TEST_F(ToolUpkeepTest, BoundsAreKeptInTheBackground) {
  config_.max_entries = 3;
  config_.maintenance_interval_ms = 10;
  const auto cache = open();
  for (int i = 0; i < 10; ++i) persist(*cache, key_of(std::to_string(i)), "x", meta("read"));
  EXPECT_TRUE(core::eventually([&] {
    int left = 0;
    for (int i = 0; i < 10; ++i) {
      if (std::filesystem::exists(file_of(key_of(std::to_string(i)), ".payload"))) ++left;
    }
    return left == 3;
  }));
}

TEST_F(ToolUpkeepTest, WhatIsOldGoes) {
  const auto cache = open();
  persist(*cache, key_of("old"), "x", meta("read"));
  persist(*cache, key_of("new"), "x", meta("read"));
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(48);
  std::filesystem::last_write_time(file_of(key_of("old"), ".payload"), long_ago);
  std::filesystem::remove_all(index());  // which may have seen it as it was
  config_.max_age_s = 86'400;
  const auto bounded = open();
  ASSERT_TRUE(bounded->evict());
  EXPECT_EQ(look(*bounded, key_of("old")), "miss");
  EXPECT_EQ(look(*bounded, key_of("new")), "hit: x");
}

TEST_F(ToolUpkeepTest, EvictingToACapTakesTheOldestPayloadsFirst) {
  const auto cache = open();
  for (const char* name : {"a", "b", "c"}) persist(*cache, key_of(name), name, meta("read"));
  const auto now = std::filesystem::file_time_type::clock::now();
  std::filesystem::last_write_time(file_of(key_of("b"), ".payload"), now - std::chrono::hours(2));
  std::filesystem::last_write_time(file_of(key_of("c"), ".payload"), now - std::chrono::hours(1));
  EXPECT_EQ(*cache->evict_to_cap(*cache->total_bytes() - 1), 1U);
  EXPECT_EQ(count(*cache), 3U);  // still known, until somebody asks
  EXPECT_EQ(look(*cache, key_of("b")), "miss");
  EXPECT_EQ(count(*cache), 2U);
  EXPECT_EQ(*cache->evict_to_cap(0), 2U);
}

TEST_F(ToolUpkeepTest, HalvesAreSweptWhenTheyAreOldEnough) {
  const auto cache = open();
  persist(*cache, key_of("p"), "x", meta("read"));
  persist(*cache, key_of("m"), "x", meta("read"));
  persist(*cache, key_of("whole"), "x", meta("read"));
  std::filesystem::remove(file_of(key_of("p"), ".payload"));
  std::filesystem::remove(file_of(key_of("m"), ".meta.json"));
  EXPECT_EQ(*cache->sweep(3600 * core::kSecond), 0U);
  EXPECT_EQ(*cache->sweep(0), 2U);
  EXPECT_FALSE(std::filesystem::exists(file_of(key_of("p"), ".meta.json")));
  EXPECT_FALSE(std::filesystem::exists(file_of(key_of("m"), ".payload")));
  EXPECT_EQ(look(*cache, key_of("whole")), "hit: x");
}

TEST_F(ToolUpkeepTest, AfterAFlushAnUnchangedRootIsNotReadAgain) {
  const core::UniqueFd here(::open(workspace().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!core::stamps_betray_changes(here.get(), true)) GTEST_SKIP() << "not on this filesystem";
  const auto cache = open();
  persist(*cache, key_of("k"), "r", meta("read", {root(write("a", std::string(100'000, 'a')))}));
  EXPECT_EQ(check(*cache, key_of("k")), "hit: r");
  ASSERT_TRUE(cache->flush(60 * core::kSecond));
  const auto hashed = [&] {
    const std::string text = cache->metrics();
    const std::string name = "\nsatchel_tool_cache_bytes_hashed_total ";
    return text.substr(text.find(name) + name.size(), text.find('\n', text.find(name) + 1));
  };
  const std::string before = hashed();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(check(*cache, key_of("k")), "hit: r");
  EXPECT_EQ(hashed(), before);
  write("a", std::string(100'000, 'b'));
  EXPECT_EQ(check(*cache, key_of("k")), "invalidated");
}

TEST_F(ToolUpkeepTest, AMissingIndexIsMadeAnew) {
  fill(*open(), 5);
  std::filesystem::remove_all(index());
  expect_right(5);
}

TEST_F(ToolUpkeepTest, AnIndexCutShortIsMadeAnew) {
  fill(*open(), 5);
  for (const auto& file : std::filesystem::directory_iterator(index())) {
    if (file.is_regular_file()) std::filesystem::resize_file(file, 0);
  }
  expect_right(5);
}

TEST_F(ToolUpkeepTest, AnIndexOfNoiseIsMadeAnew) {
  fill(*open(), 5);
  for (const auto& file : std::filesystem::directory_iterator(index())) {
    std::ofstream(file.path(), std::ios::binary) << std::string(20'000, '\x5a');
  }
  expect_right(5);
}

TEST_F(ToolUpkeepTest, AnOldCopyOfTheIndexIsNotBelieved) {
  fill(*open(), 2);
  ASSERT_TRUE(open()->flush(60 * core::kSecond));
  std::filesystem::copy(index(), directory_ / "copy");
  fill(*open(), 5);
  ASSERT_TRUE(open()->flush(60 * core::kSecond));
  std::filesystem::remove_all(index());
  std::filesystem::copy(directory_ / "copy", index());
  expect_right(5);
}

TEST_F(ToolUpkeepTest, AnIndexDamagedWhileItIsOpenIsNotBelieved) {
  const auto cache = open();
  fill(*cache, 3);
  EXPECT_EQ(*cache->invalidate_path("f0"), 1U);
  for (const auto& file : std::filesystem::directory_iterator(index())) {
    std::ofstream(file.path(), std::ios::binary) << "gone";
  }
  EXPECT_EQ(*cache->invalidate_path("f1"), 1U);
  EXPECT_EQ(look(*cache, key_of("llm f1")), "miss");
  EXPECT_EQ(look(*cache, key_of("llm f2")), "hit: llm of f2");
}

TEST_F(ToolUpkeepTest, AnIndexInMemoryAnswersTheSame) {
  config_.index_kind = "memory";
  fill(*open(), 3);
  EXPECT_FALSE(std::filesystem::exists(index() / "tool_cache.db"));
  expect_right(3);
}

TEST_F(ToolUpkeepTest, AStoreFilledByOthersIsRebuiltWhileLookupsGoOn) {
  {
    const auto cache = open();
    for (int i = 0; i < 3000; ++i) {
      persist(*cache, key_of(std::to_string(i)), "x", meta("read", {}, {key_of("up")}));
    }
  }
  std::filesystem::remove_all(index());
  const auto cache = open();
  EXPECT_EQ(check(*cache, key_of("17")), "hit: x");
  EXPECT_EQ(count(*cache), 3000U);
  EXPECT_EQ(*cache->invalidate_upstream(key_of("up")), 3000U);
}

TEST_F(ToolUpkeepTest, StatisticsListingAndReasonsAgreeWithTheStore) {
  const auto cache = open();
  fill(*cache, 2);
  const std::string stats = *cache->stats_json();
  EXPECT_NE(stats.find(R"("entries":4)"), std::string::npos) << stats;
  EXPECT_NE(stats.find(R"("read":{"entries":2)"), std::string::npos) << stats;
  const std::string all = *cache->list_json(std::nullopt, "", 10);
  EXPECT_NE(all.find(key_of("f0").hex()), std::string::npos) << all;
  const std::string reads = *cache->list_json(std::nullopt, "read", 10);
  EXPECT_EQ(reads.find(key_of("llm f0").hex()), std::string::npos) << reads;
  write("f0", "changed");
  EXPECT_NE(cache->why_json(key_of("f0"))->find(R"("state":"stale")"), std::string::npos);
  EXPECT_NE(cache->why_json(key_of("f1"))->find(R"("state":"fresh")"), std::string::npos);
  EXPECT_NE(cache->why_json(key_of("absent"))->find(R"("state":"missing")"), std::string::npos);
  std::filesystem::remove(file_of(key_of("f1"), ".payload"));
  EXPECT_NE(cache->why_json(key_of("f1"))->find(R"("state":"half")"), std::string::npos);
  EXPECT_NE(cache->why_json(key_of("llm f1"))->find(R"("present":false)"), std::string::npos);
}

}  // namespace
}  // namespace satchel::tool_cache
