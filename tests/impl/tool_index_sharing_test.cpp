// Several threads and several processes over one index; processes that are killed at any moment.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolIndexSharingTest : public ToolIndexFixture {
 protected:
  // Writes, asks and invalidates, as several caches do. What it stored last under a key is there
  // when it asks: nobody else writes its keys. "" or what was wrong.
  std::string work(std::uint64_t worker, int rounds, bool remove_others) {
    const ForeignWriter writer(store_path());
    auto index = StoreIndex::over_files(*store_, {workspace(), false}, nullptr, clock_, log_);
    index->open();
    std::mt19937_64 random(worker);
    const std::string path = "own" + std::to_string(worker);
    for (int round = 0; round < rounds; ++round) {
      const Key key = key_number(worker * 1000 + random() % 20);
      const Key dependent = key_number(worker * 1000 + 500 + random() % 20);
      persist(key, meta_with({path, "shared"}));
      persist(dependent, meta_with({}, {key}));
      const auto mine = index->with_root(path);
      if (!mine) return mine.error().message;
      if (!std::binary_search(mine->begin(), mine->end(), key)) return "an entry is missing";
      const auto reached = index->dependents({&key, 1}, random() % 2 == 0);
      if (!reached) return reached.error().message;
      if (!std::binary_search(reached->begin(), reached->end(), dependent)) {
        return "a dependent is missing";
      }
      if (!index->find(key)) return "an entry that was found is not known";
      index->used(std::vector<std::pair<Key, std::int64_t>>{{key, core::kStart + round}});
      index->keep(std::vector<RememberedFingerprint>{{path, Form::kContent, {}, {}, "x"}});
      if (!index->find(path, Form::kContent)) return "a fingerprint is missing";
      if (random() % 3 != 0) continue;
      for (const Key& gone : *mine) {
        if (!store_->remove(gone)) return "cannot remove";
      }
      index->removed(*mine);
      if (remove_others && random() % 4 == 0 && !index->rebuild()) return "cannot rebuild";
      const auto none = index->with_root(path);
      if (!none) return none.error().message;
      if (!none->empty()) return "an entry is there that was removed";
    }
    return "";
  }
  void persist(const Key& key, const Meta& meta) {
    EXPECT_TRUE(store_->persist(key, "payload", meta));
  }
  void expect_right_answers(StoreIndex& index) {
    const PlainStore expected = plain();
    for (const char* path : {"shared", "own1", "own2", "own3", "own4"}) {
      ASSERT_EQ(with_root(index, path), expected.with_root(path)) << path;
    }
    for (const auto& [key, meta] : expected.metas()) {
      ASSERT_EQ(dependents(index, {key}), expected.dependents({key}));
    }
  }
  pid_t start(std::uint64_t worker) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    for (std::string wrong; wrong.empty();) {
      wrong = work(worker, 8, true);  // opened again and again
      if (!wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
    }
    ::_exit(1);
  }
};

TEST_F(ToolIndexSharingTest, ThreadsWithIndexesOfTheirOwnFindWhatTheyStored) {
  std::vector<std::string> wrong(3);
  std::vector<std::thread> threads;
  for (std::uint64_t worker = 1; worker <= 3; ++worker) {
    threads.emplace_back([&, worker] { wrong[worker - 1] = work(worker, 60, worker == 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& what : wrong) EXPECT_EQ(what, "");
  expect_right_answers(*opened());
}

TEST_F(ToolIndexSharingTest, ThreadsMayShareOneIndex) {
  auto index = opened();
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int n = 0; n < 2; ++n) {
    readers.emplace_back([&] {
      while (!stop) {
        for (std::uint64_t k = 0; k < 20; ++k) {
          index->find(key_number(1000 + k));
          index->roots_of(key_number(1000 + k));
          index->find("somewhere", Form::kContent);
        }
        EXPECT_TRUE(index->totals(100));
        EXPECT_TRUE(index->page(std::nullopt, "", 5));
        index->used(std::vector<std::pair<Key, std::int64_t>>{{key_number(1001), core::kStart}});
      }
    });
  }
  std::vector<std::thread> writers;
  for (std::uint64_t worker = 1; worker <= 2; ++worker) {
    writers.emplace_back([&, worker] {
      const std::string path = "own" + std::to_string(worker);
      for (std::uint64_t round = 0; round < 60; ++round) {
        const Key key = key_number(worker * 1000 + round % 20);
        persist(key, meta_with({path}));
        const auto found = index->with_root(path);
        ASSERT_TRUE(found);
        ASSERT_TRUE(std::binary_search(found->begin(), found->end(), key));
        if (round % 5 != 0) continue;
        for (const Key& gone : *found) ASSERT_TRUE(store_->remove(gone));
        index->removed(*found);
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  stop = true;
  for (std::thread& thread : readers) thread.join();
  expect_right_answers(*index);
}

TEST_F(ToolIndexSharingTest, AnswersAreRightAfterProcessesWereKilledAtAnyMoment) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 25; ++round) {
    if (round % 4 == 0) fs::remove_all(index_path());  // killed while they make it
    const pid_t children[] = {start(1), start(2), start(3)};
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 150));
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status)) << "a process found something wrong, round " << round;
    }
    expect_right_answers(*opened());
    if (HasFatalFailure()) return;
  }
}

TEST_F(ToolIndexSharingTest, AForkedChildThatEndsLeavesTheParentsIndexAsItIs) {
  persist(key_number(1), meta_with({"shared"}));
  auto index = opened();
  ASSERT_EQ(with_root(*index, "shared").size(), 1U);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  persist(key_number(2), meta_with({"shared"}));
  EXPECT_EQ(with_root(*index, "shared").size(), 2U);
  EXPECT_EQ(with_root(*opened(), "shared").size(), 2U);
  EXPECT_EQ(log_.count("warn"), 0U) << log_.all();
}

}  // namespace
}  // namespace satchel::tool_cache
