// Single flight, and hash - run - hash.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tool_cache_fixture.hpp"

namespace satchel::tool_cache {
namespace {

using core::Status;

class ToolComputeTest : public ToolCacheFixture {
 protected:
  static Call call(std::vector<std::string> roots = {}, std::int64_t wait_ns = 0) {
    Call call;
    call.kind = "read";
    call.args_summary = "summary";
    for (std::string& path : roots) call.roots.push_back({std::move(path), ""});
    call.wait_ns = wait_ns;
    return call;
  }

  static Begun begin(ToolCache& cache, const Key& key, Call call) {
    core::Result<Begun> begun = cache.get_or_begin(key, std::move(call));
    EXPECT_TRUE(begun) << begun.error().message;
    return begun ? std::move(*begun) : Begun{};
  }

  static Kept commit(ComputeLease& lease, std::string_view payload, Meta extra = {}) {
    core::Result<Kept> kept = lease.commit(payload, std::move(extra));
    EXPECT_TRUE(kept) << kept.error().message;
    return kept ? std::move(*kept) : Kept{false, "error"};
  }

  const Key key_ = key_of("call");
};

TEST_F(ToolComputeTest, TheFirstComputesAndTheNextHits) {
  const auto cache = open();
  write("a.txt", "a");
  Begun first = begin(*cache, key_, call({"a.txt"}));
  ASSERT_EQ(first.answer, Status::kLeased);
  EXPECT_TRUE(commit(*first.lease, "result", meta("", {}, {key_of("up")})).stored);
  const Begun second = begin(*cache, key_, call({"a.txt"}));
  ASSERT_EQ(second.answer, Status::kOk);
  EXPECT_EQ(*second.stored.payload->view(), "result");
  EXPECT_EQ(second.stored.meta->tool_kind, "read");
  ASSERT_EQ(second.stored.meta->file_roots.size(), 1U);
  EXPECT_EQ(second.stored.meta->file_roots[0].path, "a.txt");
  EXPECT_EQ(second.stored.meta->upstream_keys, std::vector<std::string>{key_of("up").hex()});
}

TEST_F(ToolComputeTest, WhoeverComesMeanwhileIsToldToWait) {
  const auto cache = open();
  const auto other = open();
  Begun first = begin(*cache, key_, call());
  ASSERT_EQ(first.answer, Status::kLeased);
  EXPECT_EQ(begin(*cache, key_, call()).answer, Status::kWait);
  EXPECT_EQ(begin(*other, key_, call()).answer, Status::kWait);
  EXPECT_EQ(begin(*other, key_of("another"), call()).answer, Status::kLeased);
  EXPECT_TRUE(first.lease->abandon());
  EXPECT_EQ(begin(*other, key_, call()).answer, Status::kLeased);
}

TEST_F(ToolComputeTest, OneOfManyThreadsComputesAndAllGetTheResult) {
  const auto cache = open();
  const auto other = open();
  std::atomic<int> computed{0};
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Begun begun = begin(i % 2 == 0 ? *cache : *other, key_, call({}, 60 * core::kSecond));
      if (begun.answer == Status::kLeased) {
        ++computed;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (commit(*begun.lease, "result").stored) ++right;
      } else if (begun.answer == Status::kOk && *begun.stored.payload->view() == "result") {
        ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(right, 8);
}

TEST_F(ToolComputeTest, AnAbandonedLeasePassesOnToWhoWaits) {
  const auto cache = open();
  Begun first = begin(*cache, key_, call());
  Begun second;
  std::thread waits([&] { second = begin(*cache, key_, call({}, 60 * core::kSecond)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  first.lease.reset();  // freed without a word
  waits.join();
  EXPECT_EQ(second.answer, Status::kLeased);
}

TEST_F(ToolComputeTest, ALeaseWhoseTimeIsOverPassesOnAndIsNotStored) {
  const auto cache = open();
  Call brief = call();
  brief.lease_ns = core::kNanosPerMilli;
  Begun first = begin(*cache, key_, brief);
  ASSERT_EQ(first.answer, Status::kLeased);
  Begun second = begin(*cache, key_, call({}, 60 * core::kSecond));
  ASSERT_EQ(second.answer, Status::kLeased);
  const Kept late = commit(*first.lease, "late");
  EXPECT_FALSE(late.stored);
  EXPECT_NE(late.why_not.find("passed on"), std::string::npos) << late.why_not;
  EXPECT_TRUE(commit(*second.lease, "in time").stored);
  EXPECT_EQ(look(*cache, key_), "hit: in time");
}

TEST_F(ToolComputeTest, ARootThatChangesWhileTheToolRunsIsNotStored) {
  const auto cache = open();
  write("a.txt", "before");
  Begun begun = begin(*cache, key_, call({"a.txt"}));
  write("a.txt", "after");
  const Kept kept = commit(*begun.lease, "made of who knows what");
  EXPECT_FALSE(kept.stored);
  EXPECT_NE(kept.why_not.find("a.txt"), std::string::npos) << kept.why_not;
  EXPECT_EQ(look(*cache, key_), "miss");
}

TEST_F(ToolComputeTest, ARootThatChangedAndChangedBackIsNotStored) {
  const auto cache = open();
  write("a.txt", "before");
  Begun begun = begin(*cache, key_, call({"a.txt"}));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // past a tick of the file clock
  write("a.txt", "middle");
  write("a.txt", "before");
  EXPECT_FALSE(commit(*begun.lease, "made of the middle").stored);
  EXPECT_EQ(look(*cache, key_), "miss");
}

TEST_F(ToolComputeTest, ARootThatAppearsWhileTheToolRunsIsNotStored) {
  const auto cache = open();
  Begun begun = begin(*cache, key_, call({"absent.txt"}));
  ASSERT_EQ(begun.answer, Status::kLeased);
  write("absent.txt", "now");
  EXPECT_FALSE(commit(*begun.lease, "result").stored);
}

TEST_F(ToolComputeTest, ADirectoryRootIsTakenByItsForm) {
  const auto cache = open();
  write("src/a", "a");
  Call listing = call();
  listing.roots = {{"src", "dir:"}};
  Begun begun = begin(*cache, key_, listing);
  EXPECT_TRUE(commit(*begun.lease, "a\n").stored);
  EXPECT_EQ(begin(*cache, key_, listing).answer, Status::kOk);
  write("src/b", "b");
  begun = begin(*cache, key_, listing);
  EXPECT_EQ(begun.answer, Status::kLeased);
}

TEST_F(ToolComputeTest, ADamagedEntryIsComputedAnew) {
  const auto cache = open();
  persist(*cache, key_, "payload", meta("read"));
  std::ofstream(file_of(key_, ".payload")) << "garbage";
  Begun begun = begin(*cache, key_, call());
  ASSERT_EQ(begun.answer, Status::kLeased);
  EXPECT_TRUE(commit(*begun.lease, "payload again").stored);
  EXPECT_EQ(check(*cache, key_), "hit: payload again");
}

TEST_F(ToolComputeTest, AResultCanBeStoredPieceByPiece) {
  const auto cache = open();
  write("a.txt", "a");
  Begun begun = begin(*cache, key_, call({"a.txt"}));
  const core::Result<PayloadWriter*> writer = begun.lease->writer();
  ASSERT_TRUE(writer);
  EXPECT_TRUE((*writer)->write("one, "));
  EXPECT_TRUE((*writer)->write("two"));
  EXPECT_EQ(look(*cache, key_), "miss");
  const core::Result<Kept> kept = begun.lease->commit_written({});
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->stored);
  EXPECT_EQ(check(*cache, key_), "hit: one, two");
}

TEST_F(ToolComputeTest, ALeaseEndsOnce) {
  const auto cache = open();
  Begun begun = begin(*cache, key_, call());
  EXPECT_TRUE(commit(*begun.lease, "result").stored);
  EXPECT_EQ(begun.lease->commit("again", {}).error().status, Status::kState);
  EXPECT_EQ(begun.lease->abandon().error().status, Status::kState);
  EXPECT_EQ(begun.lease->writer().error().status, Status::kState);
}

TEST_F(ToolComputeTest, EveryCallLeavesALineOfStatistics) {
  config_.stats_path = directory_ / "stats.jsonl";
  const auto cache = open();
  commit(*begin(*cache, key_, call()).lease, "result");
  begin(*cache, key_, call());
  cache->record("bash", "uncached", 17, "ls \"x\"\n", "no_rule");
  std::ifstream file(config_.stats_path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(lines[0].find(R"("tool":"read","outcome":"miss","duration_us":)"), std::string::npos);
  EXPECT_NE(lines[1].find(R"("outcome":"hit")"), std::string::npos);
  EXPECT_NE(lines[1].find(R"("args_summary":"summary","reason":null})"), std::string::npos);
  EXPECT_NE(lines[2].find(R"("tool":"bash","outcome":"uncached","duration_us":17,)"
                          R"("args_summary":"ls \"x\"\n","reason":"no_rule"})"),
            std::string::npos)
      << lines[2];
}

}  // namespace
}  // namespace satchel::tool_cache
