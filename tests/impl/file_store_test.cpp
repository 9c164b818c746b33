#include "tool_cache/file_store.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "file_store_fixture.hpp"

namespace satchel::tool_cache {
namespace {

namespace fs = std::filesystem;

class FileStoreTest : public FileStoreFixture {};

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
}

TEST_F(FileStoreTest, WhatWasStoredIsFoundByteForByte) {
  const auto store = open();
  const std::string payload("hello\0 world\xff", 13);
  Meta given = meta();
  given.file_roots = {{"a.txt", "h"}};
  given.upstream_keys = {"not a key"};
  persist(*store, key_of("k"), payload, given);
  core::Result<Stored> stored = store->lookup(key_of("k"));
  ASSERT_TRUE(stored.ok());
  ASSERT_NE(stored->meta, nullptr);
  EXPECT_EQ(*stored->payload->view(), payload);
  EXPECT_EQ(stored->meta->bytes, payload.size());
  EXPECT_EQ(stored->meta->tool_kind, "read");
  EXPECT_EQ(stored->meta->file_roots, given.file_roots);
  EXPECT_EQ(stored->meta->upstream_keys, given.upstream_keys);
  EXPECT_EQ(stored->meta->payload_hash, key_of(payload).hex());
  EXPECT_TRUE(store->contains(key_of("k")));
}

TEST_F(FileStoreTest, WhatWasNeverStoredIsNotThere) {
  const auto store = open();
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
  EXPECT_FALSE(store->contains(key_of("k")));
  EXPECT_FALSE(*store->remove(key_of("k")));
  EXPECT_EQ(*store->total_bytes(), 0U);
}

TEST_F(FileStoreTest, TheFilesAreThoseOfTheReference) {
  const auto store = open();
  Meta given = meta("bash");
  given.file_roots = {{"a.txt", "h"}};
  persist(*store, key_of("k"), "payload", given);
  EXPECT_EQ(bytes_of(payload_of(key_of("k"))), "payload");
  EXPECT_EQ(bytes_of(meta_of(key_of("k"))),
            R"({"payload_hash":")" + key_of("payload").hex() +
                R"(","bytes":7,"tool_kind":"bash","file_roots":[{"path":"a.txt",)"
                R"("expected_hash":"h"}],"upstream_keys":[]})");
  EXPECT_EQ(std::distance(fs::directory_iterator(shard_of(key_of("k"))), {}), 2);
  EXPECT_EQ(staged(), 0U);
  // What is ours lies where the reference counts nothing.
  for (const fs::directory_entry& entry : fs::directory_iterator(root() + "/.satchel")) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
  EXPECT_EQ(*store->total_bytes(),
            fs::file_size(payload_of(key_of("k"))) + fs::file_size(meta_of(key_of("k"))));
}

TEST_F(FileStoreTest, AStoreOfTheReferenceIsReadAsItIs) {
  const Key key = key_of("k");
  write_file(payload_of(key), "from elsewhere");
  write_file(meta_of(key), R"({ "tool_kind":"read", "bytes":3, "future":1,
      "payload_hash":")" + key_of("from elsewhere").hex() +
                               "\"}");
  ASSERT_EQ(chmod(shard_of(key).c_str(), 0755), 0);
  const auto store = open();
  EXPECT_EQ(look(*store, key), "from elsewhere");
  EXPECT_EQ(store->lookup(key)->payload->size(), 14U) << "bytes is not what is believed";
  EXPECT_FALSE(fs::exists(root() + "/.satchel")) << "reading leaves nothing behind";
  persist(*store, key, "ours");
  EXPECT_EQ(mode_of(shard_of(key)), 0755U) << "directories stay as they are";
  EXPECT_EQ(look(*store, key), "ours");
}

TEST_F(FileStoreTest, WhatIsMadeIsPrivate) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  EXPECT_EQ(mode_of(root()), 0700U);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root())) {
    EXPECT_EQ(mode_of(entry.path()), entry.is_directory() ? 0700U : 0600U) << entry.path();
  }
}

TEST_F(FileStoreTest, WhatRootMakesInAnotherUsersStoreIsThatUsers) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  fs::create_directory(root());
  ASSERT_EQ(chown(root().c_str(), 12345, 12345), 0);
  const auto store = open();
  persist(*store, key_of("k"), "x");
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root())) {
    struct stat status {};
    ASSERT_EQ(lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 12345U) << entry.path();
  }
}

TEST_F(FileStoreTest, HalfAnEntryIsNone) {
  const auto store = open();
  for (const bool payload : {true, false}) {
    persist(*store, key_of("k"), "x");
    fs::remove(payload ? payload_of(key_of("k")) : meta_of(key_of("k")));
    EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
    EXPECT_FALSE(store->contains(key_of("k")));
    EXPECT_TRUE(*store->remove(key_of("k"))) << "something was there";
    EXPECT_TRUE(fs::is_empty(shard_of(key_of("k"))));
  }
}

