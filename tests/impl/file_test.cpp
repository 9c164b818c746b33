#include "core/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "index_fixture.hpp"

namespace satchel::core {
namespace {

namespace fs = std::filesystem;
using prompt_cache::TemporaryDirectory;

unsigned mode_of(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
}

TEST(File, APrivateDirectoryIsMadeWithItsParents) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(make_private_directory(directory / "a/b//c/").ok());
  for (const char* name : {"a", "a/b", "a/b/c"}) EXPECT_EQ(mode_of(directory / name), 0700U);
  EXPECT_TRUE(make_private_directory(directory / "a/b/c").ok());
}

TEST(File, ADirectoryThatExistsKeepsItsMode) {
  const TemporaryDirectory directory;
  ASSERT_EQ(mkdir((directory / "a").c_str(), 0700), 0);
  ASSERT_EQ(chmod((directory / "a").c_str(), 0755), 0);
  EXPECT_TRUE(make_private_directory(directory / "a").ok());
  EXPECT_EQ(mode_of(directory / "a"), 0755U);
}

TEST(File, WhatIsNoDirectoryIsNamedInTheError) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file").put('x');
  fs::create_directory(directory / "real");
  fs::create_directory_symlink(directory / "real", directory / "link");
  const Result<void> file = make_private_directory(directory / "file");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message, directory / "file" + " is not a directory");
  EXPECT_EQ(file.error().os_errno, ENOTDIR);
  const Result<void> below = make_private_directory(directory / "file/below");
  ASSERT_FALSE(below.ok());
  EXPECT_EQ(below.error().os_errno, ENOTDIR);
  const Result<void> link = make_private_directory(directory / "link/");
  ASSERT_FALSE(link.ok());
  EXPECT_EQ(link.error().message, directory / "link" + " is a symbolic link, not followed");
  EXPECT_FALSE(make_private_directory("").ok());
}

TEST(File, APrivateFileIsMadeOnceAndOpenedAgain) {
  const TemporaryDirectory directory;
  const Result<UniqueFd> made = open_private_file(directory / "file");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(mode_of(directory / "file"), 0600U);
  const Result<UniqueFd> again = open_private_file(directory / "file");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(file_identity(made->get()), file_identity(again->get()));
  EXPECT_EQ(file_identity(made->get()), file_facts(directory / "file").identity);
  EXPECT_FALSE(create_private_file(directory / "file").ok());
  EXPECT_TRUE(create_private_file(directory / "other").ok());
}

TEST(File, NothingIsOpenedThroughASymbolicLinkOrAsAnythingButAFile) {
  const TemporaryDirectory directory;
  fs::create_symlink(directory / "target", directory / "link");
  ASSERT_EQ(mkfifo((directory / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(open_private_file(directory / "link").error().os_errno, ELOOP);
  EXPECT_FALSE(create_private_file(directory / "link").ok());
  EXPECT_FALSE(open_private_file(directory / "fifo").ok());
  EXPECT_FALSE(open_private_file(directory.path()).ok());
  std::ofstream(directory / "precious").put('x');
  fs::create_hard_link(directory / "precious", directory / "second");
  EXPECT_FALSE(open_private_file(directory / "second").ok());
  EXPECT_FALSE(fs::exists(directory / "target"));
  EXPECT_EQ(file_facts(directory / "link").kind, FileKind::kSymlink);
  EXPECT_EQ(file_facts(directory / "fifo").kind, FileKind::kOther);
  EXPECT_EQ(file_facts(directory.path()).kind, FileKind::kDirectory);
  EXPECT_EQ(file_facts(directory / "none").kind, FileKind::kAbsent);
}

TEST(File, WhatRootMakesInAnotherUsersDirectoryIsThatUsers) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const TemporaryDirectory directory;
  ASSERT_EQ(chown(directory.path().c_str(), 65534, 65534), 0);
  ASSERT_TRUE(create_private_file(directory / "file").ok());
  struct stat status {};
  ASSERT_EQ(lstat((directory / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 65534U);
  EXPECT_EQ(status.st_gid, 65534U);
}

class FileLock : public testing::Test {
 protected:
  UniqueFd open() { return std::move(open_private_file(directory_ / "lock").value()); }
  TemporaryDirectory directory_;
};

TEST_F(FileLock, ExcludesAnotherDescriptorOfTheSameProcess) {
  const UniqueFd first = open();
  const UniqueFd second = open();
  EXPECT_EQ(lock_range(first.get(), LockKind::kExclusive, 5, 1), 0);
  EXPECT_EQ(lock_range(second.get(), LockKind::kExclusive, 5, 1), EAGAIN);
  EXPECT_EQ(lock_range(second.get(), LockKind::kShared, 5, 1), EAGAIN);
  EXPECT_EQ(lock_range(second.get(), LockKind::kExclusive, 6, 1), 0);
  EXPECT_EQ(lock_range(first.get(), LockKind::kShared, 5, 1), 0);
  EXPECT_EQ(lock_range(second.get(), LockKind::kShared, 5, 1), 0);
  EXPECT_EQ(lock_range(first.get(), LockKind::kNone, 5, 1), 0);
  EXPECT_EQ(lock_range(second.get(), LockKind::kExclusive, 5, 1), 0);
}

TEST_F(FileLock, OutlivesTheClosingOfAnotherDescriptor) {
  const UniqueFd first = open();
  ASSERT_EQ(lock_range(first.get(), LockKind::kExclusive, 0, 1), 0);
  open().reset();
  EXPECT_EQ(lock_range(open().get(), LockKind::kExclusive, 0, 1), EAGAIN);
}

TEST_F(FileLock, TellsWhatOthersHoldAndNotWhatOneHoldsOneself) {
  const UniqueFd first = open();
  const UniqueFd second = open();
  int os_errno = -1;
  EXPECT_EQ(lock_of_others(first.get(), 0, 1, &os_errno), LockKind::kNone);
  EXPECT_EQ(os_errno, 0);
  ASSERT_EQ(lock_range(first.get(), LockKind::kShared, 0, 1), 0);
  EXPECT_EQ(lock_of_others(first.get(), 0, 1, &os_errno), LockKind::kNone);
  EXPECT_EQ(lock_of_others(second.get(), 0, 1, &os_errno), LockKind::kShared);
  ASSERT_EQ(lock_range(first.get(), LockKind::kExclusive, 0, 1), 0);
  EXPECT_EQ(lock_of_others(second.get(), 0, 1, &os_errno), LockKind::kExclusive);
  EXPECT_EQ(lock_of_others(-1, 0, 1, &os_errno), LockKind::kNone);
  EXPECT_EQ(os_errno, EBADF);
}

TEST_F(FileLock, AForkedChildHoldsNoneThatWasMarked) {
  UniqueFd marked = open();
  const UniqueFd unmarked = open();
  bool closed_in_child = false;
  {
    const ClosedInChild guard(marked.get());
    const pid_t child = fork();
    if (child == 0) {
      const bool closed = fcntl(marked.get(), F_GETFD) == -1;
      const bool open = fcntl(unmarked.get(), F_GETFD) != -1;
      _exit(closed && open ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    closed_in_child = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  EXPECT_TRUE(closed_in_child);
  const pid_t child = fork();
  if (child == 0) _exit(fcntl(marked.get(), F_GETFD) != -1 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace satchel::core
