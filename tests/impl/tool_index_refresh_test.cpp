// What the index notices of a store that others write into, and what it tells of it.
#include <fcntl.h>
#include <sys/stat.h>

#include <limits>

#include "sqlite_shell.hpp"
#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

class ToolIndexRefreshTest : public ToolIndexFixture {
 protected:
  static std::uint64_t entries(StoreIndex& index, std::int64_t until = kAll) {
    const auto totals = index.totals(until);
    EXPECT_TRUE(totals) << (totals ? "" : totals.error().message);
    std::uint64_t count = 0;
    for (const auto& [kind, of_kind] : *totals) count += of_kind.entries;
    return count;
  }
  static std::vector<Key> sorted(std::vector<Key> keys) {
    std::sort(keys.begin(), keys.end());
    return keys;
  }
};

TEST_F(ToolIndexRefreshTest, OpeningASmallStoreKnowsAllThatIsThere) {
  foreign_.put(key_number(1), meta_with({"a"}));
  foreign_.put(key_number(2), meta_with({"b"}, {}, "grep"));
  foreign_.put_file(key_number(3), ".payload", "half");
  foreign_.put_file(key_number(4), ".meta.json", write_meta(meta_with({"c"})));
  foreign_.put_file(key_number(5), ".meta.json", "not a meta");
  auto index = make();
  const std::int64_t opening = index->open();
  ASSERT_NE(opening, kAll);
  const auto totals = index->totals(opening);
  ASSERT_TRUE(totals);
  // As the reference counts: by readable metas, with a payload or without.
  EXPECT_EQ(totals->at("read").entries, 2U);
  EXPECT_EQ(totals->at("grep").entries, 1U);
  EXPECT_EQ(totals->at("read").bytes, 14U);
  EXPECT_EQ(totals->size(), 2U);
  EXPECT_FALSE(index->find(key_number(3)));
  EXPECT_FALSE(index->find(key_number(5)));
  const auto found = index->find(key_number(2));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tool_kind, "grep");
  EXPECT_LE(found->sequence, opening);
  ASSERT_TRUE(index->roots_of(key_number(2)));
  EXPECT_EQ(index->roots_of(key_number(2))->file_roots, (std::vector<Root>{{"b", "hash"}}));
  EXPECT_EQ(index->describe(), "sqlite " + database_path());
}

TEST_F(ToolIndexRefreshTest, EntriesThatComeAfterOpeningHaveALaterSequence) {
  foreign_.put(key_number(1), meta_with({"a"}));
  auto index = make();
  const std::int64_t opening = index->open();
  foreign_.put(key_number(2), meta_with({"a"}));
  foreign_.put(key_number(1), meta_with({"b"}));  // replaced: what it was counts
  ASSERT_TRUE(index->refresh());
  EXPECT_EQ(entries(*index, opening), 1U);
  EXPECT_EQ(entries(*index), 2U);
  EXPECT_LE(index->find(key_number(1))->sequence, opening);
  EXPECT_GT(index->find(key_number(2))->sequence, opening);
}

TEST_F(ToolIndexRefreshTest, AnEntryThatWentAndCameBackIsANewOne) {
  foreign_.put(key_number(1), meta_with({"a"}));
  foreign_.put(key_number(2), meta_with({"a"}));
  auto index = make();
  const std::int64_t opening = index->open();
  foreign_.remove(key_number(1));
  fs::remove(foreign_.file(key_number(2), ".meta.json"));
  ASSERT_TRUE(index->refresh());
  foreign_.put(key_number(1), meta_with({"a"}));
  foreign_.put(key_number(2), meta_with({"a"}));
  ASSERT_TRUE(index->refresh());
  EXPECT_GT(index->find(key_number(1))->sequence, opening);
  EXPECT_GT(index->find(key_number(2))->sequence, opening);
}

