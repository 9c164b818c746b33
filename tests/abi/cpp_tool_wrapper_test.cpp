// The tool cache in satchel.hpp: what C++ adds to the contract.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "satchel/satchel.hpp"

namespace {

namespace fs = std::filesystem;

const std::string kKey(64, 'a');
const std::string kOther(64, 'b');

template <class T>
constexpr bool kMoveOnly =
    std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(kMoveOnly<satchel::ToolCache>);
static_assert(kMoveOnly<satchel::ToolResult>);
static_assert(kMoveOnly<satchel::ToolLease>);
static_assert(kMoveOnly<satchel::ToolWriter>);

template <class Call>
satchel_status status_of(Call&& call) {
  try {
    call();
  } catch (const satchel::Error& error) {
    return error.status();
  }
  return SATCHEL_OK;
}

void write_file(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }

// A workspace with one file, and a store beside it.
class CppTools : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "satchel-cpp-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    fs::create_directory(directory_ / "workspace");
    write_file(directory_ / "workspace" / "a.txt", "one");
  }
  void TearDown() override { fs::remove_all(directory_); }

  [[nodiscard]] satchel::ToolPlace place() const {
    satchel::ToolPlace place;
    place.store = (directory_ / "store").string();
    place.workspace = (directory_ / "workspace").string();
    return place;
  }

  satchel::Library library_{R"({"log_level":"off"})"};
  fs::path directory_;
};

