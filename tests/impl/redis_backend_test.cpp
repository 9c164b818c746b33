// What Redis in front of another backend promises while all is well.
#include <limits>

#include "prompt_cache/redis_entries.hpp"
#include "redis_backend_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

class RedisAloneTest : public RedisBackendTest {
 protected:
  const core::RedisServer server_;
  const std::unique_ptr<IndexBackend> backend_ = open(redis_options({server_.url()}), clock_);
  // Another process on the same two servers.
  const std::unique_ptr<IndexBackend> other_ = open(redis_options({server_.url()}), clock_);
};

TEST_F(RedisAloneTest, WhatWasWrittenIsAnsweredWithoutTheBackendBehind) {
  const Entry entry{hash_number(1), 123'456, Tier::k1h, kStart + 3600 * kSecond};
  ASSERT_TRUE(done(write(*backend_, writing({entry}))));
  table_->away = true;
  const std::optional<Entry> found = look(*backend_, {hash_number(2), entry.hash});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cumulative_token_count, 123'456U);
  EXPECT_EQ(found->tier, Tier::k1h);
  EXPECT_EQ(found->expires_at, entry.expires_at);
  EXPECT_EQ(table_->finds, 0);
  EXPECT_TRUE(redis_alone_finds(*other_, entry.hash));
}

TEST_F(RedisAloneTest, WhatIsOnlyBehindIsReadThroughOnce) {
  const Entry entry = entry_number(1);
  table_->rows[{scope_id(some_scope()), entry.hash}] = entry;
  EXPECT_EQ(look(*backend_, {entry.hash})->cumulative_token_count, 1001U);
  EXPECT_EQ(table_->finds, 1);
  EXPECT_EQ(look(*backend_, {entry.hash})->cumulative_token_count, 1001U);
  EXPECT_EQ(table_->finds, 1);
}

TEST_F(RedisAloneTest, ALiveMatchInRedisIsTheAnswerThoughADeeperOneWasLost) {
  write(*backend_, writing({entry_number(1), entry_number(2)}));
  server_.ask({"DEL", key_of(hash_number(2))});
  EXPECT_EQ(look(*backend_, {hash_number(2), hash_number(1)})->hash, hash_number(1));
  EXPECT_EQ(table_->finds, 0);
}

TEST_F(RedisAloneTest, WhatTheBackendBehindDidNotTakeIsNotInRedis) {
  table_->away = true;
  EXPECT_EQ(write(*backend_, writing({entry_number(1)})).outcome, IndexBackend::Outcome::kAgain);
  EXPECT_EQ(server_.ask({"DBSIZE"}).integer, 0);
  EXPECT_FALSE(backend_->find(some_scope(), std::vector{hash_number(1)}, kStart).ok());
}

TEST_F(RedisAloneTest, RedisItselfDropsWhatHasExpired) {
  write(*backend_, writing({entry_number(1), entry_number(2, kStart + 2 * kSecond)}));
  const std::int64_t left = server_.ask({"PTTL", key_of(hash_number(1))}).integer;
  EXPECT_GT(left, 200'000);
  EXPECT_LE(left, 300'001);
  EXPECT_TRUE(eventually([&] { return server_.ask({"DBSIZE"}).integer == 1; }));
}

TEST_F(RedisAloneTest, WhatHasExpiredByOurClockIsNoAnswerThoughRedisStillHasIt) {
  write(*backend_, writing({entry_number(1)}));
  clock_.advance(300 * kSecond - 1);
  EXPECT_TRUE(redis_alone_finds(*backend_, hash_number(1)));
  clock_.advance(1);
  EXPECT_EQ(server_.ask({"EXISTS", key_of(hash_number(1))}).integer, 1);
  EXPECT_FALSE(look(*backend_, {hash_number(1)}));
}

TEST_F(RedisAloneTest, HostsWhoseClocksDisagreeSeeTheSameEntryLiveAsLong) {
  ManualClock ahead;
  ahead.advance(3600 * kSecond);
  const auto of_host_ahead = open(redis_options({server_.url()}), ahead);
  write(*backend_, writing({entry_number(1)}));
  const std::optional<Entry> found = look(*of_host_ahead, {hash_number(1)}, &ahead);
  ASSERT_TRUE(found);
  EXPECT_EQ(table_->finds, 0);
  // Both clocks stand still while the server's goes on: as much as the test has taken till here.
  EXPECT_NEAR(static_cast<double>(found->expires_at - ahead.unix_ns()) / kSecond, 300.0, 60.0);
}

TEST_F(RedisAloneTest, RefreshesAreSeenAtOnceAndWrittenBehindMerged) {
  write(*backend_, writing({entry_number(1)}));
  for (int i = 1; i <= 50; ++i) {
    write(*backend_, refreshing(hash_number(1), kStart + (300 + i) * kSecond));
  }
  EXPECT_EQ(table_->refreshes, 0);
  EXPECT_EQ(look(*backend_, {hash_number(1)})->expires_at, kStart + 350 * kSecond);
  clock_.advance(320 * kSecond);
  EXPECT_TRUE(redis_alone_finds(*other_, hash_number(1)));
  EXPECT_EQ(backend_->settle(true).refreshed, 1U);
  EXPECT_EQ(table_->refreshes, 1);
  const Entry row = table_->rows.at({scope_id(some_scope()), hash_number(1)});
  EXPECT_EQ(row.expires_at, kStart + 350 * kSecond);
  EXPECT_EQ(row.cumulative_token_count, 1001U);
  EXPECT_EQ(backend_->settle(true).refreshed, 0U);
}

TEST_F(RedisAloneTest, ARefreshIsWrittenBehindWithinItsInterval) {
  write(*backend_, writing({entry_number(1)}));
  write(*backend_, refreshing(hash_number(1), kStart + 400 * kSecond));
  backend_->settle(false);
  EXPECT_EQ(table_->refreshes, 0);
  EXPECT_TRUE(eventually([&] { return backend_->settle(false).refreshed == 1; }));
}

TEST_F(RedisAloneTest, ARefreshThatWaitsCountsWhereRedisHasLostTheEntry) {
  write(*backend_, writing({entry_number(1)}));
  write(*backend_, refreshing(hash_number(1), kStart + 500 * kSecond));
  server_.ask({"FLUSHALL"});
  clock_.advance(400 * kSecond);
  EXPECT_EQ(look(*backend_, {hash_number(1)})->expires_at, kStart + 500 * kSecond);
  EXPECT_TRUE(redis_alone_finds(*other_, hash_number(1)));
}

TEST_F(RedisAloneTest, AnEntryWrittenAgainIsNotChangedByAnOlderRefresh) {
  write(*backend_, writing({entry_number(1)}));
  write(*backend_, refreshing(hash_number(1), kStart + 500 * kSecond));
  write(*backend_, writing({entry_number(1, kStart + 100 * kSecond)}));
  EXPECT_EQ(backend_->settle(true).refreshed, 0U);
  EXPECT_EQ(look(*backend_, {hash_number(1)})->expires_at, kStart + 100 * kSecond);
  server_.ask({"FLUSHALL"});
  EXPECT_EQ(look(*backend_, {hash_number(1)})->expires_at, kStart + 100 * kSecond);
}

TEST_F(RedisAloneTest, RefreshesWaitWhileTheBackendBehindIsAwayAndAreBounded) {
  RedisBackendOptions options;
  options.max_refreshes = 10;
  const auto small = open(redis_options({server_.url()}), clock_, options);
  std::vector<Entry> entries;
  for (std::uint64_t n = 0; n < 20; ++n) entries.push_back(entry_number(n));
  write(*small, writing(entries));
  table_->away = true;
  int taken = 0;
  for (std::uint64_t n = 0; n < 20; ++n) {
    taken += done(write(*small, refreshing(hash_number(n), kStart + 400 * kSecond))) ? 1 : 0;
  }
  EXPECT_EQ(taken, 10);
  EXPECT_EQ(small->settle(true).outcome, IndexBackend::Outcome::kAgain);
  table_->away = false;
  EXPECT_EQ(small->settle(true).refreshed, 10U);
}

// Others may have extended the entry since.
TEST_F(RedisAloneTest, ARefreshThatWaitedBeyondItsOwnExpiryEndsNoEntry) {
  write(*backend_, writing({entry_number(1), entry_number(2)}));
  write(*backend_, refreshing(hash_number(1), kStart + 400 * kSecond));
  write(*backend_, refreshing(hash_number(2), kStart + 900 * kSecond));
  table_->away = true;
  EXPECT_EQ(backend_->settle(true).outcome, IndexBackend::Outcome::kAgain);
  clock_.advance(500 * kSecond);
  table_->rows[{scope_id(some_scope()), hash_number(1)}].expires_at = kStart + 800 * kSecond;
  table_->away = false;
  EXPECT_EQ(backend_->settle(true).refreshed, 1U);
  EXPECT_EQ(look(*backend_, {hash_number(1)})->expires_at, kStart + 800 * kSecond);
  EXPECT_EQ(look(*backend_, {hash_number(2)})->expires_at, kStart + 900 * kSecond);
}

TEST_F(RedisAloneTest, AFlushInTheMiddleCostsNoEntry) {
  for (std::uint64_t n = 0; n < 50; ++n) {
    write(*backend_, writing({entry_number(n)}));
    if (n % 10 == 5) server_.ask({"FLUSHALL"});
    for (std::uint64_t i = 0; i <= n; ++i) {
      ASSERT_EQ(look(*backend_, {hash_number(i)})->cumulative_token_count, 1000 + i);
    }
  }
}

TEST_F(RedisAloneTest, AValueThatIsNotOursIsNoAnswer) {
  write(*backend_, writing({entry_number(1), entry_number(2)}));
  const std::string key = key_of(hash_number(1));
  const std::string good = server_.ask({"GET", key}).text;
  std::vector<std::string> values = {"", "x", good.substr(0, good.size() - 1), good + "x",
                                     server_.ask({"GET", key_of(hash_number(2))}).text};
  for (std::size_t i = 0; i < good.size(); ++i) {
    values.push_back(good);
    values.back()[i] = static_cast<char>(values.back()[i] ^ 1);
  }
  for (const std::string& value : values) {
    server_.ask({"SET", key, value});
    EXPECT_FALSE(redis_alone_finds(*backend_, hash_number(1)));
    EXPECT_EQ(look(*backend_, {hash_number(1)})->cumulative_token_count, 1001U);
  }
  server_.ask({"DEL", key});
  server_.ask({"LPUSH", key, "x"});
  EXPECT_EQ(look(*backend_, {hash_number(1)})->cumulative_token_count, 1001U);
}

TEST_F(RedisAloneTest, AnOlderValueNeverReplacesANewerOne) {
  auto client = core::Redis::make(redis_options({server_.url()}));
  RedisEntries entries(std::move(*client), clock_);
  const ScopeId scope = scope_id(some_scope());
  const std::int64_t older = *entries.stamp_us(scope);
  const std::int64_t newer = *entries.stamp_us(scope);
  EXPECT_LT(older, newer);
  const auto put = [&](std::uint32_t tokens, std::int64_t stamp) {
    const RedisWrite one{scope, {hash_number(1), tokens, Tier::k5m, kStart + 300 * kSecond}, stamp};
    EXPECT_TRUE(entries.write({&one, 1}, nullptr).ok());
  };
  put(20, newer);
  put(10, older);
  EXPECT_EQ(entries.find(scope, std::vector{hash_number(1)})->front().cumulative_token_count, 20U);
  const RedisSlide slide{{scope, hash_number(1)}, kStart + 900 * kSecond, older};
  EXPECT_TRUE(entries.slide({&slide, 1}, nullptr).ok());
  EXPECT_EQ(entries.find(scope, std::vector{hash_number(1)})->front().expires_at,
            kStart + 300 * kSecond);
}

TEST_F(RedisAloneTest, ForgetDropsTheEntriesOfAllProcesses) {
  for (std::uint64_t n = 0; n < 3000; ++n) write(*backend_, writing({entry_number(n)}));
  server_.ask({"SET", "somebody else's", "x"});
  ASSERT_TRUE(other_->clear().ok());
  EXPECT_EQ(server_.ask({"DBSIZE"}).integer, 1);
  EXPECT_FALSE(look(*backend_, {hash_number(1)}));
  write(*other_, writing({entry_number(1)}));
  EXPECT_TRUE(redis_alone_finds(*backend_, hash_number(1)));
  EXPECT_TRUE(redis_alone_finds(*other_, hash_number(1)));
}

TEST_F(RedisAloneTest, AnEntryTakesLittleRoom) {
  write(*backend_, writing({entry_number(1)}));
  EXPECT_LE(server_.ask({"MEMORY", "USAGE", key_of(hash_number(1))}).integer, 240);
}

}  // namespace
}  // namespace satchel::prompt_cache
