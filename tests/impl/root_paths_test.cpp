#include "tool_cache/root_paths.hpp"

#include <gtest/gtest.h>
#include <limits.h>  // NOLINT(modernize-deprecated-headers): PATH_MAX is POSIX
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "surroundings.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;

TEST(RootPathsTest, AreJoinedAsRustJoinsThem) {
  EXPECT_EQ(join_path("/ws", "a/b"), "/ws/a/b");
  EXPECT_EQ(join_path("/ws/", "a"), "/ws/a");
  EXPECT_EQ(join_path("/ws", "/abs"), "/abs");
  EXPECT_EQ(join_path("/ws", ""), "/ws/");
  EXPECT_EQ(join_path("/ws", "../x/./y//"), "/ws/../x/./y//");
  EXPECT_EQ(join_path("", "a"), "a");
  EXPECT_EQ(join_path("/", "a"), "/a");
}

TEST(RootPathsTest, SplitIntoDirectoryAndNameWhereTheLastComponentIsAPlainName) {
  const auto split = split_path("/ws/./src/main.rs");
  ASSERT_TRUE(split);
  EXPECT_EQ(split->directory, "/ws/./src");
  EXPECT_EQ(split->name, "main.rs");
  EXPECT_EQ(split_path("/a")->directory, "/");
  EXPECT_EQ(split_path("//a")->directory, "/");
  for (const char* odd : {"/ws/", "/ws/.", "/ws/..", "/", "relative", ""}) {
    EXPECT_FALSE(split_path(odd)) << odd;
  }
  EXPECT_FALSE(split_path(std::string("/ws/a\0b", 7)));
  EXPECT_FALSE(split_path("/" + std::string(PATH_MAX, 'x')));
}

TEST(RootPathsTest, HaveNoCanonicalFormWhereTheyCannotBeResolved) {
  const core::TemporaryDirectory directory;
  fs::create_symlink("loop", directory / "loop");
  EXPECT_FALSE(canonical_path(directory / "missing"));
  EXPECT_FALSE(canonical_path(directory / "loop"));
  EXPECT_FALSE(canonical_path(directory.path() + std::string("/\0", 2)));
  EXPECT_FALSE(canonical_path("/" + std::string(300, 'x')));
  EXPECT_FALSE(canonical_path("/" + std::string(100'000, 'x')));
  std::string deep = directory.path();
  for (int i = 0; i < 100'000; ++i) deep += "/.";
  EXPECT_EQ(canonical_path(deep), canonical_path(directory.path()));
}

class DirectoryViewTest : public ::testing::Test {
 protected:
  DirectoryViewTest() { fs::create_directory(path_); }
  void let_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }
  [[nodiscard]] bool same(const DirectoryView& view) const {
    return same_directory(path_, view.canonical(), view.stamp(), view.settled());
  }
  core::TemporaryDirectory directory_;
  std::string path_ = fs::canonical(directory_.path()).string() + "/d";
};

TEST_F(DirectoryViewTest, TellsPlainNamesFromLinksAndFromNothing) {
  std::ofstream{path_ + "/file"};
  fs::create_directory(path_ + "/sub");
  fs::create_symlink("file", path_ + "/link");
  fs::create_symlink("gone", path_ + "/dangling");
  const DirectoryView view(path_);
  EXPECT_EQ(view.look("file"), LastComponent::kPlain);
  EXPECT_EQ(view.look("sub"), LastComponent::kPlain);
  EXPECT_EQ(view.look("link"), LastComponent::kLink);
  EXPECT_EQ(view.look("dangling"), LastComponent::kLink);
  EXPECT_EQ(view.look("none"), LastComponent::kMissing);
  EXPECT_EQ(view.look(std::string(300, 'x')), LastComponent::kMissing);
  EXPECT_EQ(view.canonical_of("file"), path_ + "/file");
}

TEST_F(DirectoryViewTest, IsTheSameOnlyOnceItHasSettled) {
  const DirectoryView young(path_);
  EXPECT_FALSE(young.settled());
  EXPECT_FALSE(same(young));
  let_settle();
  const DirectoryView old(path_);
  EXPECT_TRUE(old.settled());
  EXPECT_TRUE(same(old));
}

TEST_F(DirectoryViewTest, IsAnotherWhenANameComesOrGoes) {
  std::ofstream{path_ + "/file"};
  let_settle();
  const DirectoryView before(path_);
  std::ofstream{path_ + "/more"};
  EXPECT_FALSE(same(before));
  let_settle();
  const DirectoryView with_more(path_);
  EXPECT_TRUE(same(with_more));
  fs::remove(path_ + "/file");
  fs::create_symlink("more", path_ + "/file");
  EXPECT_FALSE(same(with_more));
}

TEST_F(DirectoryViewTest, IsAnotherWhenThePathLeadsElsewhere) {
  fs::rename(path_, path_ + "-moved");
  fs::create_directory(path_ + "-other");
  fs::create_directory_symlink(path_ + "-moved", path_);
  let_settle();
  const DirectoryView before(path_);
  ASSERT_TRUE(same(before));
  EXPECT_EQ(before.canonical(), path_ + "-moved");
  fs::remove(path_);
  fs::create_directory_symlink(path_ + "-other", path_);
  EXPECT_FALSE(same(before));
  // The same directory by another name is another canonical path.
  fs::remove(path_);
  fs::rename(path_ + "-moved", path_);
  EXPECT_FALSE(same(before));
}

TEST_F(DirectoryViewTest, IsAnotherWhenADirectoryAboveItHasMoved) {
  fs::create_directory(path_ + "/above");
  fs::create_directory(path_ + "/above/sub");
  fs::create_directory_symlink("above", path_ + "/link");
  let_settle();
  const std::string sub = path_ + "/link/sub";
  const DirectoryView before(sub);
  ASSERT_TRUE(same_directory(sub, before.canonical(), before.stamp(), before.settled()));
  fs::rename(path_ + "/above", path_ + "/moved");
  fs::remove(path_ + "/link");
  fs::create_directory_symlink("moved", path_ + "/link");
  const DirectoryView after(sub);
  EXPECT_EQ(after.stamp(), before.stamp());  // which is why the stamp alone is not enough
  EXPECT_FALSE(same_directory(sub, before.canonical(), before.stamp(), before.settled()));
}

TEST_F(DirectoryViewTest, OfNothingStaysOneUntilThereIsADirectory) {
  fs::remove(path_);
  const DirectoryView nothing(path_);
  EXPECT_TRUE(nothing.reliable());
  EXPECT_FALSE(nothing.canonical());
  EXPECT_EQ(nothing.look("file"), LastComponent::kMissing);
  EXPECT_TRUE(same(nothing));
  std::ofstream{path_};  // a file is no directory
  EXPECT_TRUE(same(nothing));
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_FALSE(same(nothing));
}

}  // namespace
}  // namespace satchel::tool_cache
