#include "prompt_cache/memory_index.hpp"

#include <memory>
#include <vector>

#include "index_conformance.hpp"

namespace satchel::prompt_cache {
namespace {

struct MemoryMaker {
  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    return make_memory_index({}, clock, log);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, IndexConformance, MemoryMaker);

class MemoryIndexTest : public testing::Test {
 protected:
  std::size_t live(Index& index, std::uint64_t count) {
    std::size_t found = 0;
    for (std::uint64_t n = 0; n < count; ++n) {
      if (find(index, {hash_number(n)})) ++found;
    }
    return found;
  }

  ManualClock clock_;
  CapturedLog log_;
};

TEST_F(MemoryIndexTest, OverItsBoundTheEntriesThatExpireSoonestGo) {
  const auto index = make_memory_index({.max_entries = 10}, clock_, log_);
  // Written in an order that is none of expiry: 7, 14, 1, 8, 15, ...
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const std::uint64_t n = i * 7 % 20;
    index->commit(writing({entry_number(n, kStart + static_cast<std::int64_t>(n + 1) * kSecond)}));
  }
  EXPECT_EQ(live(*index, 20), 10U);
  for (std::uint64_t n = 15; n < 20; ++n) EXPECT_TRUE(find(*index, {hash_number(n)})) << n;
  EXPECT_EQ(index->counts().entries_swept, 10U);
}

TEST_F(MemoryIndexTest, ARefreshedEntryIsNoLongerTheFirstToGo) {
  const auto index = make_memory_index({.max_entries = 3}, clock_, log_);
  for (std::uint64_t n = 0; n < 3; ++n) {
    index->commit(writing({entry_number(n, kStart + static_cast<std::int64_t>(n + 1) * kSecond)}));
  }
  index->commit(refreshing(hash_number(0), kStart + 100 * kSecond));
  index->commit(writing({entry_number(3, kStart + 50 * kSecond)}));
  EXPECT_TRUE(find(*index, {hash_number(0)}));
  EXPECT_FALSE(find(*index, {hash_number(1)}));
}

TEST_F(MemoryIndexTest, ALargeIndexKeepsToItsBoundToo) {
  constexpr std::size_t kMost = 20'000;
  const auto index = make_memory_index({.max_entries = kMost}, clock_, log_);
  for (std::uint64_t n = 0; n < 2 * kMost; ++n) index->commit(writing({entry_number(n)}));
  EXPECT_LE(live(*index, 2 * kMost), kMost);
  EXPECT_GE(live(*index, 2 * kMost), kMost * 9 / 10);
}

TEST_F(MemoryIndexTest, ExpiredEntriesAreSweptByLaterCommits) {
  const auto index =
      make_memory_index({.max_entries = 1000, .sweep_interval_ns = kSecond}, clock_, log_);
  for (std::uint64_t n = 0; n < 500; ++n) index->commit(writing({entry_number(n)}));
  EXPECT_EQ(index->counts().entries_swept, 0U);
  clock_.advance(300 * kSecond);
  for (std::uint64_t n = 1000; n < 1100; ++n) {
    index->commit(writing({entry_number(n, kStart + 900 * kSecond)}));
  }
  EXPECT_EQ(index->counts().entries_swept, 500U);
  EXPECT_TRUE(find(*index, {hash_number(1050)}));
}

// The order of expiry is kept in a heap that every refresh makes longer.
TEST_F(MemoryIndexTest, AnyNumberOfRefreshesOfOneEntryKeepsTheOrder) {
  const auto index = make_memory_index({.max_entries = 2}, clock_, log_);
  index->commit(writing({entry_number(0, kStart + kSecond)}));
  index->commit(writing({entry_number(1, kStart + 20'000 * kSecond)}));
  for (std::int64_t i = 1; i <= 10'000; ++i) {
    index->commit(refreshing(hash_number(0), kStart + i * kSecond));
  }
  index->commit(writing({entry_number(2, kStart + 15'000 * kSecond)}));
  EXPECT_FALSE(find(*index, {hash_number(0)}));
  EXPECT_TRUE(find(*index, {hash_number(1)}));
  EXPECT_TRUE(find(*index, {hash_number(2)}));
}

TEST_F(MemoryIndexTest, ABoundOfZeroStillHoldsOneEntry) {
  const auto index = make_memory_index({.max_entries = 0}, clock_, log_);
  EXPECT_TRUE(index->commit(writing({entry_number(1), entry_number(2)})));
  EXPECT_EQ(live(*index, 3), 1U);
}

}  // namespace
}  // namespace satchel::prompt_cache