TEST_F(CppTools, KeysAreThoseOfTheContract) {
  EXPECT_EQ(satchel::tool_key(""),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  EXPECT_EQ(satchel::tool_result_key("x"), satchel::tool_key(std::string("tool_result\0x", 13)));
}

TEST_F(CppTools, ALookupIsAHitAMissOrInvalidated) {
  using Answer = satchel::ToolLookup::Answer;
  satchel::ToolCache cache(library_, place());
  EXPECT_EQ(cache.lookup(kKey).answer, Answer::kMiss);
  const std::string fingerprint = cache.fingerprint("a.txt").value();
  cache.persist(kKey, "payload", {"read", {{"a.txt", fingerprint}}, {kOther}});

  const satchel::ToolLookup hit = cache.lookup_revalidate(kKey);
  ASSERT_EQ(hit.answer, Answer::kHit);
  ASSERT_TRUE(hit.result);
  EXPECT_EQ(hit.result->payload(), "payload");
  EXPECT_EQ(satchel::text(hit.result->info().kind), "read");
  EXPECT_EQ(satchel::text(hit.result->root(0).path), "a.txt");
  EXPECT_EQ(hit.result->upstream(0), kOther);
  char piece[8];
  EXPECT_EQ(hit.result->read(4, piece, sizeof piece), 3u);
  EXPECT_EQ(std::string_view(piece, 3), "oad");
  EXPECT_EQ(status_of([&] { (void)hit.result->root(1); }), SATCHEL_ERR_ARGUMENT);

  write_file(directory_ / "workspace" / "a.txt", "changed");
  const satchel::ToolLookup stale = cache.lookup_revalidate(kKey);
  EXPECT_EQ(stale.answer, Answer::kInvalidated);
  EXPECT_FALSE(stale.result);
  EXPECT_NE(stale.why.find("a.txt"), std::string::npos) << stale.why;
}

TEST_F(CppTools, WhatIsNoKeyIsThrown) {
  satchel::ToolCache cache(library_, place());
  EXPECT_EQ(status_of([&] { (void)cache.lookup("key"); }), SATCHEL_ERR_ARGUMENT);
  EXPECT_EQ(status_of([&] {
              cache.persist(kKey, "x", {"read", {}, {"upstream"}});
            }),
            SATCHEL_ERR_ARGUMENT);
}

TEST_F(CppTools, ALeaseStoresUnlessARootChanged) {
  using Answer = satchel::ToolBegun::Answer;
  satchel::ToolCache cache(library_, place());
  satchel::ToolCall call;
  call.kind = "read";
  call.roots = {{"a.txt", ""}};
  satchel::ToolBegun begun = cache.get_or_begin(kKey, call);
  ASSERT_EQ(begun.answer, Answer::kLeased);
  EXPECT_EQ(cache.get_or_begin(kKey, call).answer, Answer::kWait);
  write_file(directory_ / "workspace" / "a.txt", "changed");
  const satchel::ToolKept kept = begun.lease->commit("late");
  EXPECT_FALSE(kept.stored);
  EXPECT_NE(kept.why_not.find("a.txt"), std::string::npos) << kept.why_not;

  begun = cache.get_or_begin(kKey, call);
  ASSERT_EQ(begun.answer, Answer::kLeased);
  EXPECT_TRUE(begun.lease->commit("right", {"read", {}, {kOther}}).stored);
  EXPECT_EQ(status_of([&] { begun.lease->abandon(); }), SATCHEL_ERR_STATE);
  begun = cache.get_or_begin(kKey, call);
  ASSERT_EQ(begun.answer, Answer::kHit);
  EXPECT_EQ(begun.result->payload(), "right");
  EXPECT_EQ(cache.invalidate_upstream(kOther), 1u);
}

TEST_F(CppTools, ALeaseThatGoesOutOfScopeIsAbandoned) {
  using Answer = satchel::ToolBegun::Answer;
  satchel::ToolCache cache(library_, place());
  EXPECT_EQ(cache.get_or_begin(kKey, {}).answer, Answer::kLeased);
  EXPECT_EQ(cache.get_or_begin(kKey, {}).answer, Answer::kLeased);
}

TEST_F(CppTools, AWriterStoresWhatIsCommittedAndNothingElse) {
  satchel::ToolCache cache(library_, place());
  {
    satchel::ToolWriter dropped = cache.writer(kKey, {"read", {}, {}});
    dropped.write("never");
  }
  EXPECT_FALSE(cache.contains(kKey));
  satchel::ToolWriter writer = cache.writer(kKey, {"read", {}, {}});
  writer.write("in ");
  writer.write("pieces");
  EXPECT_TRUE(writer.commit().stored);
  EXPECT_EQ(cache.lookup(kKey).result->payload(), "in pieces");

  satchel::ToolBegun begun = cache.get_or_begin(kOther, {});
  satchel::ToolWriter leased = begun.lease->writer();
  leased.write("leased");
  EXPECT_TRUE(leased.commit().stored);
  EXPECT_EQ(cache.lookup(kOther).result->payload(), "leased");
}

TEST_F(CppTools, AResultOutlivesItsCacheAndItsLibrary) {
  satchel::ToolCache cache(library_, place());
  cache.persist(kKey, "payload", {"read", {}, {}});
  const satchel::ToolLookup found = cache.lookup(kKey);
  cache.close();
  library_.close();
  EXPECT_EQ(found.result->payload(), "payload");
  EXPECT_EQ(status_of([&] { (void)cache.lookup(kKey); }), SATCHEL_ERR_HANDLE);
}

TEST_F(CppTools, TheWholeCacheTellsOfItselfAndIsKeptUp) {
  satchel::ToolCache cache(library_, place(), R"({"hash_max_bytes":2})");
  cache.persist(kKey, "payload", {"read", {}, {}});
  cache.persist(kOther, "payload", {"bash", {{"a.txt", "stat:0:0:0"}}, {}});
  EXPECT_EQ(cache.entry_count(), 2u);
  EXPECT_EQ(cache.known_kinds(), R"(["bash","read"])");
  EXPECT_FALSE(cache.fingerprint("a.txt"));
  EXPECT_EQ(cache.fingerprint("a.txt", SATCHEL_FINGERPRINT_STAT)->substr(0, 7), "stat:3:");
  EXPECT_NE(cache.list().find(kOther), std::string::npos);
  EXPECT_EQ(cache.list(kKey, "read", 10), "[]");
  EXPECT_NE(cache.why(kOther).find("a.txt"), std::string::npos);
  EXPECT_NE(cache.stats().find("bash"), std::string::npos);
  EXPECT_NE(cache.metrics().find("satchel_tool_cache_"), std::string::npos);
  EXPECT_TRUE(cache.verify(kKey));
  EXPECT_FALSE(cache.verify(std::string(64, 'c')));
  cache.record("bash", "declined", 1);
  EXPECT_EQ(cache.evict(), 0u);
  EXPECT_EQ(cache.sweep(0), 0u);
  cache.rebuild();
  EXPECT_TRUE(cache.flush(60'000));
  EXPECT_EQ(cache.invalidate_path("a.txt"), 1u);
  EXPECT_GT(cache.total_bytes(), 7u);
  EXPECT_EQ(cache.evict_to_cap(0), 1u);
  cache.persist(kKey, "payload", {"read", {}, {}});
  cache.mark_dirty(kKey);
  EXPECT_FALSE(cache.contains(kKey));
}

// A store of the host: entries in a map, and a switch that makes everything throw.
class MapStore final : public satchel::ToolStore {
 public:
  explicit MapStore(bool& broken, int& alive) : broken_(broken), alive_(alive) { ++alive_; }
  ~MapStore() override { --alive_; }

  void persist(std::string_view key, std::string_view payload, std::string_view meta) override {
    const std::lock_guard lock = enter();
    entries_[std::string(key)] = {std::string(payload), std::string(meta)};
  }
  std::optional<Entry> lookup(std::string_view key) override {
    const std::lock_guard lock = enter();
    const auto found = entries_.find(std::string(key));
    if (found == entries_.end()) return std::nullopt;
    return found->second;
  }
  bool remove(std::string_view key) override {
    const std::lock_guard lock = enter();
    return entries_.erase(std::string(key)) > 0;
  }
  bool contains(std::string_view key) override {
    const std::lock_guard lock = enter();
    return entries_.count(std::string(key)) > 0;
  }
  void iterate(const Visit& visit) override {
    const std::lock_guard lock = enter();
    for (const auto& [key, entry] : entries_) visit(key, entry.meta);
  }
  std::uint64_t total_bytes() override {
    const std::lock_guard lock = enter();
    std::uint64_t sum = 0;
    for (const auto& [key, entry] : entries_) sum += entry.payload.size() + entry.meta.size();
    return sum;
  }
  std::vector<std::string> evict_to_cap(std::uint64_t /*cap*/) override {
    const std::lock_guard lock = enter();
    std::vector<std::string> keys;
    for (const auto& [key, entry] : entries_) keys.push_back(key);
    entries_.clear();
    return keys;
  }

 private:
  std::lock_guard<std::mutex> enter() {
    if (broken_) throw std::runtime_error("broken");
    return std::lock_guard(mutex_);
  }

  bool& broken_;
  int& alive_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

TEST_F(CppTools, AStoreOfTheHostIsUsedAndGoesWithTheCache) {
  bool broken = false;
  int alive = 0;
  satchel::ToolPlace over;
  over.workspace = place().workspace;
  over.host_store = std::make_unique<MapStore>(broken, alive);
  satchel::ToolCache cache(library_, std::move(over));
  const std::string fingerprint = cache.fingerprint("a.txt").value();
  cache.persist(kKey, "payload", {"read", {{"a.txt", fingerprint}}, {}});
  EXPECT_EQ(cache.lookup_revalidate(kKey).result->payload(), "payload");
  EXPECT_GT(cache.total_bytes(), 7u);
  EXPECT_EQ(cache.invalidate_path("a.txt"), 1u);
  EXPECT_FALSE(cache.contains(kKey));
  cache.persist(kKey, "payload", {"read", {}, {}});
  EXPECT_EQ(cache.evict_to_cap(0), 1u);

  broken = true;
  EXPECT_EQ(status_of([&] { cache.persist(kKey, "x", {"read", {}, {}}); }), SATCHEL_ERR_CALLBACK);
  EXPECT_EQ(status_of([&] { (void)cache.lookup(kKey); }), SATCHEL_ERR_CALLBACK);
  EXPECT_EQ(status_of([&] { (void)cache.contains(kOther); }), SATCHEL_ERR_CALLBACK);
  EXPECT_EQ(status_of([&] { (void)cache.invalidate_upstream(kKey); }), SATCHEL_ERR_CALLBACK);
  broken = false;
  EXPECT_EQ(alive, 1);
  cache.close();
  EXPECT_EQ(alive, 0);
}

TEST_F(CppTools, AStoreOfTheHostGoesWhenOpeningFails) {
  bool broken = false;
  int alive = 0;
  satchel::ToolPlace over;
  over.host_store = std::make_unique<MapStore>(broken, alive);
  EXPECT_EQ(status_of([&] {
              const satchel::ToolCache cache(library_, std::move(over), R"({"no_such_key":1})");
            }),
            SATCHEL_ERR_CONFIG);
  EXPECT_EQ(alive, 0);
}

}  // namespace
