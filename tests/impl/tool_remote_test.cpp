// The remote's own rules, over a store that fails as no server does.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "surroundings.hpp"
#include "tool_cache/remote.hpp"

namespace satchel::tool_cache {
namespace {

enum class Trouble { kNone, kAway, kNoMemory };

struct Script {
  std::atomic<Trouble> trouble{Trouble::kNone};
  std::atomic<int> asked{0};
};

class ScriptedStore final : public RemoteStore {
 public:
  explicit ScriptedStore(Script& script) : script_(script) {}

  [[nodiscard]] std::string name() const override { return "scripted store"; }
  core::Result<std::optional<RemoteEntry>> fetch(const Key& /*key*/) override {
    if (core::Result<void> asked = ask(); !asked) return asked.take_error();
    return std::optional<RemoteEntry>();
  }
  core::Result<void> send(const Key& /*key*/, std::string_view /*payload*/,
                          const Meta& /*meta*/) override {
    return ask();
  }
  core::Result<void> remove(const Key& /*key*/) override { return ask(); }
  core::Result<std::vector<Key>> remove_dependents(const Key& /*key*/) override {
    if (core::Result<void> asked = ask(); !asked) return asked.take_error();
    return std::vector<Key>();
  }

 private:
  core::Result<void> ask() {
    ++script_.asked;
    if (script_.trouble == Trouble::kNoMemory) throw std::bad_alloc();
    if (script_.trouble == Trouble::kAway) return core::Error{core::Status::kIo, "away"};
    return core::Ok{};
  }

  Script& script_;
};

class ToolRemote : public testing::Test {
 protected:
  ToolRemote()
      : remote_(std::make_unique<ScriptedStore>(script_), 1 << 20, {}, counters_, clock_, log_) {
    EXPECT_TRUE(remote_.start());
  }

  // Away, and the pause after that over: the next one tries.
  void wait_for_a_turn() {
    script_.trouble = Trouble::kAway;
    EXPECT_FALSE(remote_.fetch(key_));
    clock_.advance(RemoteHealth::kLongestPause);
  }

  void drop() {
    Remote::Invalidation invalidation(&remote_);
    invalidation.removed({&key_, 1});
  }

  const Key key_;
  Script script_;
  Counters counters_;
  core::ManualClock clock_;
  core::CapturedLog log_;
  Remote remote_;
};

TEST_F(ToolRemote, AQuestionThatFoundNoMemoryLeavesTheNextItsTurn) {
  wait_for_a_turn();
  script_.trouble = Trouble::kNoMemory;
  EXPECT_THROW(remote_.fetch(key_), std::bad_alloc);
  script_.trouble = Trouble::kNone;
  const int before = script_.asked;
  remote_.fetch(key_);
  EXPECT_EQ(script_.asked, before + 1);
}

TEST_F(ToolRemote, AnInvalidationThatFoundNoMemoryIsTriedAgain) {
  wait_for_a_turn();
  script_.trouble = Trouble::kNoMemory;
  const int before = script_.asked;
  drop();
  EXPECT_TRUE(core::eventually([&] { return script_.asked > before; }));
  script_.trouble = Trouble::kNone;
  EXPECT_TRUE(remote_.flush(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
}

TEST_F(ToolRemote, IsNotReadAnyMoreOnceAnInvalidationWasLost) {
  script_.trouble = Trouble::kAway;
  {
    const std::vector<Key> many(65'536 + 1, key_);
    Remote::Invalidation invalidation(&remote_);
    invalidation.removed(many);
  }
  EXPECT_EQ(counters_.remote_dropped, 1U);
  script_.trouble = Trouble::kNone;
  ASSERT_TRUE(core::eventually([&] {
    clock_.advance(RemoteHealth::kLongestPause);
    return remote_.flush(std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
  }));
  const int before = script_.asked;
  EXPECT_FALSE(remote_.fetch(key_));
  EXPECT_EQ(script_.asked, before);
  EXPECT_EQ(log_.count("were lost"), 1U);
}

}  // namespace
}  // namespace satchel::tool_cache
