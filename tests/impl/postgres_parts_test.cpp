#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>

#include "core/libpq.hpp"
#include "core/uuid.hpp"
#include "fresh_process.hpp"
#include "index_fixture.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/postgres_address.hpp"
#include "prompt_cache/postgres_backend.hpp"
#include "prompt_cache/postgres_batch.hpp"
#include "prompt_cache/postgres_clock.hpp"
#include "prompt_cache/postgres_key.hpp"
#include "prompt_cache/postgres_values.hpp"
#include "prompt_cache/retry_pause.hpp"

namespace satchel::prompt_cache {
namespace {

core::Uuid uuid(std::string_view text) { return core::parse_uuid(text).value(); }

// ------------------------------------------------------------------------------------- UUIDs

TEST(Uuid, IsReadInEitherCase) {
  const core::Uuid dns = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                          0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
  EXPECT_EQ(uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), dns);
  EXPECT_EQ(uuid("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"), dns);
}

TEST(Uuid, IsNothingElse) {
  for (const char* text :
       {"", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b810-9dad-11d1-80b4-00c04fd430c88",
        "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
        "{6ba7b810-9dad-11d1-80b4-00c04fd430c}", "6ba7b8109-dad-11d1-80b4-00c04fd430c8",
        "6ba7b810 9dad 11d1 80b4 00c04fd430c8", "org-1"}) {
    EXPECT_FALSE(core::parse_uuid(text)) << text;
  }
}

TEST(Uuid, OfVersionFiveAgreesWithKnownOnes) {
  const core::Uuid dns = uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  const core::Uuid url = uuid("6ba7b811-9dad-11d1-80b4-00c04fd430c8");
  EXPECT_EQ(core::uuid_v5(dns, "www.example.com"), uuid("2ed6657d-e927-568b-95e1-2665a8aea6a2"));
  EXPECT_EQ(core::uuid_v5(dns, "python.org"), uuid("886313e1-3b8a-5372-9b90-0c9aee199e5d"));
  EXPECT_EQ(core::uuid_v5(url, "http://python.org/"), uuid("4c565f0d-3f5a-5890-b41b-20cf47701c5e"));
}

TEST(PostgresKey, APrincipalIsItsOwnUuidOrOneOfItsName) {
  EXPECT_EQ(principal_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8"));
  // Fixed for ever: hosts of all versions share the table.
  EXPECT_EQ(principal_uuid("org-1"), uuid("97848716-cdbd-509a-ba08-5fa5beffeabf"));
  EXPECT_EQ(principal_uuid(""), uuid("b30370ff-69c6-5f43-ba84-0f435f7ea959"));
}

TEST(PostgresKey, NamesThatNoTableHoldsAreToldApart) {
  EXPECT_TRUE(fits_table({std::string("any\0\xff", 5), "gpt-4o", "v1"}));
  EXPECT_TRUE(fits_table({"", "", ""}));
  EXPECT_TRUE(fits_table({"p", "модель-😀", "v1"}));
  EXPECT_FALSE(fits_table({"p", std::string("gpt\0", 4), "v1"}));
  EXPECT_FALSE(fits_table({"p", "gpt", "\xff"}));
  EXPECT_FALSE(fits_table({"p", "\xed\xa0\x80", "v1"}));
  EXPECT_FALSE(fits_table({"p", std::string(2'501, 'm'), ""}));
}

// --------------------------------------------------------------------------------------- libpq

bool is_loaded(const std::string& library) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(library) != std::string::npos) return true;
  }
  return false;
}

TEST(LibPq, IsLoadedWhenAnIndexNeedsItAndNotBefore) {
  if (!core::in_fresh_process()) return;
  EXPECT_TRUE(read_prompt_cache_config("{}").ok());
  EXPECT_FALSE(is_loaded("libpq.so"));
  EXPECT_TRUE(read_prompt_cache_config(
                  R"({"index":{"kind":"postgres","postgres":{"url":"postgresql://db/cache"}}})")
                  .ok());
  EXPECT_TRUE(is_loaded("libpq.so"));
}

// -------------------------------------------------------------------------- connection strings

core::Result<PostgresAddress> address(const std::string& conninfo) {
  return read_postgres_address(*core::libpq().value(), conninfo);
}

TEST(PostgresAddress, ShowsHostsAndPortsAndNothingElse) {
  struct Row {
    const char* conninfo;
    const char* shown;
    std::size_t hosts;
  };
  for (const Row& row :
       {Row{"postgresql://user:secret@db:6432/cache?sslmode=require", "db:6432", 1},
        Row{"postgres://user:se%40cret@a,b:5433/cache", "a:5432,b:5433", 2},
        Row{"host=a,b,c port=6000 password='se cret'", "a:6000,b:6000,c:6000", 3},
        Row{"postgresql://user:sec?ret@db/cache", "db:5432", 1},
        Row{"hostaddr=10.0.0.1 dbname=cache", "10.0.0.1:5432", 1},
        Row{"postgresql://", "its default host:5432", 1}}) {
    const core::Result<PostgresAddress> read = address(row.conninfo);
    ASSERT_TRUE(read.ok()) << row.conninfo;
    EXPECT_EQ(read->shown, row.shown);
    EXPECT_EQ(read->hosts, row.hosts);
  }
}

TEST(PostgresAddress, ItsHostsMayBeTriedFromAnyOfThemOn) {
  struct Row {
    const char* conninfo;
    const char* hosts;
    const char* addresses;
    const char* ports;
  };
  for (const Row& row :
       {Row{"postgres://a,b:5433,c:5434/cache", "b,c,a", "", "5433,5434,"},
        Row{"host=a,b,c port=6000", "b,c,a", "", "6000"},
        Row{"host=a,,c hostaddr=10.0.0.1,10.0.0.2,", ",c,a", "10.0.0.2,,10.0.0.1", ""},
        Row{"hostaddr=10.0.0.1,10.0.0.2", "", "10.0.0.2,10.0.0.1", ""},
        Row{"postgres://a:5433/cache", "a", "", "5433"}, Row{"dbname=cache", "", "", ""}}) {
    const core::Result<PostgresAddress> read = address(row.conninfo);
    ASSERT_TRUE(read.ok()) << row.conninfo;
    const PostgresOrder second = read->beginning_with(read->hosts + 1);
    EXPECT_EQ(second.hosts, row.hosts);
    EXPECT_EQ(second.addresses, row.addresses);
    EXPECT_EQ(second.ports, row.ports);
  }
}

TEST(PostgresAddress, RefusesWhatWouldSpillThePassword) {
  for (const char* conninfo :
       {"postgresql://user:sec@ret@db/cache", "postgresql://user:sec/ret@db/cache",
        "postgresql://user:s?ec@ret@db/cache", "postgresql://user:sec%zzret@db/cache",
        "host=db password=sec ret", "postgresql://db/cache?secret"}) {
    const core::Result<PostgresAddress> read = address(conninfo);
    ASSERT_FALSE(read.ok()) << conninfo;
    EXPECT_EQ(read.error().status, core::Status::kConfig);
    EXPECT_EQ(read.error().message.find("ret"), std::string::npos) << read.error().message;
  }
}

TEST(PostgresAddress, ABadConnectionStringIsAnErrorOfTheConfiguration) {
  const auto read = read_prompt_cache_config(
      R"({"index":{"kind":"postgres","postgres":{"url":"host=db secret"}}})");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().message,
            "configuration: index.postgres.url: libpq cannot read this connection string");
}

// ----------------------------------------------------------------------------------- the clock

TEST(PostgresClock, TimesComeBackToTheMicrosecond) {
  ManualClock ours;
  PostgresClock clock(ours);
  EXPECT_TRUE(clock.due());
  clock.measured(kStart, 123'456'789'000'000, kStart + 2'000'000);  // in the middle of 2 ms
  EXPECT_FALSE(clock.due());
  EXPECT_EQ(clock.now(kStart + 1'000'000), 123'456'789'000'000);
  for (const std::int64_t time : {kStart, kStart + 300 * kSecond + 7'000, -5 * kSecond}) {
    EXPECT_EQ(clock.unix_ns(clock.expiry(time)), time);
  }
  // Between two microseconds: an entry lives to the end of the one it is in, and no lookup of that
  // microsecond finds it dead.
  EXPECT_EQ(clock.unix_ns(clock.expiry(kStart + 1)), kStart + 1'000);
  EXPECT_LT(clock.now(kStart), clock.expiry(kStart + 1));
  EXPECT_EQ(clock.now(kStart + 999), clock.now(kStart));
  clock.expire();
  EXPECT_TRUE(clock.due());
}

TEST(PostgresClock, TheEndsOfTimeAreNotPassed) {
  ManualClock ours;
  PostgresClock clock(ours);
  for (const std::int64_t there : {std::int64_t{0}, std::int64_t{4'000'000'000'000'000}}) {
    clock.measured(kStart, there, kStart);
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
    EXPECT_EQ(clock.unix_ns(clock.expiry(kMost)), kMost);
    EXPECT_EQ(clock.unix_ns(kMost), kMost);  // 'infinity'
    EXPECT_EQ(clock.unix_ns(kLeast), kLeast);
    EXPECT_LT(clock.now(kLeast), clock.now(kStart));
  }
}

// --------------------------------------------------------------------------------- the batch

PendingCommit pending(const Commit& commit) {
  PendingCommit made;
  made.scope = commit.scope;
  made.writes = commit.writes;
  made.refresh = commit.refresh;
  return made;
}

TEST(PostgresBatch, FoldsWhatHappensToOneKey) {
  const std::vector<PendingCommit> commits = {
      pending(refreshing(hash_number(1), kStart + 10 * kSecond)),
      pending(refreshing(hash_number(1), kStart + 20 * kSecond)),
      pending(writing(
          {entry_number(1, kStart + 30 * kSecond), entry_number(2, kStart + 30 * kSecond)})),
      pending(refreshing(hash_number(1), kStart + 40 * kSecond)),
      pending(writing({entry_number(2, kStart + 50 * kSecond)})),
      pending(refreshing(hash_number(3), kStart + 60 * kSecond))};
  std::vector<const PendingCommit*> pointers;
  for (const PendingCommit& commit : commits) pointers.push_back(&commit);
  const PostgresBatch batch(pointers);
  EXPECT_TRUE(batch.has_refreshes());
  EXPECT_TRUE(batch.has_upserts());
  EXPECT_EQ(batch.written(), 3U);
  EXPECT_EQ(batch.refreshed_in_upserts(), 1U);
  ManualClock ours;
  PostgresClock clock(ours);
  // An array's elements are counted in its fourth word.
  const auto count = [](const std::string& array) {
    return read_postgres_int4(std::string_view(array).substr(12, 4)).value();
  };
  EXPECT_EQ(count(batch.refreshes(clock).front()), 2);  // 1 to +20, and 3
  EXPECT_EQ(count(batch.upserts(clock).front()), 2);    // 1 to +40, and 2 to +50
  const std::string expiries = batch.upserts(clock).back();
  EXPECT_NE(expiries.find(postgres_int8(clock.expiry(kStart + 40 * kSecond))), std::string::npos);
  EXPECT_NE(expiries.find(postgres_int8(clock.expiry(kStart + 50 * kSecond))), std::string::npos);
}

TEST(RetryPause, DoublesUpToABoundAndAddsAFifthAtMost) {
  for (std::size_t failures = 0; failures < 100; ++failures) {
    const std::int64_t whole = 100 << std::min<std::size_t>(failures, 5);
    const std::int64_t pause = retry_pause(failures).count();
    EXPECT_GE(pause, whole);
    EXPECT_LE(pause, whole + whole / 5);
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
