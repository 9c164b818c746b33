// One cache, many threads: an answer is always one of the results stored under its key, and never
// one whose root had changed before it was asked.
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tool_cache_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolThreadsTest : public ToolCacheFixture {};

TEST_F(ToolThreadsTest, ManyThreadsDoEverythingAtOnce) {
  config_.max_entries = 60;
  config_.maintenance_interval_ms = 20;
  config_.memory_bytes = 64 << 10;
  const auto cache = open();
  for (int i = 0; i < 4; ++i) write("f" + std::to_string(i), std::to_string(i));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> hits{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 6; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      while (!stop) {
        const std::string name = std::to_string(random() % 100);
        const Key key = key_of(name);
        switch (random() % 16) {
          case 0:
            EXPECT_TRUE(cache->invalidate_path("f" + std::to_string(random() % 4)));
            break;
          case 1:
            EXPECT_TRUE(cache->invalidate_upstream(key));
            break;
          case 2:
            EXPECT_TRUE(cache->mark_dirty(key));
            break;
          case 3:
            EXPECT_TRUE(cache->entry_count());
            break;
          case 4:
            EXPECT_TRUE(cache->stats_json());
            break;
          case 5:
          case 6:
          case 7:
          case 8: {
            const std::string file = "f" + std::to_string(random() % 4);
            auto print = cache->fingerprint(file, FingerprintForm::kContent);
            if (!print) break;  // it is being written
            EXPECT_TRUE(cache->persist(
                key, "result of " + name,
                meta("read", {{file, *print}}, {key_of(std::to_string(random() % 100))})));
            break;
          }
          case 9:
            EXPECT_TRUE(cache->evict_to_cap(200'000));
            break;
          default: {
            const std::string said = check(*cache, key);
            if (said == "miss" || said == "invalidated") break;
            EXPECT_EQ(said, "hit: result of " + name);
            ++hits;
          }
        }
      }
    });
  }
  std::thread editor([&] {
    for (int version = 0; !stop; ++version) {
      write("f" + std::to_string(version % 4), "version " + std::to_string(version % 3));
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds(2));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  editor.join();
  EXPECT_GT(hits, 0U);
}

TEST_F(ToolThreadsTest, NoHitForAFileThatChangedBefore) {
  const auto cache = open();
  const Key key = key_of("k");
  for (int version = 0; version < 300; ++version) {
    const std::string content = std::to_string(version % 10) + std::string(500, 'c');
    const std::string path = write("a", content);
    persist(*cache, key, "made of " + content, meta("read", {root(path)}));
    EXPECT_EQ(check(*cache, key), "hit: made of " + content);
    // Same size, no time for a clock to tick.
    write("a", std::to_string((version + 1) % 10) + std::string(500, 'c'));
    EXPECT_EQ(check(*cache, key), "invalidated") << version;
  }
}

}  // namespace
}  // namespace satchel::tool_cache
