// The roots of an entry, compared all at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fingerprints_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class FirstStaleTest : public FingerprintsTest {
 protected:
  void add(const std::string& name, const std::string& content) {
    expected_.push_back(hash_of(content));
    paths_.push_back(directory_.write(name, content));
  }
  std::vector<ResolvedRoot> roots() const {
    std::vector<ResolvedRoot> roots;
    for (std::size_t i = 0; i < paths_.size(); ++i) roots.push_back({paths_[i], expected_[i]});
    return roots;
  }

  std::vector<std::string> paths_;
  std::vector<std::string> expected_;
};

TEST_F(FirstStaleTest, NoneOfNone) { EXPECT_EQ(fingerprints_->first_stale({}), std::nullopt); }

TEST_F(FirstStaleTest, EachFormIsComparedWithItsOwn) {
  add("a", "hello");
  paths_.push_back(directory_.path());
  expected_.push_back(ask(*fingerprints_, directory_.path(), Form::kDirectory));
  paths_.push_back(paths_[0]);
  expected_.push_back(ask(*fingerprints_, paths_[0], Form::kStat));
  EXPECT_EQ(fingerprints_->first_stale(roots()), std::nullopt);
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    const std::string truth = expected_[i];
    expected_[i].back() = truth.back() == '0' ? '1' : '0';
    EXPECT_EQ(fingerprints_->first_stale(roots()), i);
    expected_[i] = truth;
  }
}

TEST_F(FirstStaleTest, MissingAndUnreadableOnesAreStale) {
  add("a", "hello");
  for (const std::string& path : {directory_.file("none"), directory_.path(), paths_[0] + "/x"}) {
    std::vector<ResolvedRoot> with_it = roots();
    with_it.push_back({path, expected_[0]});
    EXPECT_EQ(fingerprints_->first_stale(with_it), 1U) << path;
  }
}

TEST_F(FirstStaleTest, TheLowestIsFoundAmongRememberedHashedAndMissingOnes) {
  for (int i = 0; i < 6; ++i) add(std::to_string(i), "content " + std::to_string(i));
  let_settle();
  for (const std::size_t known : {1U, 3U, 5U}) ask(*fingerprints_, paths_[known]);
  // Every set of stale ones.
  for (unsigned stale = 0; stale < 64; ++stale) {
    std::vector<ResolvedRoot> mixed = roots();
    std::optional<std::size_t> lowest;
    const std::string wrong(64, '0');
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      if ((stale >> i & 1) == 0) continue;
      if (!lowest) lowest = i;
      if (i == 2) {
        mixed[i].path += ".none";
      } else {
        mixed[i].expected_hash = wrong;
      }
    }
    const auto fresh_memory = make();
    ask(*fresh_memory, paths_[1]);
    EXPECT_EQ(fresh_memory->first_stale(mixed), lowest) << stale;
    EXPECT_EQ(fingerprints_->first_stale(mixed), lowest) << stale;
  }
}

TEST_F(FirstStaleTest, ManyLargeOnesAreHashedByThreads) {
  for (int i = 0; i < 12; ++i) {
    add(std::to_string(i), std::string(300'000, static_cast<char>('a' + i)));
  }
  let_settle();
  EXPECT_EQ(fingerprints_->first_stale(roots()), std::nullopt);
  EXPECT_EQ(fingerprints_->counts().hashed, 12U);
  for (std::size_t stale = 0; stale < paths_.size(); ++stale) {
    std::vector<ResolvedRoot> two = roots();
    two[stale].path = paths_[(stale + 1) % paths_.size()];
    two.back().path = directory_.write("other", std::string(300'000, 'z'));
    const auto fresh_memory = make();
    EXPECT_EQ(fresh_memory->first_stale(two), std::min(stale, paths_.size() - 1));
  }
}

TEST_F(FirstStaleTest, AStaleRememberedOneSparesTheHashingOfThoseAfterIt) {
  SKIP_WHERE_NOTHING_IS_REMEMBERED();
  add("a", "one");
  add("b", "two");
  let_settle();
  ask(*fingerprints_, paths_[0]);
  std::vector<ResolvedRoot> first_wrong = roots();
  first_wrong[0].expected_hash = expected_[1];
  EXPECT_EQ(fingerprints_->first_stale(first_wrong), 0U);
  EXPECT_EQ(fingerprints_->counts().hashed, 1U);
}

}  // namespace
}  // namespace satchel::tool_cache