TEST_F(FileStoreTest, AnEntryThatWasRemovedIsGoneInMemoryToo) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  let_stamps_settle();
  EXPECT_EQ(look(*store, key_of("k")), "x");
  EXPECT_TRUE(*store->remove(key_of("k")));
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
  EXPECT_FALSE(fs::exists(payload_of(key_of("k"))) || fs::exists(meta_of(key_of("k"))));
}

TEST_F(FileStoreTest, OthersChangesAreSeenAtOnce) {
  const auto store = open();
  const auto other = open();
  persist(*store, key_of("k"), "one");
  let_stamps_settle();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(look(*store, key_of("k")), "one");
  persist(*other, key_of("k"), "two");
  EXPECT_EQ(look(*store, key_of("k")), "two");
  Meta changed = meta("bash");
  persist(*other, key_of("k"), "two", changed);
  EXPECT_EQ(store->lookup(key_of("k"))->meta->tool_kind, "bash");
  let_stamps_settle();
  EXPECT_EQ(look(*store, key_of("k")), "two");
  ASSERT_TRUE(*other->remove(key_of("k")));
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
}

TEST_F(FileStoreTest, AStoreThatWasRemovedAsAWholeIsMadeAnew) {
  const auto store = open();
  persist(*store, key_of("k"), "x");
  fs::remove_all(root());
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
  EXPECT_EQ(*store->total_bytes(), 0U);
  EXPECT_EQ(*store->sweep(0), 0U);
  persist(*store, key_of("k"), "y");
  EXPECT_EQ(look(*store, key_of("k")), "y");
}