TEST_F(ToolIndexRefreshTest, TellsWhatWasKnownOfEntriesThatGoOrAreReplaced) {
  foreign_.put(key_number(1), meta_with({"a", "b"}, {}, "glob"));
  foreign_.put(key_number(2), meta_with({"c"}));
  foreign_.put(key_number(3), meta_with({"d"}));
  auto index = opened();
  const std::int64_t first = index->find(key_number(1))->sequence;
  foreign_.remove(key_number(1));
  foreign_.put(key_number(2), meta_with({"e"}));
  foreign_.put_file(key_number(3), ".meta.json", "garbage");
  ASSERT_TRUE(index->refresh());
  ASSERT_EQ(lost_.size(), 3U);
  std::map<Key, Lost> lost;
  for (const Lost& one : lost_) lost.emplace(one.key, one);
  EXPECT_EQ(lost.at(key_number(1)).sequence, first);
  EXPECT_EQ(lost.at(key_number(1)).old.tool_kind, "glob");
  EXPECT_EQ(lost.at(key_number(1)).old.file_roots,
            (std::vector<Root>{{"a", "hash"}, {"b", "hash"}}));
  EXPECT_EQ(lost.at(key_number(2)).old.file_roots, (std::vector<Root>{{"c", "hash"}}));
  EXPECT_EQ(lost.at(key_number(3)).old.file_roots, (std::vector<Root>{{"d", "hash"}}));
  ASSERT_TRUE(index->refresh());
  EXPECT_EQ(lost_.size(), 3U);
}

TEST_F(ToolIndexRefreshTest, EachProcessIsToldWhatAnotherOneTookOut) {
  foreign_.put(key_number(1), meta_with({"a"}));
  foreign_.put(key_number(2), meta_with({"b"}));
  foreign_.put(key_number(3), meta_with({"c"}));
  auto one = opened();
  std::vector<Key> told_two;
  auto two = StoreIndex::over_files(
      *store_, {workspace(), false},
      [&](const Key& key, std::int64_t, const Meta&) { told_two.push_back(key); }, clock_, log_);
  two->open();

  foreign_.remove(key_number(1));
  ASSERT_TRUE(two->refresh());
  ASSERT_TRUE(store_->remove(key_number(2)));
  two->removed(std::vector<Key>{key_number(2)});
  // Whoever removes an entry knows; the other learns of both with whatever it asks next.
  EXPECT_EQ(told_two, (std::vector<Key>{key_number(1)}));
  EXPECT_TRUE(lost_.empty());
  EXPECT_FALSE(one->find(key_number(2)));
  ASSERT_EQ(lost_.size(), 2U);
  EXPECT_EQ(lost_[1].old.file_roots, (std::vector<Root>{{"b", "hash"}}));
  EXPECT_EQ(entries(*one), 1U);
}

TEST_F(ToolIndexRefreshTest, NoticesChangesWithinOneTickOfTheClock) {
  auto index = opened();
  for (int i = 0; i < 200; ++i) {
    const Key key = key_number(1);
    foreign_.put(key, meta_with({"aaa"}));
    ASSERT_EQ(with_root(*index, "aaa").size(), 1U) << i;
    foreign_.put(key, meta_with({"bbb"}));
    ASSERT_TRUE(with_root(*index, "aaa").empty()) << i;
    ASSERT_EQ(with_root(*index, "bbb").size(), 1U) << i;
    foreign_.remove(key);
    ASSERT_TRUE(with_root(*index, "bbb").empty()) << i;
  }
}

TEST_F(ToolIndexRefreshTest, AMetaThatWasWrittenInPlaceIsLookedAtBeforeItIsAnAnswer) {
  foreign_.put(key_number(1), meta_with({"aaa"}));
  foreign_.put(key_number(2), meta_with({}, {key_number(1)}));
  foreign_.put(key_number(3), meta_with({}, {key_number(2)}));
  let_settle();
  auto index = opened();
  ASSERT_EQ(with_root(*index, "aaa").size(), 1U);
  ASSERT_EQ(dependents(*index, {key_number(1)}).size(), 2U);
  let_settle();
  ForeignWriter::in_place(foreign_.file(key_number(2), ".meta.json"), "spoiled");
  EXPECT_TRUE(dependents(*index, {key_number(1)}).empty());
  ForeignWriter::in_place(foreign_.file(key_number(1), ".meta.json"),
                          write_meta(meta_with({"bbb"})));
  EXPECT_TRUE(with_root(*index, "aaa").empty());
  // What is known to be spoiled is looked at each time.
  let_settle();
  ForeignWriter::in_place(foreign_.file(key_number(2), ".meta.json"),
                          write_meta(meta_with({}, {key_number(1)})));
  EXPECT_EQ(dependents(*index, {key_number(1)}), sorted({key_number(2), key_number(3)}));
}

