// What the index believes without looking, over a store whose clock stands still: the worst that
// the granularity of file times can do.
#include <set>

#include "surroundings.hpp"
#include "tool_cache/index_over_source.hpp"
#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

// A store in memory with times that only move when told to.
class SlowClockSource final : public IndexSource {
 public:
  struct Entry {
    std::optional<Meta> meta;  // nothing: not to be understood
    core::FileStamp stamp;
  };
  struct World {
    std::map<Key, Entry> entries;
    std::map<int, core::FileStamp> shards;
    std::int64_t now = 1000;
    std::set<int> listed;
    std::vector<Key> read;

    // As rename() does it: file and directory get the time that it is.
    void put(const Key& key, Meta meta) {
      entries[key] = {std::move(meta), stamp(key)};
      touch(key);
    }
    // As a write into the file: the directory shows nothing.
    void write(const Key& key, std::optional<Meta> meta) {
      entries[key] = {std::move(meta), stamp(key)};
    }
    void remove(const Key& key) {
      entries.erase(key);
      touch(key);
    }
    void touch(const Key& key) {
      shards[key.bytes[0]].inode = 100U + key.bytes[0];
      shards[key.bytes[0]].ctime_ns = now;
    }
    // Inodes are used again: the time is all that tells two files apart.
    [[nodiscard]] core::FileStamp stamp(const Key&) const {
      core::FileStamp stamp;
      stamp.inode = 7;
      stamp.ctime_ns = now;
      return stamp;
    }
  };

  explicit SlowClockSource(World& world) : world_(world) {}
  std::string identity() override { return "slow"; }
  core::Result<void> look(bool) override { return {}; }
  std::optional<core::FileStamp> shard_stamp(int shard) override {
    const auto found = world_.shards.find(shard);
    if (found == world_.shards.end()) return std::nullopt;
    return found->second;
  }
  core::Result<void> list_shard(int shard,
                                const std::function<void(const EntryFiles&)>& visit) override {
    world_.listed.insert(shard);
    for (const auto& [key, entry] : world_.entries) {
      if (key.bytes[0] == shard) visit({key, std::nullopt, entry.stamp});
    }
    return {};
  }
  core::Result<std::optional<StampedMeta>> read_meta(const Key& key) override {
    world_.read.push_back(key);
    const auto found = world_.entries.find(key);
    if (found == world_.entries.end()) return std::optional<StampedMeta>();
    if (!found->second.meta) return core::Error{core::Status::kMeta, "garbage", 0, 0};
    return std::optional(StampedMeta{*found->second.meta, found->second.stamp});
  }
  std::optional<core::FileStamp> meta_stamp(const Key& key) override {
    const auto found = world_.entries.find(key);
    if (found == world_.entries.end()) return std::nullopt;
    return found->second.stamp;
  }
  std::int64_t now_ns() override { return world_.now; }
  bool settled(const core::FileStamp& stamp, std::int64_t now_ns) override {
    return stamp.ctime_ns < now_ns;
  }

 private:
  World& world_;
};

class ToolIndexBelievingTest : public ::testing::Test {
 protected:
  std::vector<Key> with_root(const std::string& path) {
    auto found = index_.with_root(path);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *found : std::vector<Key>{};
  }
  std::vector<Key> dependents(const Key& key) {
    auto found = index_.dependents({&key, 1}, true);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *found : std::vector<Key>{};
  }
  void forget_looks() {
    world_.listed.clear();
    world_.read.clear();
  }

  core::TemporaryDirectory directory_;
  core::ManualClock clock_;
  core::CapturedLog log_;
  SlowClockSource::World world_;
  IndexOverSource index_{std::make_unique<SlowClockSource>(world_),
                         {directory_ / "index", "", "slow"},
                         "/nowhere",
                         nullptr,
                         clock_,
                         log_};
  const Key key_ = key_number(1);
  const std::vector<Key> it_{key_};
  const std::vector<Key> none_;
};

