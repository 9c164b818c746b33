// Whatever happens to the index - gone, cut short, noise, an old copy, no place to write - the next
// answer is right.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGXFSZ is POSIX
#include <sys/resource.h>
#include <sys/stat.h>

#include <functional>
#include <random>
#include <thread>

#include "sqlite_shell.hpp"
#include "tool_index_fixture.hpp"

namespace satchel::tool_cache {
namespace {

using prompt_cache::SqliteShell;

class ToolIndexFaultTest : public ToolIndexFixture {
 protected:
  ToolIndexFaultTest() {
    for (std::uint64_t n = 0; n < 60; ++n) {
      std::vector<Key> upstreams;
      if (n > 0) upstreams.push_back(key_number(n / 2));
      foreign_.put(key_number(n), meta_with({"f" + std::to_string(n % 4)}, upstreams));
    }
  }

  void expect_right_answers(StoreIndex& index, const std::string& what) {
    const PlainStore expected = plain();
    for (const char* path : {"f0", "f1", "f2", "f3", "f4"}) {
      ASSERT_EQ(with_root(index, path), expected.with_root(path)) << what << ", " << path;
    }
    ASSERT_EQ(dependents(index, {key_number(3)}), expected.dependents({key_number(3)})) << what;
  }
  // Something that an index from before does not know.
  void change_store() {
    const std::uint64_t n = changes_++;
    foreign_.remove(key_number(n % 60));
    foreign_.put(key_number((n + 7) % 60),
                 meta_with({"f" + std::to_string((n + 1) % 5)}, {key_number((n + 20) % 60)}));
    foreign_.put(key_number(1000 + n), meta_with({"f4"}, {key_number(3)}));
  }

  // Does it to an index that is closed, and to one that is open.
  void survives(const std::string& what, const std::function<void()>& harm) {
    {
      auto index = opened();
      expect_right_answers(*index, what + ", before");
    }
    let_settle();
    ASSERT_TRUE(opened()->refresh());
    harm();
    change_store();
    {
      auto index = opened();
      expect_right_answers(*index, what + ", closed");
    }
    let_settle();
    auto index = opened();
    expect_right_answers(*index, what + ", opened again");
    let_settle();
    harm();
    change_store();
    expect_right_answers(*index, what + ", open");
    index.reset();
    expect_right_answers(*opened(), what + ", afterwards");
  }

  void write_noise(const std::string& path, std::uint64_t from, std::uint64_t count) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(from));
    for (; count > 0; --count) file.put(static_cast<char>(random_()));
  }

  std::uint64_t changes_ = 0;
  std::mt19937_64 random_{7};
};

TEST_F(ToolIndexFaultTest, SurvivesTheLossOfEachOfItsFiles) {
  survives("all gone", [&] { fs::remove_all(index_path()); });
  survives(".satchel gone", [&] { fs::remove_all(store_path() + "/.satchel"); });
  for (const char* file : {".db", ".db-wal", ".db-shm", ".db.seal", ".lock"}) {
    survives(std::string(file) + " gone", [&] { fs::remove(index_path() + "/tool_cache" + file); });
  }
}

TEST_F(ToolIndexFaultTest, SurvivesFilesThatAreCutShort) {
  for (const char* file : {".db", ".db-wal", ".db-shm", ".db.seal"}) {
    for (const int share : {0, 1, 2}) {
      survives(std::string(file) + " cut short", [&] {
        const std::string path = index_path() + "/tool_cache" + file;
        if (fs::exists(path))
          fs::resize_file(path, fs::file_size(path) * static_cast<unsigned>(share) / 3);
      });
    }
  }
}

TEST_F(ToolIndexFaultTest, SurvivesNoise) {
  for (const char* file : {".db", ".db.seal"}) {
    const std::string path = index_path() + "/tool_cache" + file;
    survives(std::string(file) + " all noise", [&] { write_noise(path, 0, fs::file_size(path)); });
    for (int i = 0; i < 6; ++i) {
      survives(std::string(file) + " with some noise", [&] {
        const std::uint64_t size = std::max<std::uint64_t>(fs::file_size(path), 1);
        write_noise(path, random_() % size, 1 + random_() % 3000);
      });
    }
  }
}

