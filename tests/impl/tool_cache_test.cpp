// The promises of the first version of the reference, one by one, and what opening, invalidating
// and looking say of entries that others touched.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "tool_cache_fixture.hpp"

namespace satchel::tool_cache {
namespace {

using ToolCacheTest = ToolCacheFixture;

TEST_F(ToolCacheTest, AMissThenPersistThenAHit) {
  const auto cache = open();
  const std::string a = write("a.txt", "alpha");
  const Key key = key_of("read|a.txt|alpha");
  EXPECT_EQ(look(*cache, key), "miss");
  persist(*cache, key, "alpha-formatted", meta("read", {root(a)}));
  const core::Result<Found> found = cache->lookup(key);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->answer, core::Status::kOk);
  EXPECT_EQ(found->stored.meta->tool_kind, "read");
  EXPECT_EQ(look(*cache, key), "hit: alpha-formatted");
}

TEST_F(ToolCacheTest, AnUnchangedRootHits) {
  const auto cache = open();
  const Key key = key_of("read|b.txt|beta");
  persist(*cache, key, "beta-formatted", meta("read", {root(write("b.txt", "beta"))}));
  EXPECT_EQ(check(*cache, key), "hit: beta-formatted");
}

TEST_F(ToolCacheTest, AChangedRootInvalidatesAndIsForgotten) {
  const auto cache = open();
  const Key key = key_of("read|c.txt|charlie");
  persist(*cache, key, "charlie-formatted", meta("read", {root(write("c.txt", "charlie"))}));
  write("c.txt", "DELTA");
  EXPECT_EQ(check(*cache, key), "invalidated");
  EXPECT_EQ(count(*cache), 0U);
  // The entry stays on disk: the old content makes it true again.
  write("c.txt", "charlie");
  EXPECT_EQ(check(*cache, key), "hit: charlie-formatted");
  EXPECT_EQ(count(*cache), 1U);
}

TEST_F(ToolCacheTest, ADeletedRootInvalidates) {
  const auto cache = open();
  const Key key = key_of("read|d.txt|delta");
  const std::string d = write("d.txt", "delta");
  persist(*cache, key, "delta-formatted", meta("read", {root(d)}));
  std::filesystem::remove(d);
  EXPECT_EQ(check(*cache, key), "invalidated");
}

TEST_F(ToolCacheTest, MarkingDirtyDropsTheEntry) {
  const auto cache = open();
  const Key key = key_of("read|e.txt|echo");
  persist(*cache, key, "echo-formatted", meta("read", {root(write("e.txt", "echo"))}));
  EXPECT_EQ(count(*cache), 1U);
  EXPECT_TRUE(cache->mark_dirty(key));
  EXPECT_EQ(count(*cache), 0U);
  EXPECT_EQ(look(*cache, key), "miss");
  EXPECT_FALSE(std::filesystem::exists(file_of(key, ".payload")));
}

TEST_F(ToolCacheTest, InvalidatingAPathDropsWhatHasItAsARoot) {
  const auto cache = open();
  const std::string f1 = write("f1.txt", "foxtrot");
  const std::string f2 = write("f2.txt", "foxtrot2");
  persist(*cache, key_of("f1"), "f1-out", meta("read", {root(f1)}));
  persist(*cache, key_of("f2"), "f2-out", meta("read", {root(f2)}));
  EXPECT_EQ(count(*cache), 2U);
  EXPECT_EQ(*cache->invalidate_path(f1), 1U);
  EXPECT_EQ(count(*cache), 1U);
  EXPECT_EQ(look(*cache, key_of("f2")), "hit: f2-out");
  EXPECT_EQ(look(*cache, key_of("f1")), "miss");
}

TEST_F(ToolCacheTest, EveryRootIsLookedAt) {
  const auto cache = open();
  const std::string g1 = write("g1.txt", "golf1");
  const std::string g2 = write("g2.txt", "golf2");
  const Key key = key_of("grep|pattern|g1+g2");
  persist(*cache, key, "merged-output", meta("grep", {root(g1), root(g2)}));
  EXPECT_EQ(check(*cache, key), "hit: merged-output");
  write("g2.txt", "changed");
  EXPECT_EQ(check(*cache, key), "invalidated");
}

TEST_F(ToolCacheTest, InvalidatingAnUpstreamDropsItsDependents) {
  const auto cache = open();
  const Key read = key_of("read|src");
  persist(*cache, read, "alpha-formatted", meta("read", {root(write("src.txt", "alpha"))}));
  persist(*cache, key_of("llm1"), "completion-1", meta("llm_call", {}, {read}));
  persist(*cache, key_of("llm2"), "completion-2", meta("llm_call", {}, {read}));
  EXPECT_EQ(count(*cache), 3U);
  EXPECT_EQ(*cache->invalidate_upstream(read), 2U);
  EXPECT_EQ(look(*cache, key_of("llm1")), "miss");
  EXPECT_EQ(look(*cache, key_of("llm2")), "miss");
  EXPECT_EQ(look(*cache, read), "hit: alpha-formatted");
}

TEST_F(ToolCacheTest, InvalidatingAPathReachesTheCallsThatSawTheResult) {
  const auto cache = open();
  const std::string input = write("input.txt", "hello");
  const Key read = key_of("read|input");
  persist(*cache, read, "hello-formatted", meta("read", {root(input)}));
  persist(*cache, key_of("llm"), "completion", meta("llm_call", {}, {read}));
  write("input.txt", "changed");
  EXPECT_EQ(*cache->invalidate_path(input), 1U);
  EXPECT_EQ(look(*cache, key_of("llm")), "miss");
  EXPECT_EQ(count(*cache), 0U);
}

TEST_F(ToolCacheTest, DependentsAreFoundOverSeveralSteps) {
  const auto cache = open();
  persist(*cache, key_of("a"), "a", meta("read", {root(write("f.txt", "x"))}));
  persist(*cache, key_of("b"), "b", meta("llm_call", {}, {key_of("a")}));
  persist(*cache, key_of("c"), "c", meta("llm_call", {}, {key_of("b")}));
  EXPECT_EQ(*cache->invalidate_upstream(key_of("a")), 2U);
  EXPECT_EQ(look(*cache, key_of("b")), "miss");
  EXPECT_EQ(look(*cache, key_of("c")), "miss");
}

TEST_F(ToolCacheTest, ACircleOfUpstreamsEnds) {
  const auto cache = open();
  persist(*cache, key_of("a"), "a", meta("x", {}, {key_of("b"), key_of("a")}));
  persist(*cache, key_of("b"), "b", meta("x", {}, {key_of("a")}));
  EXPECT_EQ(*cache->invalidate_upstream(key_of("a")), 1U);
  EXPECT_EQ(look(*cache, key_of("a")), "hit: a");
}

TEST_F(ToolCacheTest, UpstreamsOutliveTheProcessThatStoredThem) {
  const Key read = key_of("read|g");
  {
    const auto cache = open();
    persist(*cache, read, "data-formatted", meta("read", {root(write("g.txt", "data"))}));
    persist(*cache, key_of("llm|g"), "completion", meta("llm_call", {}, {read}));
  }
  const auto cache = open();
  EXPECT_EQ(count(*cache), 2U);
  EXPECT_EQ(*cache->invalidate_upstream(read), 1U);
}

TEST_F(ToolCacheTest, AFreshCacheKnowsWhatTheStoreHas) {
  const Key key = key_of("read|rehydrate");
  {
    const auto cache = open();
    persist(*cache, key, "served-once", meta("read", {root(write("r.txt", "persist me"))}));
    EXPECT_EQ(count(*cache), 1U);
  }
  const auto cache = open();
  EXPECT_EQ(count(*cache), 1U);
  EXPECT_EQ(*cache->known_kinds(), std::vector<std::string>{"read"});
  EXPECT_EQ(check(*cache, key), "hit: served-once");
}

TEST_F(ToolCacheTest, AHitIsByteForByteWhatWasStored) {
  const auto cache = open();
  std::string original;
  for (int i = 0; i < 4096; ++i) original += static_cast<char>(i * 7);
  persist(*cache, key_of("h"), original, meta("read"));
  EXPECT_EQ(check(*cache, key_of("h")), "hit: " + original);
  persist(*cache, key_of("empty"), "", meta("read"));
  EXPECT_EQ(check(*cache, key_of("empty")), "hit: ");
}

TEST_F(ToolCacheTest, AnotherCachesEntriesAreSeenAndDropped) {
  const auto mine = open();
  const auto theirs = open();
  const std::string a = write("a.txt", "a");
  persist(*theirs, key_of("read"), "r", meta("read", {root(a)}));
  persist(*theirs, key_of("llm"), "l", meta("llm", {}, {key_of("read")}));
  EXPECT_EQ(count(*mine), 0U);  // this process has seen none of them
  EXPECT_EQ(check(*mine, key_of("llm")), "hit: l");
  EXPECT_EQ(count(*mine), 1U);
  EXPECT_EQ(*mine->invalidate_path("a.txt"), 1U);
  EXPECT_EQ(check(*theirs, key_of("llm")), "miss");
  EXPECT_EQ(check(*theirs, key_of("read")), "miss");
}

TEST_F(ToolCacheTest, AnEntryStoredAnewByAnotherIsNotServedOnTheStrengthOfOldRoots) {
  const auto mine = open();
  const auto theirs = open();
  const std::string a = write("a.txt", "a");
  const std::string b = write("b.txt", "b");
  persist(*mine, key_of("k"), "from a", meta("read", {root(a)}));
  EXPECT_EQ(check(*mine, key_of("k")), "hit: from a");
  persist(*theirs, key_of("k"), "from b", meta("read", {root(b)}));
  write("b.txt", "changed");
  EXPECT_EQ(check(*mine, key_of("k")), "invalidated");
}

TEST_F(ToolCacheTest, DamagedEntriesAnswerSoEachTimeAndNothingIsRemoved) {
  const auto cache = open();
  persist(*cache, key_of("p"), "payload", meta("read"));
  persist(*cache, key_of("m"), "payload", meta("read"));
  std::ofstream(file_of(key_of("p"), ".payload")) << "garbage";
  std::ofstream(file_of(key_of("m"), ".meta.json")) << "{\"bytes\":";
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(check(*cache, key_of("p")), "integrity");
    EXPECT_EQ(look(*cache, key_of("p")), "integrity");
    EXPECT_EQ(check(*cache, key_of("m")), "meta");
    EXPECT_EQ(look(*cache, key_of("m")), "meta");
  }
  EXPECT_TRUE(std::filesystem::exists(file_of(key_of("p"), ".payload")));
  EXPECT_TRUE(std::filesystem::exists(file_of(key_of("m"), ".meta.json")));
}

