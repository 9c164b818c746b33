// Times over 100,000 entries, printed for people; run with --gtest_also_run_disabled_tests.
#include <chrono>
#include <cstdio>

#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolIndexScale : public ToolIndexFixture {
 protected:
  template <class Work>
  static void time(const char* what, Work work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    std::printf("%-44s %10.3f ms\n", what, took.count());
  }
};

TEST_F(ToolIndexScale, DISABLED_TimesOverAHundredThousandEntries) {
  constexpr int kEntries = 100'000;
  for (int d = 0; d < 50; ++d) {
    const std::string directory = workspace() + "/d" + std::to_string(d);
    fs::create_directory(directory);
    for (int f = 0; f < 20; ++f) std::ofstream(directory + "/f" + std::to_string(f)) << "x";
  }
  for (int i = 0; i < kEntries; ++i) {
    const int file = i % 1010 < 1000 ? i % 1010 : 0;
    const std::string path = "d" + std::to_string(file / 20) + "/f" + std::to_string(file % 20);
    std::vector<Key> upstreams;
    if (i % 3 == 0 && i > 0) upstreams.push_back(key_number(static_cast<std::uint64_t>(i / 2)));
    const Key key = key_number(static_cast<std::uint64_t>(i));
    fs::create_directories(foreign_.shard(key));
    ForeignWriter::in_place(foreign_.file(key, ".payload"), "payload");
    ForeignWriter::in_place(foreign_.file(key, ".meta.json"),
                            write_meta(meta_with({path}, upstreams)));
  }
  let_settle();

  auto index = make();
  std::int64_t opening = 0;
  time("open, no index", [&] { opening = index->open(); });
  time("settle_opening: the whole store is read", [&] { ASSERT_TRUE(index->settle_opening()); });
  time("refresh, nothing changed", [&] { ASSERT_TRUE(index->refresh()); });
  std::vector<Key> matches;
  time("with_root, first", [&] { matches = with_root(*index, "d7/f3"); });
  for (int i = 0; i < 4; ++i) {
    time("with_root, nothing changed", [&] { matches = with_root(*index, "d7/f3"); });
  }
  std::printf("%zu matches\n", matches.size());
  std::vector<Key> reached;
  for (int i = 0; i < 2; ++i) {
    time("dependents of them, with refresh", [&] { reached = *index->dependents(matches, true); });
    time("dependents of them, without", [&] { reached = *index->dependents(matches, false); });
  }
  std::printf("%zu dependents\n", reached.size());
  time("totals", [&] { ASSERT_TRUE(index->totals(opening)); });
  time("over_bounds, nothing over", [&] {
    ASSERT_TRUE(index->over_bounds({std::uint64_t{1} << 50, 0, 0}));
  });
  for (int i = 0; i < 3; ++i) {
    time("find", [&] { ASSERT_TRUE(index->find(matches.front())); });
  }
  for (const Key& key : matches) ASSERT_TRUE(store_->remove(key));
  time("removed, of the matches", [&] { index->removed(matches); });
  time("refresh after 99 removals", [&] { ASSERT_TRUE(index->refresh()); });
  let_settle();
  time("refresh, as that settles", [&] { ASSERT_TRUE(index->refresh()); });
  index.reset();
  for (int i = 0; i < 4; ++i) {
    index = make();
    time("open, index there", [&] { opening = index->open(); });
    EXPECT_LT(opening, 1'000'000);
  }
  time("rebuild", [&] { ASSERT_TRUE(index->rebuild()); });
  std::printf("%s", log_.all().c_str());
}

}  // namespace
}  // namespace satchel::tool_cache
