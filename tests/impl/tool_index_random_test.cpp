// Random stores, workspaces and writers: the index answers what the reference would, at every step.
#include <unistd.h>

#include <algorithm>
#include <random>

#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolIndexRandom : public ToolIndexFixture, public ::testing::WithParamInterface<int> {
 protected:
  using Random = std::mt19937_64;

  std::size_t below(std::size_t bound) { return random_() % bound; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }
  bool chance(std::size_t percent) { return below(100) < percent; }

  // Names that are the same but for case, in few directories.
  std::string some_name() {
    static const std::vector<std::string> names = {"a.txt", "A.txt", "b",      "B",  "stra\u00dfe",
                                                   "link",  "Link",  "\u0130", "src"};
    return one_of(names);
  }
  std::string some_directory() {
    static const std::vector<std::string> directories = {"",       "src/",  "Src/", "src/deep/",
                                                         "other/", "link/", "gone/"};
    return one_of(directories);
  }
  // As somebody may write a root, or a path to invalidate.
  std::string some_path() {
    std::string path = some_directory() + some_name();
    switch (below(16)) {
      case 0:
        return "./" + path;
      case 1:
        return "src/../" + path;
      case 2:
        return path + "/";
      case 3:
        return path + "/..";
      case 4:
        return path + "/.";
      case 5:
      case 6:
      case 7:
        return workspace() + "/" + path;
      case 8:
        return workspace() + "//" + path;
      case 9: {
        std::string upper = path;
        for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
        return upper;
      }
      case 10:
        return some_directory();
      case 11:
        return outside_ + "/" + some_name();
      case 12:
        return path + "/" + some_name();
      case 13:
        return chance(20) ? std::string(5000, 'x') : "a\xff\xfe/" + path;
      default:
        return path;
    }
  }
  std::string real(const std::string& path) const { return workspace() + "/" + path; }

  Key some_key() { return key_number(below(40)); }
  Meta some_meta() {
    std::vector<std::string> roots;
    for (std::size_t n = below(4); n > 0; --n) roots.push_back(some_path());
    std::vector<Key> upstreams;
    for (std::size_t n = below(3); n > 0; --n) upstreams.push_back(some_key());
    Meta meta = meta_with(std::move(roots), upstreams, chance(50) ? "read" : "grep");
    if (chance(10)) meta.upstream_keys.push_back("no key at all");
    if (chance(10)) {
      std::string upper = some_key().hex();
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](char c) { return static_cast<char>(::toupper(c)); });
      meta.upstream_keys.push_back(upper);
    }
    return meta;
  }

  void change_workspace() {
    std::error_code ignored;
    const std::string path = real(some_directory() + some_name());
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
        fs::create_directories(fs::path(path).parent_path(), ignored);
        std::ofstream{path};
        break;
      case 3:
        fs::remove_all(path, ignored);
        break;
      case 4:
        fs::remove_all(path, ignored);
        fs::create_symlink(chance(50) ? some_name() : real(some_directory() + some_name()), path,
                           ignored);
        break;
      case 5:
        fs::remove_all(real("link"), ignored);
        fs::create_directory_symlink(chance(50) ? "src" : "other", real("link"), ignored);
        break;
      case 6:  // a directory moves away, with all that is in it, or comes back
        fs::rename(real("src"), real("other/moved"), ignored);
        break;
      case 7:
        fs::rename(real("other/moved"), real("src"), ignored);
        break;
      case 8:
        fs::rename(real(some_name()), path, ignored);
        break;
      default:
        fs::create_directories(path, ignored);
    }
  }

  void change_store() {
    const Key key = some_key();
    std::error_code ignored;
    switch (below(12)) {
      case 0:
        foreign_.remove(key);
        break;
      case 1:
        ASSERT_TRUE(store_->remove(key));
        break;
      case 2:
        fs::remove(foreign_.file(key, chance(50) ? ".payload" : ".meta.json"), ignored);
        break;
      case 3:  // in place, so that the directory does not show it; roots and upstreams only go
        if (fs::exists(foreign_.file(key, ".meta.json"))) {
          ForeignWriter::in_place(foreign_.file(key, ".meta.json"), "{ no meta");
          spoiled_.insert(key);
        }
        break;
      case 4:
        foreign_.put_file(key, ".meta.json", "garbage");
        break;
      case 5:  // twice within a tick, as many bytes each time
        foreign_.put(key, meta_with({"src/a.txt"}));
        foreign_.put(key, meta_with({"src/b.txt"}));
        break;
      case 6:
        fs::remove_all(foreign_.shard(key), ignored);
        break;
      case 7:
      case 8:
        ASSERT_TRUE(store_->persist(key, "payload of ours", some_meta()));
        break;
      default:
        foreign_.put(key, some_meta());
    }
  }

  void compare(StoreIndex& index, int step) {
    const PlainStore expected = plain();
    const std::string given = some_path();
    const std::vector<Key> matches = with_root(index, given);
    ASSERT_EQ(matches, expected.with_root(given)) << "step " << step << ", path " << given;
    const std::vector<Key> reached = *index.dependents(matches, false);
    ASSERT_EQ(reached, expected.dependents(matches)) << "step " << step << ", path " << given;
    const std::vector<Key> one = {some_key()};
    ASSERT_EQ(dependents(index, one), expected.dependents(one)) << "step " << step;
    std::uint64_t entries = 0;
    const auto totals = index.totals(std::numeric_limits<std::int64_t>::max());
    ASSERT_TRUE(totals);
    for (const auto& [kind, of_kind] : *totals) entries += of_kind.entries;
    // What was spoiled in place is noticed before it is an answer, but may be counted until then.
    ASSERT_GE(entries, expected.size()) << "step " << step;
    ASSERT_LE(entries, expected.size() + spoiled_.size()) << "step " << step;
    for (const auto& [key, meta] : expected.metas()) {
      const std::optional<Meta> roots = index.roots_of(key);
      ASSERT_TRUE(roots) << "step " << step;
      ASSERT_EQ(roots->file_roots, meta.file_roots);
      ASSERT_EQ(roots->tool_kind, meta.tool_kind);
    }
    if (!chance(50) || matches.empty()) return;
    for (const Key& key : matches) ASSERT_TRUE(store_->remove(key));
    index.removed(matches);
  }

  Random random_;
  std::set<Key> spoiled_;
  std::string outside_ = directory_ / "outside";
};

TEST_P(ToolIndexRandom, AnswersWhatTheReferenceWouldAtEveryStep) {
  random_.seed(static_cast<std::uint64_t>(GetParam()));
  fs::create_directories(real("src/deep"));
  fs::create_directories(real("other"));
  fs::create_directories(outside_);
  std::ofstream{outside_ + "/a.txt"};
  // Two indexes over one database, asked by turns, and one in memory.
  std::vector<std::unique_ptr<StoreIndex>> indexes;
  indexes.push_back(opened());
  indexes.push_back(opened());
  indexes.push_back(opened(true));
  for (int step = 0; step < 700 && !HasFatalFailure(); ++step) {
    for (std::size_t n = below(4); n > 0; --n) change_workspace();
    for (std::size_t n = below(4); n > 0; --n) change_store();
    if (chance(3)) let_settle();
    std::unique_ptr<StoreIndex>& index = indexes[below(indexes.size())];
    if (chance(3)) {
      const bool in_memory = &index == &indexes[2];
      index.reset();
      index = opened(in_memory);
    }
    if (chance(1)) {
      ASSERT_TRUE(index->rebuild());
    }
    compare(*index, step);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ToolIndexRandom, ::testing::Range(1, 7));

}  // namespace
}  // namespace satchel::tool_cache
