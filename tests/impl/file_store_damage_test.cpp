// A store that is damaged, or not what it seems: each has its own answer, the same every time.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>

#include "file_store_fixture.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;

class FileStoreDamage : public FileStoreFixture {};

TEST_F(FileStoreDamage, APayloadThatIsNotWhatItsMetaSaysIsAnIntegrityErrorEveryTime) {
  const auto store = open();
  for (const std::size_t size : {std::size_t{10}, std::size_t{2'000'000}}) {
    persist(*store, key_of("k"), noise(size));
    let_stamps_settle();
    ASSERT_EQ(look(*store, key_of("k")), noise(size));
    write_file(payload_of(key_of("k")), "tampered");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(look(*store, key_of("k")), "(integrity)");
    const core::Result<Stored> found = store->lookup(key_of("k"));
    EXPECT_NE(found.error().message.find(payload_of(key_of("k")).native()), std::string::npos);
    EXPECT_NE(found.error().message.find(key_of("tampered").hex()), std::string::npos);
    EXPECT_EQ(bytes_of(payload_of(key_of("k"))), "tampered") << "nothing is removed";
    EXPECT_TRUE(store->contains(key_of("k")));
    persist(*store, key_of("k"), "good");
    EXPECT_EQ(look(*store, key_of("k")), "good");
  }
}

TEST_F(FileStoreDamage, ASingleBitIsNoticedAndAnEmptyFileToo) {
  const auto store = open();
  persist(*store, key_of("k"), "payload");
  write_file(payload_of(key_of("k")), "paymoad");
  EXPECT_EQ(look(*store, key_of("k")), "(integrity)");
  write_file(payload_of(key_of("k")), "");
  EXPECT_EQ(look(*store, key_of("k")), "(integrity)");
  write_file(payload_of(key_of("k")), "payload");
  EXPECT_EQ(look(*store, key_of("k")), "payload");
}

TEST_F(FileStoreDamage, ATamperingThatSetsTheTimesBackIsNoticed) {
  const auto store = open();
  persist(*store, key_of("k"), "payload");
  let_stamps_settle();
  ASSERT_EQ(look(*store, key_of("k")), "payload");
  const std::int64_t before = core::stamp_of(payload_of(key_of("k")).native())->mtime_ns;
  write_file(payload_of(key_of("k")), "paymoad");
  set_mtime(payload_of(key_of("k")), before);
  EXPECT_EQ(look(*store, key_of("k")), "(integrity)");
}

TEST_F(FileStoreDamage, AMetaThatCannotBeReadIsAMetaErrorEveryTime) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  for (const char* garbage : {"", "garbage", "{\"bytes\":1}"}) {
    write_file(meta_of(key_of("k")), garbage);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(look(*store, key_of("k")), "(meta)");
    EXPECT_NE(store->lookup(key_of("k")).error().message.find(meta_of(key_of("k")).native()),
              std::string::npos);
    EXPECT_EQ(bytes_of(meta_of(key_of("k"))), garbage);
  }
  fs::remove(payload_of(key_of("k")));
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)") << "without a payload there is no entry";
  persist(*store, key_of("k"), "x");
  EXPECT_EQ(look(*store, key_of("k")), "x") << "it can be stored anew";
}

TEST_F(FileStoreDamage, AMetaBeyondAllMeasureIsNotRead) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  fs::resize_file(meta_of(key_of("k")), (std::uintmax_t{64} << 20) + 1);
  EXPECT_EQ(look(*store, key_of("k")), "(meta)");
}

TEST_F(FileStoreDamage, WhatIsNoFileIsAnErrorThatSaysSo) {
  const auto store = open();
  const Key key = key_of("k");
  persist(*store, key, "x");
  fs::remove(payload_of(key));
  fs::create_directory(payload_of(key));
  EXPECT_EQ(look(*store, key), "(cannot read " + payload_of(key).native() + ": Is a directory)");
  EXPECT_FALSE(store->remove(key).ok());
  fs::remove(payload_of(key));
  ASSERT_EQ(mkfifo(payload_of(key).c_str(), 0600), 0);
  write_file(meta_of(key), "{}");
  EXPECT_EQ(look(*store, key), "(" + payload_of(key).native() + " is not a regular file)");
}

// 0: it is, as somebody else than root, who may read everything.
int refuses_what_may_not_be_read(FileStore& store, const Key& key) {
  const core::Result<Stored> found = store.lookup(key);
  if (found.ok()) return 1;
  if (found.error().status != core::Status::kIo) return 2;
  return found.error().os_errno == EACCES ? 0 : 3;
}