TEST_F(ToolCacheTest, AHalfWrittenEntryIsAMissAndNoFileGoes) {
  const auto cache = open();
  persist(*cache, key_of("p"), "payload", meta("read"));
  persist(*cache, key_of("m"), "payload", meta("read"));
  std::filesystem::remove(file_of(key_of("p"), ".payload"));
  std::filesystem::remove(file_of(key_of("m"), ".meta.json"));
  EXPECT_EQ(check(*cache, key_of("p")), "miss");
  EXPECT_EQ(check(*cache, key_of("m")), "miss");
  EXPECT_TRUE(std::filesystem::exists(file_of(key_of("p"), ".meta.json")));
  EXPECT_TRUE(std::filesystem::exists(file_of(key_of("m"), ".payload")));
}

TEST_F(ToolCacheTest, AStaleEntryWhoseFilesAreGoneIsInvalidatedOnceThenAMiss) {
  const std::string a = write("a.txt", "a");
  { persist(*open(), key_of("k"), "result", meta("read", {root(a)})); }
  const auto cache = open();
  std::filesystem::remove(file_of(key_of("k"), ".payload"));
  std::filesystem::remove(file_of(key_of("k"), ".meta.json"));
  write("a.txt", "b");
  EXPECT_EQ(check(*cache, key_of("k")), "invalidated");
  EXPECT_EQ(check(*cache, key_of("k")), "miss");
}