// Rows that SQLite reads without complaint, and that are wrong.
TEST_F(ToolIndexFaultTest, SurvivesBytesThatChangedInsideItsRows) {
  const Key upstream = key_number(9000);
  const std::string needle(reinterpret_cast<const char*>(upstream.bytes.data()), 32);
  foreign_.put(key_number(77), meta_with({}, {upstream}));
  const auto spoil = [&] {
    std::ifstream in(database_path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    std::size_t found = 0;
    for (std::size_t at = 0; (at = bytes.find(needle, at)) != std::string::npos; ++found) {
      bytes[at + 5] = static_cast<char>(bytes[at + 5] ^ 1);
    }
    ForeignWriter::in_place(database_path(), bytes);
    return found;
  };
  for (const bool open : {false, true}) {
    {
      auto index = opened();
      ASSERT_EQ(dependents(*index, {upstream}).size(), 1U);
      let_settle();
      ASSERT_TRUE(index->refresh());
    }
    auto index = open ? opened() : nullptr;
    let_settle();
    ASSERT_GT(spoil(), 0U);
    if (!open) index = opened();
    EXPECT_EQ(dependents(*index, {upstream}).size(), 1U) << open;
  }
}

TEST_F(ToolIndexFaultTest, SurvivesAnOldCopyOfItself) {
  { expect_right_answers(*opened(), "before"); }
  const std::string copy = directory_ / "copy";
  fs::copy(index_path(), copy, fs::copy_options::recursive);
  survives("an old copy", [&] {
    fs::remove_all(index_path());
    fs::copy(copy, index_path(), fs::copy_options::recursive);
  });
  survives("an old copy written over it", [&] {
    for (const auto& file : fs::directory_iterator(copy)) {
      std::ifstream from(file.path(), std::ios::binary);
      std::ofstream(index_path() + "/" + file.path().filename().string(), std::ios::binary)
          << from.rdbuf();
    }
  });
}

TEST_F(ToolIndexFaultTest, ACopyOfAStoreDoesNotBelieveTheIndexThatCameWithIt) {
  { expect_right_answers(*opened(), "before"); }
  const std::string copy = directory_ / "copy";
  ASSERT_EQ(std::system(("cp -a " + store_path() + " " + copy).c_str()), 0);
  fs::remove_all(store_path());
  fs::rename(copy, store_path());
  change_store();
  expect_right_answers(*opened(), "a copy");
}

TEST_F(ToolIndexFaultTest, ADatabaseOfSomebodyElseIsSetAside) {
  fs::create_directories(index_path());
  {
    SqliteShell shell(database_path());
    ASSERT_EQ(shell.execute("CREATE TABLE theirs(x)"), SQLITE_OK);
  }
  auto index = opened();
  expect_right_answers(*index, "somebody else's");
  EXPECT_EQ(index->describe(), "sqlite " + database_path());
  EXPECT_EQ(log_.count("was set aside"), 1U);
  EXPECT_EQ(SqliteShell(database_path() + ".damaged").number("SELECT count(*) FROM theirs"), 0);
}

TEST_F(ToolIndexFaultTest, ReadingItWithTheShellCostsNoAnswer) {
  auto index = opened();
  expect_right_answers(*index, "before");
  {
    SqliteShell shell(database_path());
    EXPECT_EQ(shell.number("SELECT count(*) FROM entries"), 60);
  }
  change_store();
  expect_right_answers(*index, "read meanwhile");
  EXPECT_EQ(log_.count("warn"), 0U) << log_.all();
  index.reset();
  SqliteShell(database_path()).execute("PRAGMA wal_checkpoint(TRUNCATE)");
  change_store();
  expect_right_answers(*opened(), "a checkpoint of theirs");
}

TEST_F(ToolIndexFaultTest, WhereNothingCanBeWrittenMemoryTakesItsPlaceUntilItCan) {
  fs::create_directories(store_path() + "/.satchel");
  ForeignWriter::in_place(index_path(), "a file where the directory should be");
  auto index = opened();
  expect_right_answers(*index, "no directory");
  change_store();
  expect_right_answers(*index, "no directory");
  EXPECT_EQ(index->describe().rfind("memory, because ", 0), 0U) << index->describe();
  EXPECT_EQ(log_.count("is out of use"), 1U) << log_.all();
  fs::remove(index_path());
  change_store();
  expect_right_answers(*index, "a place, but not yet");
  EXPECT_EQ(index->describe().rfind("memory", 0), 0U);
  clock_.advance(61 * core::kNanosPerSecond);
  change_store();
  expect_right_answers(*index, "a place");
  EXPECT_EQ(index->describe(), "sqlite " + database_path());
  EXPECT_EQ(log_.count("is in use again"), 1U) << log_.all();
}

TEST_F(ToolIndexFaultTest, AFullDiskCostsNoAnswer) {
  auto index = opened();
  expect_right_answers(*index, "before");
  ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  // The WAL cannot grow, and nothing can come into the database.
  const struct rlimit tight { fs::file_size(database_path() + "-wal"), before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  for (int i = 0; i < 5; ++i) {
    change_store();
    expect_right_answers(*index, "full");
  }
  EXPECT_EQ(index->describe().rfind("memory, because ", 0), 0U) << index->describe();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  clock_.advance(61 * core::kNanosPerSecond);
  change_store();
  expect_right_answers(*index, "not full any more");
  EXPECT_EQ(index->describe(), "sqlite " + database_path());
}

TEST_F(ToolIndexFaultTest, SomebodyWhoLocksTheDatabaseForLongCostsTimeAndNoAnswer) {
  auto index = opened();
  expect_right_answers(*index, "before");
  SqliteShell shell(database_path());
  ASSERT_EQ(shell.execute("BEGIN IMMEDIATE"), SQLITE_OK);
  change_store();
  const PlainStore expected = plain();
  EXPECT_EQ(with_root(*index, "f4"), expected.with_root("f4"));
  EXPECT_TRUE(index->find(key_number(30)));  // who only reads does not wait
  ASSERT_EQ(shell.execute("COMMIT"), SQLITE_OK);
  expect_right_answers(*index, "unlocked");
  EXPECT_EQ(index->describe(), "sqlite " + database_path());
}

TEST_F(ToolIndexFaultTest, WhatWasThereAtOpeningIsStillCountedWhenTheDatabaseIsMadeAnew) {
  auto index = make();
  const std::int64_t opening = index->open();
  foreign_.put(key_number(500), meta_with({}));
  ASSERT_TRUE(index->refresh());
  const auto count = [&](std::int64_t until) {
    const auto totals = index->totals(until);
    return totals && totals->contains("read") ? totals->at("read").entries : 0;
  };
  EXPECT_EQ(count(opening), 60U);
  fs::remove_all(index_path());
  EXPECT_GE(count(opening), 60U);
  foreign_.put(key_number(501), meta_with({}));
  ASSERT_TRUE(index->refresh());
  EXPECT_EQ(count(opening), 61U);
  EXPECT_EQ(count(std::numeric_limits<std::int64_t>::max()), 62U);
  EXPECT_LE(index->find(key_number(1))->sequence, opening);
  EXPECT_GT(index->find(key_number(501))->sequence, opening);
}

}  // namespace
}  // namespace satchel::tool_cache