TEST_F(FileStoreDamage, WhatMayNotBeReadIsAnError) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  ASSERT_EQ(chmod(payload_of(key_of("k")).c_str(), 0), 0);
  if (geteuid() != 0) {
    EXPECT_EQ(refuses_what_may_not_be_read(*store, key_of("k")), 0);
    return;
  }
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(chown(directory_.path().c_str(), kNobody, kNobody), 0);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory_.path())) {
    ASSERT_EQ(lchown(entry.path().c_str(), kNobody, kNobody), 0);
  }
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(9);
    _exit(refuses_what_may_not_be_read(*store, key_of("k")));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(FileStoreDamage, LinksInTheStoreAreNotFollowed) {
  const auto store = open();
  const Key key = key_of("k");
  persist(*store, key, "x");
  fs::rename(payload_of(key), directory_ / "elsewhere");
  fs::create_symlink(directory_ / "elsewhere", payload_of(key));
  EXPECT_EQ(look(*store, key),
            "(" + payload_of(key).native() + " is a symbolic link, not followed)");
  EXPECT_TRUE(*store->remove(key)) << "the link itself may go";
  EXPECT_EQ(bytes_of(directory_ / "elsewhere"), "x");

  persist(*store, key, "x");
  const std::string shard = shard_of(key).native();
  fs::rename(shard, directory_ / "shard");
  fs::create_directory_symlink(directory_ / "shard", shard);
  const std::string refused = "(" + shard + " is a symbolic link, not followed)";
  EXPECT_EQ(look(*store, key), refused);
  EXPECT_EQ(said(store->persist(key, "y", meta()).error()), refused);
  EXPECT_EQ(said(store->remove(key).error()), refused);
  EXPECT_EQ(said(store->list_shard(key.bytes[0], [](const EntryFiles&) {}).error()), refused);
  EXPECT_FALSE(store->shard_stamp(key.bytes[0]));
  EXPECT_EQ(*store->total_bytes(), 0U);
  EXPECT_EQ(bytes_of(fs::path(directory_ / "shard") / payload_of(key).filename()), "x");
  EXPECT_EQ(staged(), 0U);
}

TEST_F(FileStoreDamage, OurOwnDirectoryIsNoLinkEither) {
  fs::create_directory(root());
  fs::create_directory(directory_ / "trap");
  fs::create_directory_symlink(directory_ / "trap", root() + "/.satchel");
  const auto store = open();
  const core::Result<void> stored = store->persist(key_of("k"), "x", meta());
  ASSERT_FALSE(stored.ok());
  EXPECT_EQ(stored.error().message, root() + "/.satchel is a symbolic link, not followed");
  EXPECT_TRUE(fs::is_empty(directory_ / "trap"));
}

TEST_F(FileStoreDamage, ALargePayloadWrittenToWhileItIsReadIsNoticed) {
  const auto store = open();
  const std::string payload = noise(3'000'000);
  persist(*store, key_of("k"), payload);
  let_stamps_settle();
  core::Result<Stored> stored = store->lookup(key_of("k"));
  ASSERT_TRUE(stored.ok());
  std::string piece(1000, '\0');
  ASSERT_TRUE(stored->payload->read(0, piece.data(), piece.size()).ok());
  {
    std::fstream file(payload_of(key_of("k")), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2'000'000).put(static_cast<char>(~payload[2'000'000]));
  }
  const core::Result<std::size_t> read = stored->payload->read(0, piece.data(), piece.size());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().status, core::Status::kIntegrity);
  EXPECT_EQ(stored->payload->view().error().status, core::Status::kIntegrity);
  fs::resize_file(payload_of(key_of("k")), 5);
  EXPECT_EQ(stored->payload->read(0, piece.data(), piece.size()).error().status,
            core::Status::kIntegrity);
}

// ------------------------------------------------------------------------------------ compressed

class FileStoreCompression : public FileStoreFixture {
 protected:
  std::unique_ptr<FileStore> compressing() {
    FileStore::Options options;
    options.root = root();
    options.compress_min_bytes = 1000;
    return open(std::move(options));
  }
};