TEST_F(ToolCacheTest, PathsAreMatchedByCanonicalNameWithoutRegardToCase) {
  const auto cache = open();
  write("src/Main.rs", "fn main");
  std::filesystem::create_directory_symlink("src", workspace() / "link");
  persist(
      *cache, key_of("k"), "r",
      meta("read", {{"link/../src/./Main.rs", root(workspace() / "src/Main.rs").expected_hash}}));
  EXPECT_EQ(check(*cache, key_of("k")), "hit: r");
  EXPECT_EQ(*cache->invalidate_path((workspace() / "SRC/MAIN.RS").native()), 1U);
  EXPECT_EQ(check(*cache, key_of("k")), "miss");
}

TEST_F(ToolCacheTest, DirectoryAndStatRootsAreCheckedByTheirForm) {
  const auto cache = open();
  write("listed/a.txt", "alpha");
  const std::string big = write("big", "stable");
  const Root directory{"listed", *cache->fingerprint("listed", FingerprintForm::kDirectory)};
  const Root stat{"big", *cache->fingerprint("big", FingerprintForm::kStat)};
  EXPECT_EQ(directory.expected_hash.substr(0, 4), "dir:");
  EXPECT_EQ(stat.expected_hash.substr(0, 7), "stat:6:");
  persist(*cache, key_of("ls"), "a.txt\n", meta("exec", {directory}));
  persist(*cache, key_of("cc"), "compiled", meta("exec", {stat}));
  EXPECT_EQ(check(*cache, key_of("ls")), "hit: a.txt\n");
  write("listed/a.txt", "other content, same names");
  EXPECT_EQ(check(*cache, key_of("ls")), "hit: a.txt\n");
  write("listed/b.txt", "bravo");
  EXPECT_EQ(check(*cache, key_of("ls")), "invalidated");
  EXPECT_EQ(check(*cache, key_of("cc")), "hit: compiled");
  write("big", "stable and longer");
  EXPECT_EQ(check(*cache, key_of("cc")), "invalidated");
}

