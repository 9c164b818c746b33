// Counting, evicting and sweeping.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/file.hpp"
#include "file_store_fixture.hpp"
#include "tool_cache/key_locks.hpp"
#include "tool_cache/lease_records.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kLongAgo = 1'700'000'000 * core::kNanosPerSecond;
constexpr std::int64_t kHour = 3600 * core::kNanosPerSecond;

class FileStoreEviction : public FileStoreFixture {
 protected:
  // Entries of one size.
  std::vector<Key> fill(FileStore& store, int count) {
    std::vector<Key> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(key_of("entry " + std::to_string(i)));
      persist(store, keys.back(), std::string(4096, 'x'));
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }
};

TEST_F(FileStoreEviction, WhatFitsStays) {
  const auto store = open();
  fill(*store, 3);
  EXPECT_TRUE(store->evict_to_cap(*store->total_bytes())->empty());
}

TEST_F(FileStoreEviction, TheOldestGoFirstUntilTheRestFits) {
  const auto store = open();
  std::vector<Key> keys = fill(*store, 6);
  // Older and older, but for their nanoseconds alike.
  for (std::size_t i = 0; i < keys.size(); ++i) {
    set_mtime(payload_of(keys[i]), kLongAgo - static_cast<std::int64_t>(i));
    set_mtime(meta_of(keys[i]), kLongAgo + static_cast<std::int64_t>(i));
  }
  const std::uint64_t each = *store->total_bytes() / keys.size();
  const auto evicted = store->evict_to_cap(3 * each + each / 2);
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(*evicted, (std::vector<Key>{keys[5], keys[4], keys[3]}));
  EXPECT_EQ(*store->total_bytes(), 3 * each);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(store->contains(keys[i]), i < 3);
}

TEST_F(FileStoreEviction, AmongEntriesOfOneAgeTheLowestKeysGoFirst) {
  const auto store = open();
  const std::vector<Key> keys = fill(*store, 8);
  for (const Key& key : keys) set_mtime(payload_of(key), kLongAgo);
  const auto evicted = store->evict_to_cap(*store->total_bytes() / 2);
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(*evicted, std::vector<Key>(keys.begin(), keys.begin() + 4));
}

TEST_F(FileStoreEviction, HalfWrittenEntriesCountAndGo) {
  const auto store = open();
  const std::vector<Key> keys = fill(*store, 3);
  set_mtime(payload_of(keys[0]), kLongAgo + 3);
  fs::remove(payload_of(keys[1]));
  set_mtime(meta_of(keys[1]), kLongAgo + 1);
  fs::remove(meta_of(keys[2]));
  set_mtime(payload_of(keys[2]), kLongAgo + 2);
  const std::uint64_t whole = fs::file_size(payload_of(keys[0])) + fs::file_size(meta_of(keys[0]));
  EXPECT_EQ(*store->total_bytes(),
            whole + fs::file_size(meta_of(keys[1])) + fs::file_size(payload_of(keys[2])));
  const auto evicted = store->evict_to_cap(whole);
  EXPECT_EQ(*evicted, (std::vector<Key>{keys[1], keys[2]}));
  EXPECT_EQ(*store->evict_to_cap(0), std::vector<Key>{keys[0]});
  EXPECT_EQ(*store->total_bytes(), 0U);
}

TEST_F(FileStoreEviction, EveryFileOneLevelDownCountsWhateverItIs) {
  const auto store = open();
  write_file(root() + "/beside", "not in a directory");
  write_file(root() + "/foreign/file", "12345");
  write_file(root() + "/foreign/deeper/file", "not counted");
  write_file(root() + "/ab/.verdant-tmp-1-1", "123");
  fs::create_directory_symlink(root() + "/foreign", root() + "/link");
  fs::create_symlink(root() + "/foreign/file", root() + "/ab/link");
  EXPECT_EQ(*store->total_bytes(), 8U);
}

TEST_F(FileStoreEviction, NamesThatAreNoKeysAreLeftAlone) {
  const auto store = open();
  const std::string upper = root() + "/AB/" + std::string(64, 'A') + ".payload";
  write_file(upper, "12345");
  write_file(root() + "/ab/short.payload", "123");
  EXPECT_TRUE(store->evict_to_cap(0)->empty());
  EXPECT_EQ(*store->total_bytes(), 8U);
}

TEST_F(FileStoreEviction, WhatCannotBeRemovedDoesNotCount) {
  const auto store = open();
  const std::vector<Key> keys = fill(*store, 2);
  set_mtime(payload_of(keys[0]), kLongAgo);
  fs::remove(payload_of(keys[0]));
  fs::create_directory(payload_of(keys[0]));
  set_mtime(payload_of(keys[0]), kLongAgo);
  EXPECT_EQ(*store->evict_to_cap(0), std::vector<Key>{keys[1]});
}

// --------------------------------------------------------------------------------------- the sweep

class FileStoreSweep : public FileStoreFixture {};