TEST_F(FileStoreTest, APayloadMayBeWrittenInPieces) {
  const auto store = open();
  const std::string payload = noise(300'000);
  core::Result<std::unique_ptr<PayloadWriter>> writer = store->begin(key_of("k"));
  ASSERT_TRUE(writer.ok());
  for (std::size_t at = 0, piece = 1; at < payload.size(); at += piece, piece *= 3) {
    ASSERT_TRUE((*writer)->write(std::string_view(payload).substr(at, piece)).ok());
  }
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
  core::Result<std::shared_ptr<const Meta>> stored = (*writer)->commit(meta());
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ((*stored)->bytes, payload.size());
  EXPECT_EQ((*stored)->payload_hash, key_of(payload).hex());
  EXPECT_EQ(look(*store, key_of("k")), payload);
  EXPECT_EQ((*writer)->commit(meta()).error().status, core::Status::kState);
  EXPECT_EQ((*writer)->write("x").error().status, core::Status::kState);
}

TEST_F(FileStoreTest, WhatIsNotCommittedLeavesNothing) {
  const auto store = open();
  {
    core::Result<std::unique_ptr<PayloadWriter>> writer = store->begin(key_of("k"));
    ASSERT_TRUE((*writer)->write(noise(300'000)).ok());
    EXPECT_EQ(staged(), 1U);
    EXPECT_EQ(*store->sweep(0), 0U) << "it is being written";
  }
  EXPECT_EQ(staged(), 0U);
  EXPECT_EQ(look(*store, key_of("k")), "(nothing)");
}

TEST_F(FileStoreTest, PayloadsOfEverySizeAreReadFromAnyPlace) {
  const auto store = open();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{64 << 10}, std::size_t{1 << 20},
        std::size_t{(1 << 20) + 1}, std::size_t{5'000'000}}) {
    SCOPED_TRACE(size);
    const std::string payload = noise(size, size);
    persist(*store, key_of("k"), payload);
    core::Result<Stored> stored = store->lookup(key_of("k"));
    ASSERT_TRUE(stored.ok());
    Payload& found = *stored->payload;
    EXPECT_EQ(found.size(), size);
    std::string piece(100'000, '\0');
    for (const std::size_t at : {std::size_t{0}, size / 2, size - size / 7, size, size + 1}) {
      core::Result<std::size_t> n = found.read(at, piece.data(), piece.size());
      ASSERT_TRUE(n.ok());
      ASSERT_EQ(*n, at >= size ? 0 : std::min(piece.size(), size - at));
      EXPECT_EQ(payload.substr(std::min(at, size), *n), piece.substr(0, *n));
    }
    core::Result<std::string_view> view = found.view();
    ASSERT_TRUE(view.ok());
    EXPECT_EQ(*view, payload);
  }
}

TEST_F(FileStoreTest, APayloadInHandSurvivesItsEntry) {
  const auto store = open();
  for (const std::size_t size : {std::size_t{1000}, std::size_t{3'000'000}}) {
    const std::string payload = noise(size);
    persist(*store, key_of("k"), payload);
    core::Result<Stored> stored = store->lookup(key_of("k"));
    ASSERT_TRUE(stored.ok());
    persist(*store, key_of("k"), "another");
    std::string piece(500, '\0');
    ASSERT_EQ(*stored->payload->read(size - 500, piece.data(), 500), 500U);
    EXPECT_EQ(piece, payload.substr(size - 500));
    ASSERT_TRUE(store->remove(key_of("k")).ok());
    EXPECT_EQ(*stored->payload->view(), payload);
  }
}

TEST_F(FileStoreTest, MemoryIsBoundedAndMayBeNone) {
  FileStore::Options options;
  options.root = root();
  options.memory_bytes = 0;
  const auto store = open(options);
  persist(*store, key_of("k"), "x");
  let_stamps_settle();
  const core::Result<Stored> first = store->lookup(key_of("k"));
  const core::Result<Stored> second = store->lookup(key_of("k"));
  EXPECT_NE(first->payload, second->payload);
  const auto with_memory = open();
  const core::Result<Stored> third = with_memory->lookup(key_of("k"));
  const core::Result<Stored> fourth = with_memory->lookup(key_of("k"));
  EXPECT_EQ(third->payload, fourth->payload) << "not read again";
  EXPECT_EQ(third->meta, fourth->meta);
}

TEST_F(FileStoreTest, WhatWasJustWrittenIsNotBelievedToStay) {
  const auto store = open();
  persist(*store, key_of("k"), "one");
  const core::Result<Stored> first = store->lookup(key_of("k"));
  const core::Result<Stored> second = store->lookup(key_of("k"));
  EXPECT_NE(first->payload, second->payload);
}

TEST_F(FileStoreTest, ShardsAreListedWithTheirStamps) {
  const auto store = open();
  const Key whole = key_of("whole");
  persist(*store, whole, "x");
  const int shard = whole.bytes[0];
  Key half = whole;
  half.bytes[31] ^= 1;
  write_file(meta_of(half), "{}");
  Key misplaced = whole;
  misplaced.bytes[0] ^= 1;
  write_file(shard_of(whole) / (misplaced.hex() + ".payload"), "x");
  write_file(shard_of(whole) / ".verdant-tmp-1-1", "x");
  write_file(shard_of(whole) / (std::string(64, 'A') + ".payload"), "x");
  std::map<Key, EntryFiles> listed;
  ASSERT_TRUE(
      store->list_shard(shard, [&](const EntryFiles& entry) { listed[entry.key] = entry; }).ok());
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed.at(whole).meta, store->meta_stamp(whole));
  EXPECT_EQ(listed.at(whole).payload, core::stamp_of(payload_of(whole).native()));
  EXPECT_FALSE(listed.at(half).payload);
  EXPECT_TRUE(listed.at(half).meta);
  EXPECT_EQ(store->shard_stamp(shard), core::stamp_of(shard_of(whole).native()));
  EXPECT_FALSE(store->shard_stamp(shard ^ 1));
  EXPECT_TRUE(store->list_shard(shard ^ 1, [](const EntryFiles&) { FAIL(); }).ok());
}

TEST_F(FileStoreTest, MetaIsReadWithTheStampOfItsFile) {
  const auto store = open();
  persist(*store, key_of("k"), "x", meta("grep"));
  const auto read = store->read_meta_file(key_of("k"));
  ASSERT_TRUE(read.ok() && *read);
  EXPECT_EQ((*read)->meta.tool_kind, "grep");
  EXPECT_EQ((*read)->stamp, *store->meta_stamp(key_of("k")));
  EXPECT_FALSE(*store->read_meta_file(key_of("other")));
  write_file(meta_of(key_of("k")), "garbage");
  EXPECT_EQ(store->read_meta_file(key_of("k")).error().status, core::Status::kMeta);
}

TEST_F(FileStoreTest, EveryReadableMetaIsVisited) {
  const auto store = open();
  std::set<Key> expected;
  for (int i = 0; i < 50; ++i) {
    const Key key = key_of(std::to_string(i));
    persist(*store, key, "x");
    if (i % 5 == 0) fs::remove(payload_of(key));
    if (i % 7 == 0) write_file(meta_of(key), "garbage");
    if (i % 7 != 0) expected.insert(key);
  }
  std::set<Key> visited;
  ASSERT_TRUE(store->iterate([&](const Key& key, const Meta&) { visited.insert(key); }).ok());
  EXPECT_EQ(visited, expected);
}

TEST_F(FileStoreTest, ARootThatIsALinkIsWhatItPointsTo) {
  fs::create_directory(directory_ / "real");
  fs::create_directory_symlink(directory_ / "real", root());
  const auto store = open();
  persist(*store, key_of("k"), "x");
  EXPECT_EQ(look(*store, key_of("k")), "x");
  EXPECT_EQ(store->root(), directory_ / "real");
}

TEST_F(FileStoreTest, ARootMustBeAbsoluteAndADirectory) {
  FileStore::Options options;
  options.root = "relative";
  EXPECT_EQ(FileStore::open(options, log_).error().status, core::Status::kArgument);
  write_file(root(), "a file");
  options.root = root();
  const auto opened = FileStore::open(options, log_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().status, core::Status::kIo);
  EXPECT_EQ(opened.error().message, root() + " is not a directory");
}

}  // namespace
}  // namespace satchel::tool_cache
