// Full disks, shards that are filesystems of their own, and payloads larger than memory should be.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/blake3.hpp"
#include "file_store_fixture.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;

// A small filesystem, as long as it lives; not there where mounting is refused.
class Mounted {
 public:
  Mounted(std::string at, const char* options) : at_(std::move(at)) {
    fs::create_directories(at_);
    mounted_ = mount("tmpfs", at_.c_str(), "tmpfs", 0, options) == 0;
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  ~Mounted() {
    if (mounted_) umount2(at_.c_str(), MNT_DETACH);
  }
  explicit operator bool() const { return mounted_; }

 private:
  std::string at_;
  bool mounted_;
};

class FileStoreSpace : public FileStoreFixture {};

TEST_F(FileStoreSpace, AFullDiskFailsThatPersistAndHarmsNothingElse) {
  const Mounted small(root(), "size=1m");
  if (!small) GTEST_SKIP() << "mounting is refused here";
  const auto store = open();
  persist(*store, key_of("before"), noise(300'000));
  for (const std::size_t size : {std::size_t{2'000'000}, std::size_t{750'000}}) {
    const core::Result<void> stored = store->persist(key_of("k"), noise(size), meta());
    ASSERT_FALSE(stored.ok());
    EXPECT_EQ(stored.error().status, core::Status::kNoSpace);
    EXPECT_EQ(stored.error().os_errno, ENOSPC);
    EXPECT_EQ(stored.error().message.find("cannot write " + root() + "/.satchel/tmp/"), 0U)
        << stored.error().message;
    EXPECT_EQ(staged(), 0U);
    EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
    EXPECT_EQ(look(*store, key_of("before")), noise(300'000));
  }
  core::Result<std::unique_ptr<PayloadWriter>> writer = store->begin(key_of("k"));
  const core::Result<void> written = (*writer)->write(noise(2'000'000));
  EXPECT_EQ(written.error().status, core::Status::kNoSpace);
  EXPECT_EQ(staged(), 0U) << "the space is given back at once";
  EXPECT_EQ((*writer)->commit(meta()).error().status, core::Status::kNoSpace);
  persist(*store, key_of("k"), "there is room for this");
  EXPECT_EQ(look(*store, key_of("k")), "there is room for this");
}

TEST_F(FileStoreSpace, ADiskWithoutInodesIsFullToo) {
  const Mounted small(root(), "nr_inodes=12");
  if (!small) GTEST_SKIP() << "mounting is refused here";
  const auto store = open();
  core::Result<void> stored;
  for (int i = 0; stored.ok() && i < 20; ++i) {
    stored = store->persist(key_of(std::to_string(i)), "x", meta());
  }
  ASSERT_FALSE(stored.ok());
  EXPECT_EQ(stored.error().status, core::Status::kNoSpace);
  EXPECT_EQ(look(*store, key_of("0")), "x");
  EXPECT_TRUE(store->sweep(0).ok());
  EXPECT_EQ(staged(), 0U);
}

TEST_F(FileStoreSpace, AShardMayBeAFilesystemOfItsOwn) {
  const Key key = key_of("k");
  const Mounted shard(shard_of(key).native(), "size=1m");
  if (!shard) GTEST_SKIP() << "mounting is refused here";
  const auto store = open();
  for (const char* payload : {"one", "two"}) {
    persist(*store, key, payload);
    EXPECT_EQ(look(*store, key), payload);
    EXPECT_EQ(std::distance(fs::directory_iterator(shard_of(key)), {}), 2);
    EXPECT_EQ(staged(), 0U);
  }
  EXPECT_EQ(said(store->persist(key, noise(2'000'000), meta()).error()), "(no space)");
  EXPECT_EQ(look(*store, key), "two");
  EXPECT_EQ(*store->sweep(0), 0U);
}

TEST_F(FileStoreSpace, AFilesystemWhoseStampsTellTooLittleIsReadEveryTime) {
  const core::TemporaryDirectory unused;
  if (!fs::exists("/dev/shm")) GTEST_SKIP() << "no tmpfs here";
  const fs::path place = "/dev/shm/satchel-test-" + std::to_string(getpid());
  FileStore::Options options;
  options.root = place;
  const auto store = open(options);
  persist(*store, key_of("k"), "x");
  let_stamps_settle();
  const core::Result<Stored> first = store->lookup(key_of("k"));
  const core::Result<Stored> second = store->lookup(key_of("k"));
  EXPECT_NE(first->payload, second->payload);
  fs::remove_all(place);
}

long peak_kilobytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// In and out in pieces, and never the whole of it in memory.
void stream_through(FileStore& store, std::uint64_t size) {
  const Key key = key_of("large");
  const std::string piece = noise(1 << 20);
  core::Blake3 expected;
  [[maybe_unused]] const long before = peak_kilobytes();
  {
    core::Result<std::unique_ptr<PayloadWriter>> writer = store.begin(key);
    ASSERT_TRUE(writer.ok());
    for (std::uint64_t written = 0; written < size; written += piece.size()) {
      ASSERT_TRUE((*writer)->write(piece).ok());
      expected.update(piece);
    }
    Meta meta;
    meta.tool_kind = "read";
    ASSERT_TRUE((*writer)->commit(meta).ok());
  }
  core::Result<Stored> stored = store.lookup(key);
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  ASSERT_EQ(stored->payload->size(), size);
  core::Blake3 actual;
  std::string out(1 << 20, '\0');
  for (std::uint64_t at = 0;;) {
    core::Result<std::size_t> n = stored->payload->read(at, out.data(), out.size());
    ASSERT_TRUE(n.ok());
    if (*n == 0) break;
    actual.update(std::string_view(out).substr(0, *n));
    at += *n;
  }
  EXPECT_EQ(actual.digest(), expected.digest());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(peak_kilobytes() - before, 16 << 10);
#endif
}

TEST_F(FileStoreSpace, ALargePayloadStreamsInAndOutWithoutACopyOfTheWhole) {
  const auto store = open();
  stream_through(*store, std::uint64_t{64} << 20);
  FileStore::Options options;
  options.root = root();
  options.compress_min_bytes = 1;
  stream_through(*open(options), std::uint64_t{64} << 20);
}

// 1 GiB: run with --gtest_also_run_disabled_tests.
TEST_F(FileStoreSpace, DISABLED_AGibibyteStreamsInAndOutWithoutACopyOfTheWhole) {
  const auto store = open();
  stream_through(*store, std::uint64_t{1} << 30);
}

}  // namespace
}  // namespace satchel::tool_cache