TEST_F(ToolIndexRefreshTest, OpeningASmallStoreSeesMetasThatWereWrittenInPlace) {
  foreign_.put(key_number(1), meta_with({"aaa"}));
  let_settle();
  opened();
  opened();
  let_settle();
  ForeignWriter::in_place(foreign_.file(key_number(1), ".meta.json"),
                          write_meta(meta_with({"bbb"})));
  auto index = opened();
  EXPECT_EQ(index->roots_of(key_number(1))->file_roots[0].path, "bbb");
  EXPECT_EQ(with_root(*index, "bbb").size(), 1U);
}

TEST_F(ToolIndexRefreshTest, DependentsAreFoundThroughOthersAndRoundCircles) {
  foreign_.put(key_number(1), meta_with({}, {key_number(3)}));
  foreign_.put(key_number(2), meta_with({}, {key_number(1)}));
  foreign_.put(key_number(3), meta_with({}, {key_number(2)}));
  foreign_.put(key_number(4), meta_with({}, {key_number(9)}));  // of one that was never there
  foreign_.put(key_number(5), meta_with({}, {key_number(4), key_number(5)}));
  Meta odd = meta_with({}, {});
  odd.upstream_keys = {"", "nothing", std::string(64, 'A'), std::string(64, 'g'),
                       std::string(100'000, 'x')};
  foreign_.put(key_number(6), odd);
  auto index = opened();
  EXPECT_EQ(dependents(*index, {key_number(1)}),
            sorted({key_number(1), key_number(2), key_number(3)}));
  EXPECT_EQ(dependents(*index, {key_number(9)}), sorted({key_number(4), key_number(5)}));
  EXPECT_EQ(dependents(*index, {key_number(5)}), sorted({key_number(5)}));
  EXPECT_TRUE(dependents(*index, {key_number(6)}).empty());
  EXPECT_TRUE(dependents(*index, {}).empty());
}

TEST_F(ToolIndexRefreshTest, AnEntryStoredAnewWhileItsRemovalIsWrittenDownIsFoundAgain) {
  foreign_.put(key_number(1), meta_with({"a"}));
  auto index = opened();
  auto other = opened();
  foreign_.remove(key_number(1));
  foreign_.put(key_number(1), meta_with({"a"}));
  let_settle();
  ASSERT_TRUE(other->refresh());
  ASSERT_TRUE(other->refresh());
  index->removed(std::vector<Key>{key_number(1)});
  EXPECT_EQ(with_root(*index, "a").size(), 1U);
  EXPECT_EQ(with_root(*other, "a").size(), 1U);
}

TEST_F(ToolIndexRefreshTest, PathsThatNoEntryHasAnyMoreAreForgotten) {
  foreign_.put(key_number(1), meta_with({"a", "src/b"}));
  auto index = opened();
  ASSERT_EQ(with_root(*index, "src/b").size(), 1U);
  foreign_.remove(key_number(1));
  ASSERT_TRUE(index->refresh());
  index.reset();
  prompt_cache::SqliteShell shell(database_path());
  for (const char* table : {"paths", "resolved", "directories", "roots", "upstreams"}) {
    EXPECT_EQ(shell.number(std::string("SELECT count(*) FROM ") + table), 0) << table;
  }
}

TEST_F(ToolIndexRefreshTest, PathsMatchByWorkspace) {
  fs::create_directories(directory_ / "elsewhere/src");
  std::ofstream{directory_ / "elsewhere/src/a"};
  fs::create_directories(workspace() + "/src");
  std::ofstream{workspace() + "/src/a"};
  foreign_.put(key_number(1), meta_with({"src/a"}));
  foreign_.put(key_number(2), meta_with({workspace() + "/src/a"}));
  auto here = opened();
  auto there =
      StoreIndex::over_files(*store_, {directory_ / "elsewhere", false}, nullptr, clock_, log_);
  there->open();
  EXPECT_EQ(with_root(*here, "SRC/../src/A").size(),
            0U);  // SRC is not there, and as written differs
  EXPECT_EQ(with_root(*here, "src/a").size(), 2U);
  EXPECT_EQ(with_root(*there, "src/a"), (std::vector<Key>{key_number(1)}));
  EXPECT_EQ(with_root(*there, workspace() + "/src/a"), (std::vector<Key>{key_number(2)}));
}

TEST_F(ToolIndexRefreshTest, WhatGoesFirstIsWhatWasUsedLast) {
  const auto at = [&](int n, std::int64_t seconds) {
    const std::string file = foreign_.file(key_number(static_cast<std::uint64_t>(n)), ".payload");
    const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  };
  for (int n = 1; n <= 4; ++n) {
    foreign_.put(key_number(static_cast<std::uint64_t>(n)), meta_with({}));
    at(n, core::kStart / core::kSecond - 1000 + n);
  }
  foreign_.put_file(key_number(5), ".payload", "half-written");
  at(5, core::kStart / core::kSecond - 2000);
  auto index = opened();
  index->used(std::vector<std::pair<Key, std::int64_t>>{{key_number(1), core::kStart},
                                                        {key_number(2), 5}});  // older than known
  const auto over = [&](Bounds bounds) { return *index->over_bounds(bounds); };
  EXPECT_TRUE(over({}).empty());
  EXPECT_EQ(over({0, 2, 0}), (std::vector<Key>{key_number(5), key_number(2), key_number(3)}));
  EXPECT_EQ(over({0, 0, 997 * core::kSecond}), (std::vector<Key>{key_number(5), key_number(2)}));
  const std::uint64_t one = index->find(key_number(1))->disk_bytes;
  EXPECT_EQ(one, fs::file_size(foreign_.file(key_number(1), ".payload")) +
                     fs::file_size(foreign_.file(key_number(1), ".meta.json")));
  EXPECT_EQ(over({one, 0, 0}),
            (std::vector<Key>{key_number(5), key_number(2), key_number(3), key_number(4)}));
  EXPECT_EQ(*index->oldest_written_ns(), core::kStart - 2000 * core::kSecond);
  // Uses outlive a rebuild.
  ASSERT_TRUE(index->rebuild());
  EXPECT_EQ(over({0, 2, 0}), (std::vector<Key>{key_number(5), key_number(2), key_number(3)}));
  EXPECT_EQ(index->find(key_number(1))->used_ns, core::kStart);
}

TEST_F(ToolIndexRefreshTest, PagesAreInTheOrderOfKeys) {
  std::vector<Key> keys;
  for (std::uint64_t n = 0; n < 25; ++n) {
    keys.push_back(key_number(n));
    foreign_.put(keys.back(), meta_with({}, {}, n % 5 == 0 ? "grep" : "read"));
  }
  std::sort(keys.begin(), keys.end());
  auto index = opened();
  std::vector<Key> paged;
  std::optional<Key> after;
  for (;;) {
    const auto page = index->page(after, "", 10);
    ASSERT_TRUE(page);
    if (page->empty()) break;
    ASSERT_LE(page->size(), 10U);
    for (const IndexedEntry& entry : *page) paged.push_back(entry.key);
    after = paged.back();
  }
  EXPECT_EQ(paged, keys);
  EXPECT_EQ(index->page(std::nullopt, "grep", 100)->size(), 5U);
  EXPECT_TRUE(index->page(std::nullopt, "none", 100)->empty());
}

TEST_F(ToolIndexRefreshTest, FingerprintsAreFoundAgainInAnotherProcess) {
  RememberedFingerprint one;
  one.path = "/some/\xff/path";
  one.form = Form::kDirectory;
  one.stamp = {1, 2, 3, -4, 5, 0100644};
  one.epoch.boot[3] = 7;
  one.epoch.offset_ns = 42;
  one.fingerprint = "dir:abc";
  opened()->keep(std::vector<RememberedFingerprint>{one});
  auto index = opened();
  auto found = index->find(one.path, Form::kDirectory);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->stamp, one.stamp);
  EXPECT_EQ(found->epoch.boot, one.epoch.boot);
  EXPECT_EQ(found->epoch.offset_ns, 42);
  EXPECT_EQ(found->fingerprint, "dir:abc");
  EXPECT_FALSE(index->find(one.path, Form::kContent));
  one.fingerprint = "dir:new";
  index->keep(std::vector<RememberedFingerprint>{one});
  ASSERT_TRUE(index->rebuild());
  EXPECT_EQ(index->find(one.path, Form::kDirectory)->fingerprint, "dir:new");
}

TEST_F(ToolIndexRefreshTest, OpeningALargeStoreWithoutAnIndexDoesNotWaitForIt) {
  for (std::uint64_t n = 0; n < 3000; ++n) foreign_.put(key_number(n), meta_with({"a"}));
  auto index = make();
  EXPECT_EQ(index->open(), kAll);
  const auto settled = index->settle_opening();
  ASSERT_TRUE(settled);
  EXPECT_NE(*settled, kAll);
  EXPECT_EQ(entries(*index, *settled), 3000U);
  foreign_.put(key_number(5000), meta_with({"a"}));
  EXPECT_EQ(*index->settle_opening(), *settled);
  EXPECT_EQ(with_root(*index, "a").size(), 3001U);
  EXPECT_EQ(entries(*index, *settled), 3000U);
  index.reset();
  let_settle();
  ASSERT_TRUE(opened()->refresh());
  EXPECT_NE(make()->open(), kAll);
}

TEST_F(ToolIndexRefreshTest, ALongLookEndsWhenTheCacheIsClosed) {
  for (std::uint64_t n = 0; n < 3000; ++n) foreign_.put(key_number(n), meta_with({"a"}));
  auto index = make();
  EXPECT_EQ(index->open(), kAll);
  index->cancel();
  EXPECT_FALSE(index->settle_opening());
}

TEST_F(ToolIndexRefreshTest, AShardThatCannotBeReadIsAnErrorAndNotAnEmptyAnswer) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  foreign_.put(key_number(1), meta_with({"a"}));
  auto index = opened();
  ASSERT_EQ(::chmod(foreign_.shard(key_number(1)).c_str(), 0), 0);
  EXPECT_FALSE(index->with_root("a"));
  ::chmod(foreign_.shard(key_number(1)).c_str(), 0700);
}