TEST_F(ToolCacheTest, FilesAboveTheCeilingAreNotHashed) {
  config_.hash_max_bytes = 8;
  const auto cache = open();
  write("small", "12345678");
  write("large", "123456789");
  EXPECT_EQ(cache->fingerprint("small", FingerprintForm::kContent)->size(), 64U);
  const auto refused = cache->fingerprint("large", FingerprintForm::kContent);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, core::Status::kOversized);
  EXPECT_EQ(cache->fingerprint("large", FingerprintForm::kContentOrStat)->substr(0, 5), "stat:");
  EXPECT_FALSE(cache->fingerprint("absent", FingerprintForm::kContent));
}

TEST_F(ToolCacheTest, ARootWithANulByteIsStale) {
  const auto cache = open();
  const std::string a = write("a", "a");
  persist(*cache, key_of("k"), "r",
          meta("read", {{std::string("a\0b", 3), root(a).expected_hash}}));
  EXPECT_EQ(check(*cache, key_of("k")), "invalidated");
}

TEST_F(ToolCacheTest, RootsAreBytes) {
  const auto cache = open();
  const std::string name = "n\xff\xfe.txt";
  const Root odd{name, root(write(name, "odd")).expected_hash};
  persist(*cache, key_of("k"), "r", meta("read", {odd}));
  EXPECT_EQ(check(*cache, key_of("k")), "hit: r");
  EXPECT_EQ(check(*open(), key_of("k")), "hit: r");
  EXPECT_EQ(*open()->invalidate_path(name), 1U);
}

TEST_F(ToolCacheTest, TheStoreIsPrivate) {
  const auto cache = open();
  persist(*cache, key_of("k"), "secret", meta("read"));
  struct stat status {};
  ASSERT_EQ(::stat(store().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store())) {
    ASSERT_EQ(::lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077, 0U) << entry.path();
  }
}

}  // namespace
}  // namespace satchel::tool_cache