TEST_F(FileStoreCompression, TheBytesReturnedAreTheBytesStored) {
  const auto store = compressing();
  for (const std::size_t size :
       {std::size_t{1000}, std::size_t{200'000}, std::size_t{1 << 20}, std::size_t{5'000'000}}) {
    SCOPED_TRACE(size);
    const std::string payload = prose(size);
    persist(*store, key_of("k"), payload);
    EXPECT_LT(fs::file_size(payload_of(key_of("k"))), size / 2);
    core::Result<Stored> stored = store->lookup(key_of("k"));
    ASSERT_TRUE(stored.ok()) << stored.error().message;
    EXPECT_EQ(stored->meta->bytes, size);
    EXPECT_EQ(stored->meta->payload_hash, key_of(payload).hex());
    EXPECT_EQ(stored->payload->size(), size);
    std::string piece(100'000, '\0');
    for (const std::size_t at : {size - 500, std::size_t{0}, size / 3, size / 3 + 10, size}) {
      core::Result<std::size_t> n = stored->payload->read(at, piece.data(), piece.size());
      ASSERT_TRUE(n.ok()) << n.error().message;
      ASSERT_EQ(*n, std::min(piece.size(), size - at));
      EXPECT_EQ(payload.compare(at, *n, piece, 0, *n), 0);
    }
    EXPECT_EQ(*stored->payload->view(), payload);
    EXPECT_EQ(look(*open(), key_of("k")), payload) << "whatever the option says";
    EXPECT_EQ(staged(), 0U);
  }
}

TEST_F(FileStoreCompression, WhatIsShortOrDoesNotGetShorterStaysPlain) {
  const auto store = compressing();
  persist(*store, key_of("short"), prose(999));
  EXPECT_EQ(bytes_of(payload_of(key_of("short"))), prose(999));
  persist(*store, key_of("noise"), noise(500'000));
  EXPECT_EQ(bytes_of(payload_of(key_of("noise"))), noise(500'000));
  EXPECT_EQ(bytes_of(meta_of(key_of("noise"))).find("encoding"), std::string::npos);
  EXPECT_EQ(look(*store, key_of("noise")), noise(500'000));
}

TEST_F(FileStoreCompression, PlainAndCompressedReplaceEachOther) {
  const auto plain = open();
  const auto store = compressing();
  for (int i = 0; i < 3; ++i) {
    persist(*plain, key_of("k"), prose(5000));
    EXPECT_EQ(look(*store, key_of("k")), prose(5000));
    persist(*store, key_of("k"), prose(5000));
    EXPECT_EQ(look(*plain, key_of("k")), prose(5000));
  }
}

TEST_F(FileStoreCompression, DamagedStreamsAreIntegrityErrors) {
  const auto store = compressing();
  for (const std::size_t size : {std::size_t{10'000}, std::size_t{3'000'000}}) {
    persist(*store, key_of("k"), prose(size));
    const std::string good = bytes_of(payload_of(key_of("k")));
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(~flipped[good.size() / 2]);
    std::string unsummed = good;
    unsummed.back() = static_cast<char>(~unsummed.back());
    for (const std::string& bad :
         {std::string(), std::string("no stream"), flipped, unsummed,
          good.substr(0, good.size() / 2), good.substr(0, good.size() - 1)}) {
      write_file(payload_of(key_of("k")), bad);
      EXPECT_EQ(look(*store, key_of("k")), "(integrity)");
    }
    write_file(payload_of(key_of("k")), good);
    EXPECT_EQ(look(*store, key_of("k")), prose(size));
  }
}

TEST_F(FileStoreCompression, AStreamThatInflatesBeyondItsMetaIsCutOff) {
  const auto store = compressing();
  const Key key = key_of("k");
  std::string much;
  much.resize(50'000'000);
  std::string bomb(compressBound(much.size()), '\0');
  uLongf size = bomb.size();
  ASSERT_EQ(compress2(reinterpret_cast<Bytef*>(bomb.data()), &size,
                      reinterpret_cast<const Bytef*>(much.data()), much.size(), 9),
            Z_OK);
  bomb.resize(size);
  for (const std::uint64_t bytes : {0, 1000, 2'000'000}) {
    write_file(payload_of(key), bomb);
    Meta lie = meta();
    lie.payload_hash = key_of(std::string_view(much).substr(0, bytes)).hex();
    lie.bytes = bytes;
    lie.encoding = Encoding::kZlib;
    write_file(meta_of(key), write_meta(lie));
    EXPECT_EQ(look(*store, key), "(integrity)") << bytes;
  }
}

}  // namespace
}  // namespace satchel::tool_cache