TEST_F(ToolIndexBelievingTest, ASecondChangeWithinOneTickIsSeen) {
  world_.put(key_, meta_with({"a"}));
  EXPECT_EQ(with_root("a"), it_);
  world_.put(key_, meta_with({"b"}));  // the same stamps in every field
  EXPECT_EQ(with_root("a"), none_);
  EXPECT_EQ(with_root("b"), it_);
  world_.remove(key_);
  EXPECT_EQ(with_root("b"), none_);
}

TEST_F(ToolIndexBelievingTest, WhatHasSettledIsNotLookedAtAgain) {
  world_.put(key_, meta_with({"a"}));
  ASSERT_TRUE(index_.refresh());
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  forget_looks();
  EXPECT_EQ(with_root("a"), it_);
  ASSERT_TRUE(index_.refresh());
  EXPECT_TRUE(world_.listed.empty());
  EXPECT_TRUE(world_.read.empty());
  // Another entry in the shard: it is listed, and only what is new is read.
  Key neighbour = key_;
  neighbour.bytes[31] ^= 1;
  ++world_.now;
  world_.put(neighbour, meta_with({"a"}));
  ++world_.now;
  EXPECT_EQ(with_root("a").size(), 2U);
  EXPECT_EQ(world_.listed.size(), 1U);
  EXPECT_EQ(world_.read, (std::vector<Key>{neighbour}));
}

TEST_F(ToolIndexBelievingTest, AnEntryThatWasReadInTheTickOfItsWritingIsReadAgain) {
  world_.put(key_, meta_with({"a"}));
  ++world_.now;
  world_.write(key_, meta_with({"a"}));  // the directory is settled, the file is not
  EXPECT_EQ(with_root("a"), it_);
  world_.write(key_, meta_with({"b"}));
  EXPECT_EQ(with_root("a"), none_);
  EXPECT_EQ(with_root("b"), it_);
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  forget_looks();
  ASSERT_TRUE(index_.refresh());
  EXPECT_TRUE(world_.read.empty());
}

TEST_F(ToolIndexBelievingTest, AMetaThatWasMendedInPlaceIsSeen) {
  world_.put(key_, meta_with({"a"}));
  ++world_.now;
  world_.write(key_, std::nullopt);
  ++world_.now;
  EXPECT_EQ(with_root("a"), none_);
  ++world_.now;
  world_.write(key_, meta_with({"a"}, {key_number(2)}));
  ++world_.now;
  EXPECT_EQ(with_root("a"), it_);
  EXPECT_EQ(dependents(key_number(2)), it_);
}

TEST_F(ToolIndexBelievingTest, ADependentThatWasWrittenInPlaceIsLookedAtBeforeItIsAnAnswer) {
  world_.put(key_, meta_with({"a"}, {key_number(2)}));
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  ++world_.now;
  world_.write(key_, meta_with({"b"}, {key_number(3)}));
  ++world_.now;
  EXPECT_EQ(dependents(key_number(2)), none_);
  EXPECT_EQ(with_root("a"), none_);
  EXPECT_EQ(with_root("b"), it_);
}

TEST_F(ToolIndexBelievingTest, ARemovalThatIsWrittenDownLateDoesNotHideTheEntryStoredAnew) {
  world_.put(key_, meta_with({"a"}));
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  // Removed here, stored anew by another, seen by a refresh of a third; then written down.
  world_.remove(key_);
  world_.put(key_, meta_with({"a"}));
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  index_.removed(it_);
  EXPECT_EQ(with_root("a"), it_);
}

TEST_F(ToolIndexBelievingTest, ARebuildReadsEverything) {
  world_.put(key_, meta_with({"a"}));
  ++world_.now;
  ASSERT_TRUE(index_.refresh());
  forget_looks();
  ASSERT_TRUE(index_.rebuild());
  EXPECT_EQ(world_.read, it_);
}

}  // namespace
}  // namespace satchel::tool_cache
