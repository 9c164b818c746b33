// kill -9 at any moment of four processes that store, invalidate, evict and rebuild: every entry is
// whole or absent, nothing half-written survives the next sweep, no lease and no lock stays.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>

#include "tool_cache_fixture.hpp"

namespace satchel::tool_cache {
namespace {

constexpr int kKeys = 40;

class ToolKillTest : public ToolCacheFixture {
 protected:
  static Key key(int i) { return key_of("key " + std::to_string(i)); }
  // Says which key it belongs to, at any length.
  static std::string payload(int i, unsigned version) {
    std::string text = "payload of " + std::to_string(i) + " version " + std::to_string(version);
    text.resize(64 + version % 5000, 'x');
    return text;
  }

  [[noreturn]] void work(unsigned seed) {
    std::mt19937 random(seed);
    const auto cache = open();
    for (;;) {
      const int i = static_cast<int>(random() % kKeys);
      switch (random() % 12) {
        case 0:
          (void)cache->invalidate_path("f" + std::to_string(i % 4));
          break;
        case 1:
          (void)cache->invalidate_upstream(key(i));
          break;
        case 2:
          (void)cache->evict_to_cap(40'000);
          break;
        case 3:
          (void)cache->rebuild();
          break;
        case 4:
          (void)cache->mark_dirty(key(i));
          break;
        case 5: {
          Call call;
          call.kind = "read";
          core::Result<Begun> begun = cache->get_or_begin(key(i), call);
          if (begun && begun->lease != nullptr) {
            (void)begun->lease->commit(payload(i, random()), {});
          }
          break;
        }
        default:
          (void)cache->persist(
              key(i), payload(i, random()),
              meta("read", {{"f" + std::to_string(i % 4), "0"}}, {key((i + 1) % kKeys)}));
      }
    }
  }
};

TEST_F(ToolKillTest, EveryEntryIsWholeOrAbsent) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  std::mt19937 random(7);
  std::array<pid_t, 4> workers{};
  for (pid_t& worker : workers) worker = 0;
  while (std::chrono::steady_clock::now() < end) {
    for (pid_t& worker : workers) {
      if (worker != 0) continue;
      const unsigned seed = random();
      worker = ::fork();
      ASSERT_GE(worker, 0);
      if (worker == 0) work(seed);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    pid_t& victim = workers[random() % workers.size()];
    ::kill(victim, SIGKILL);
    ASSERT_EQ(::waitpid(victim, nullptr, 0), victim);
    victim = 0;
  }
  for (const pid_t worker : workers) {
    if (worker == 0) continue;
    ::kill(worker, SIGKILL);
    ::waitpid(worker, nullptr, 0);
  }

  const auto cache = open();
  for (int i = 0; i < kKeys; ++i) {
    const std::string said = look(*cache, key(i));
    const std::string right = "hit: payload of " + std::to_string(i) + " version ";
    EXPECT_TRUE(said == "miss" || said.substr(0, right.size()) == right) << said.substr(0, 80);
    core::Result<Begun> begun = cache->get_or_begin(key(i), Call{"read", "", {}, 0, 0});
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_NE(begun->answer, core::Status::kWait) << "a dead process holds the lease of " << i;
  }
  ASSERT_TRUE(cache->sweep(0));
  EXPECT_EQ(*cache->sweep(0), 0U);
  std::uint64_t payloads = 0;
  std::uint64_t metas = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(store())) {
    if (file.path().extension() == ".payload") ++payloads;
    if (file.path().extension() == ".json") ++metas;
    EXPECT_NE(file.path().parent_path().filename(), "tmp") << file.path();
  }
  EXPECT_EQ(payloads, metas);
  for (int f = 0; f < 4; ++f) EXPECT_TRUE(cache->invalidate_path("f" + std::to_string(f)));
  for (int i = 0; i < kKeys; ++i) EXPECT_TRUE(cache->invalidate_upstream(key(i)));
  persist(*cache, key(0), "alive", meta("read"));
  EXPECT_EQ(check(*cache, key(0)), "hit: alive");
}

}  // namespace
}  // namespace satchel::tool_cache