// ------------------------------------------------------------------ over a store of the host

class MapStore final : public Store {
 public:
  core::Result<void> persist(const Key& key, std::string_view, Meta meta) override {
    metas[key] = std::move(meta);
    return {};
  }
  core::Result<std::unique_ptr<PayloadWriter>> begin(const Key&) override {
    return core::Error{core::Status::kInternal, "not here", 0, 0};
  }
  core::Result<Stored> lookup(const Key&) override { return Stored{}; }
  core::Result<bool> remove(const Key& key) override { return metas.erase(key) > 0; }
  bool contains(const Key& key) override { return metas.contains(key); }
  core::Result<std::uint64_t> total_bytes() override { return std::uint64_t{0}; }
  core::Result<std::vector<Key>> evict_to_cap(std::uint64_t) override { return std::vector<Key>{}; }
  core::Result<void> iterate(const std::function<void(const Key&, const Meta&)>& visit) override {
    if (broken) return core::Error{core::Status::kIo, "the host's store is away", 0, 0};
    for (const auto& [key, meta] : metas) visit(key, meta);
    return {};
  }
  std::map<Key, Meta> metas;
  bool broken = false;
};

TEST_F(ToolIndexRefreshTest, AStoreOfTheHostIsIndexedByWhatItSays) {
  MapStore host;
  host.metas[key_number(1)] = meta_with({"a"});
  auto index = StoreIndex::over_store(
      host, {workspace(), false},
      [this](const Key& key, std::int64_t sequence, Meta old) {
        lost_.push_back({key, sequence, std::move(old)});
      },
      clock_, log_);
  const std::int64_t opening = index->open();
  EXPECT_EQ(entries(*index, opening), 1U);
  host.metas[key_number(2)] = meta_with({"a"}, {key_number(1)});
  EXPECT_EQ(with_root(*index, "a").size(), 2U);
  host.metas[key_number(1)] = meta_with({"b"});
  EXPECT_EQ(with_root(*index, "a"), (std::vector<Key>{key_number(2)}));
  EXPECT_EQ(dependents(*index, {key_number(1)}), (std::vector<Key>{key_number(2)}));
  host.metas.erase(key_number(2));
  EXPECT_TRUE(with_root(*index, "a").empty());
  EXPECT_EQ(lost_.size(), 2U);
  ASSERT_TRUE(index->rebuild());
  EXPECT_EQ(with_root(*index, "b").size(), 1U);
  host.broken = true;
  EXPECT_FALSE(index->with_root("b"));
  host.broken = false;
  EXPECT_EQ(with_root(*index, "b").size(), 1U);
  EXPECT_EQ(index->describe(), "memory, because the store is the host's");
}

}  // namespace
}  // namespace satchel::tool_cache