TEST_F(FileStoreSweep, TakesHalvesAndLeavesEntries) {
  const auto store = open();
  for (const char* name : {"whole", "without meta", "without payload"}) {
    persist(*store, key_of(name), "x");
  }
  fs::remove(meta_of(key_of("without meta")));
  fs::remove(payload_of(key_of("without payload")));
  EXPECT_EQ(*store->sweep(kHour), 0U) << "they may be about to become whole";
  EXPECT_EQ(*store->sweep(0), 2U);
  EXPECT_EQ(look(*store, key_of("whole")), "x");
  EXPECT_FALSE(fs::exists(payload_of(key_of("without meta"))));
  EXPECT_FALSE(fs::exists(meta_of(key_of("without payload"))));
}

TEST_F(FileStoreSweep, AnOldMtimeAloneDoesNotMakeAFileOld) {
  const auto store = open();
  write_file(payload_of(key_of("k")), "x");
  set_mtime(payload_of(key_of("k")), kLongAgo);
  EXPECT_EQ(*store->sweep(kHour), 0U);
  EXPECT_EQ(*store->sweep(0), 1U);
}

TEST_F(FileStoreSweep, TakesWhatWritersLeftButNotWhatTheyHold) {
  const auto store = open();
  const fs::path tmp = fs::path(root()) / ".satchel/tmp";
  write_file(tmp / ".satchel-tmp-1-1-aa", "left");
  write_file(root() + "/ab/.satchel-tmp-1-1-aa", "left");
  write_file(root() + "/ab/.verdant-tmp-1-1", "left by the reference");
  write_file(directory_ / "outside", "x");
  fs::create_symlink(directory_ / "outside", tmp / "link");
  write_file(root() + "/ab/another file", "none of ours");
  core::Result<std::unique_ptr<PayloadWriter>> writer = store->begin(key_of("k"));
  ASSERT_TRUE((*writer)->write(noise(100'000)).ok());
  EXPECT_EQ(*store->sweep(kHour), 0U);
  EXPECT_EQ(*open()->sweep(0), 3U);
  EXPECT_TRUE(fs::exists(directory_ / "outside"));
  EXPECT_TRUE(fs::exists(root() + "/ab/another file"));
  EXPECT_TRUE((*writer)->commit(meta()).ok()) << "the writer goes on";
  EXPECT_EQ(look(*store, key_of("k")), noise(100'000));
}

TEST_F(FileStoreSweep, TakesLeasesOfTheDeadAndLeavesThoseOfTheLiving) {
  const auto store = open();
  LeaseRecords records(root());
  ASSERT_TRUE(*records.take(key_of("alive"), kHour));
  write_file(root() + "/.satchel/leases/" + key_of("dead").hex(), "");
  EXPECT_EQ(*store->sweep(kHour), 1U);
  EXPECT_TRUE(fs::exists(root() + "/.satchel/leases/" + key_of("alive").hex()));
}

TEST_F(FileStoreSweep, OneBadShardDoesNotKeepTheOthersFromBeingSwept) {
  const auto store = open();
  fs::create_directory(directory_ / "elsewhere");
  fs::create_directory_symlink(directory_ / "elsewhere", root() + "/00");
  const Key key = Key::parse(std::string(64, 'f')).value();
  write_file(payload_of(key), "x");
  EXPECT_FALSE(store->sweep(0).ok());
  EXPECT_FALSE(fs::exists(payload_of(key)));
}

// --------------------------------------------------------------------------------- locks of a key

TEST_F(FileStoreSweep, AKeyThatAnotherKeepsLockedIsBusyAndNotBrokenOpen) {
  FileStore::Options options;
  options.root = root();
  options.lock_patience_ns = 20 * core::kNanosPerMilli;
  const auto store = open(options);
  persist(*store, key_of("k"), "x");
  KeyLocks locks(root(), "keys");
  {
    const core::Result<KeyLocks::Held> held = locks.hold(key_of("k"));
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(look(*store, key_of("k")), "x") << "reading needs no lock";
    const core::Result<void> stored = store->persist(key_of("k"), "y", meta());
    ASSERT_FALSE(stored.ok());
    EXPECT_EQ(stored.error().status, core::Status::kBusy);
    EXPECT_EQ(staged(), 0U);
  }
  persist(*store, key_of("k"), "y");
  EXPECT_EQ(look(*store, key_of("k")), "y");
}

TEST_F(FileStoreSweep, LocksHoldAlsoAfterTheirFileWasRemoved) {
  KeyLocks first(root(), "keys", 20 * core::kNanosPerMilli);
  ASSERT_TRUE(first.hold(key_of("k")).ok());
  fs::remove_all(root() + "/.satchel");
  KeyLocks second(root(), "keys");
  const core::Result<KeyLocks::Held> held = second.hold(key_of("k"));
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(first.hold(key_of("k")).error().status, core::Status::kBusy);
}

}  // namespace
}  // namespace satchel::tool_cache
