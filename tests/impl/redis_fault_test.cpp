// What Redis in front of another backend promises while something is wrong: that backend answers,
// nothing is answered that it would not, and Redis is used again by itself.
#include <atomic>
#include <chrono>
#include <thread>

#include "prompt_cache/queued_index.hpp"
#include "redis_backend_fixture.hpp"
#include "tcp_relay.hpp"

namespace satchel::prompt_cache {
namespace {

using Steady = std::chrono::steady_clock;

// Of a server that will be stuck: each test waits for it a few times.
core::RedisOptions hasty(std::string url) {
  core::RedisOptions options = redis_options({std::move(url)});
  options.limits.timeout_ns = 300 * core::kNanosPerMilli;
  return options;
}

class RedisFaultTest : public RedisBackendTest {
 protected:
  // Looks and writes as if nothing were, and with what has been written before.
  void all_is_well(IndexBackend& backend, std::uint64_t first = 0) {
    for (std::uint64_t n = first; n < first + 20; ++n) {
      ASSERT_TRUE(done(write(backend, writing({entry_number(n)}))));
      for (std::uint64_t i = 0; i <= n; i += 7) {
        const std::optional<Entry> found = look(backend, {hash_number(999'999), hash_number(i)});
        if (i < first && !found) continue;
        ASSERT_TRUE(found) << i;
        ASSERT_EQ(found->cumulative_token_count, 1000 + i);
      }
    }
  }

  bool used_again(IndexBackend& backend) {
    return eventually([&] {
      backend.settle(false);
      look(backend, {hash_number(0)});
      return redis_alone_finds(backend, hash_number(0));
    });
  }
};

TEST_F(RedisFaultTest, AServerThatStopsAndStartsAgain) {
  core::RedisServer server;
  const auto backend = open(redis_options({server.url()}), clock_);
  for (int round = 0; round < 3; ++round) {
    all_is_well(*backend);
    if (round % 2 == 0) {
      server.stop();
    } else {
      server.kill();
    }
    all_is_well(*backend);
    server.start();
    EXPECT_TRUE(used_again(*backend));
    settle_some(*backend);
    EXPECT_EQ(log_.count("cannot be asked"), static_cast<std::size_t>(round + 1)) << log_.all();
    EXPECT_EQ(log_.count("answers again"), static_cast<std::size_t>(round + 1)) << log_.all();
  }
}

TEST_F(RedisFaultTest, AServerThatIsNotThereAtTheBeginning) {
  core::RedisServer server;
  server.stop();
  const auto backend = open(redis_options({server.url()}), clock_);
  all_is_well(*backend);
  server.start();
  EXPECT_TRUE(used_again(*backend));
}

TEST_F(RedisFaultTest, WhatChangedWhileAServerWasStuckIsNotAnsweredAsItWas) {
  core::RedisServer server;
  const auto backend = open(hasty(server.url()), clock_);
  const auto other = open(redis_options({server.url()}), clock_);
  ASSERT_TRUE(eventually([&] {
    write(*backend, writing({{hash_number(1), 10, Tier::k5m, kStart + 300 * kSecond},
                             {hash_number(2), 10, Tier::k5m, kStart + 300 * kSecond}}));
    return redis_alone_finds(*backend, hash_number(2));
  }));
  server.freeze();
  ASSERT_TRUE(
      done(write(*backend, writing({{hash_number(1), 20, Tier::k1h, kStart + 200 * kSecond}}))));
  ASSERT_TRUE(done(write(*backend, refreshing(hash_number(2), kStart + 100 * kSecond))));
  EXPECT_EQ(look(*backend, {hash_number(1)})->cumulative_token_count, 20U);
  server.thaw();
  // Our clock stands still while the server's goes on: expiries come back by as much earlier.
  const auto about = [](std::int64_t a, std::int64_t b) {
    return a - b < 60 * kSecond && b - a < 60 * kSecond;
  };
  const auto is_right = [&](IndexBackend& one) {
    const std::optional<Entry> first = look(one, {hash_number(1)});
    const std::optional<Entry> second = look(one, {hash_number(2)});
    return first && first->cumulative_token_count == 20 && first->tier == Tier::k1h &&
           about(first->expires_at, kStart + 200 * kSecond) && second &&
           about(second->expires_at, kStart + 100 * kSecond);
  };
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(is_right(*backend));
  // Told late, and then for all.
  EXPECT_TRUE(eventually([&] {
    backend->settle(false);
    const std::optional<Entry> found = look(*other, {hash_number(1)});
    return found && found->cumulative_token_count == 20 &&
           redis_alone_finds(*backend, hash_number(1)) &&
           redis_alone_finds(*backend, hash_number(2));
  }));
  EXPECT_TRUE(is_right(*backend));
}

TEST_F(RedisFaultTest, AfterTooManyChangesNothingOlderIsBelieved) {
  core::RedisServer server;
  RedisBackendOptions options;
  options.max_debts = 5;
  const auto backend = open(hasty(server.url()), clock_, options);
  std::vector<Entry> before;
  std::vector<Entry> after;
  for (std::uint64_t n = 0; n < 20; ++n) {
    before.push_back({hash_number(n), 10, Tier::k5m, kStart + 300 * kSecond});
    after.push_back({hash_number(n), 20, Tier::k5m, kStart + 300 * kSecond});
  }
  ASSERT_TRUE(eventually([&] {
    write(*backend, writing(before));
    return redis_alone_finds(*backend, hash_number(19));
  }));
  server.freeze();
  ASSERT_TRUE(done(write(*backend, writing(after))));
  server.thaw();
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t n = 0; n < 20; ++n) {
      ASSERT_EQ(look(*backend, {hash_number(n)})->cumulative_token_count, 20U);
    }
  }
  EXPECT_TRUE(used_again(*backend));
  EXPECT_EQ(look(*backend, {hash_number(0)})->cumulative_token_count, 20U);
}

// docs/scaling.md names them.
TEST_F(RedisFaultTest, TheRightsThatAreAskedForAreEnough) {
  core::RedisServer server;
  std::vector<std::string> command = {"ACL", "SETUSER", "proxy", "on", ">word", "~satchel:pc1:*"};
  for (const char* right : {"mget", "get", "set", "eval", "time", "ping", "scan", "unlink"}) {
    command.push_back(std::string("+") + right);
  }
  ASSERT_FALSE(server.ask(command).is_error());
  const auto backend = open(redis_options({"redis://proxy:word@" + server.place()}), clock_);
  all_is_well(*backend);
  EXPECT_TRUE(redis_alone_finds(*backend, hash_number(7)));
  ASSERT_TRUE(done(write(*backend, refreshing(hash_number(7), kStart + 900 * kSecond))));
  EXPECT_EQ(look(*backend, {hash_number(7)})->expires_at, kStart + 900 * kSecond);
  EXPECT_TRUE(backend->clear().ok());
  EXPECT_EQ(server.ask({"DBSIZE"}).integer, 0);
  EXPECT_EQ(log_.all(), "");
}

TEST_F(RedisFaultTest, AWrongPasswordIsSaidOnceAndNotShown) {
  const core::RedisServer server({"--requirepass", "right"});
  const auto backend = open(redis_options({"redis://:guessed@" + server.place()}), clock_);
  all_is_well(*backend);
  EXPECT_EQ(log_.count("WRONGPASS"), 2U) << log_.all();  // reading and writing
  EXPECT_EQ(log_.count("guessed"), 0U);
  server.ask_as("right", {"CONFIG", "SET", "requirepass", "guessed"});
  EXPECT_TRUE(used_again(*backend));
}

TEST_F(RedisFaultTest, AServerThatTakesNoMoreClients) {
  const core::RedisServer server({"--maxclients", "1"});
  auto guest = core::Redis::make(redis_options({server.url()}));
  ASSERT_TRUE(eventually(
      [&] { return (*guest)->run("", std::vector<core::RedisCommand>{{"PING"}}).ok(); }));
  const auto backend = open(redis_options({server.url()}), clock_);
  all_is_well(*backend);
  EXPECT_EQ(log_.count("cannot be asked"), 1U) << log_.all();
  guest->reset();
  EXPECT_TRUE(used_again(*backend));
}

TEST_F(RedisFaultTest, AServerThatIsFullTakesNothingAndTheBackendBehindHasIt) {
  const core::RedisServer server({"--maxmemory-policy", "noeviction"});
  const auto backend = open(redis_options({server.url()}), clock_);
  write(*backend, writing({{hash_number(1), 10, Tier::k5m, kStart + 300 * kSecond}}));
  server.ask({"CONFIG", "SET", "maxmemory", "1"});
  // A shallower entry that is there does not hide the deeper one that had no room.
  write(*backend, writing({entry_number(2)}));
  EXPECT_EQ(look(*backend, {hash_number(2), hash_number(1)})->hash, hash_number(2));
  // Nor does the older state of an entry answer for the newer one.
  write(*backend, writing({{hash_number(1), 20, Tier::k5m, kStart + 300 * kSecond}}));
  EXPECT_EQ(look(*backend, {hash_number(1)})->cumulative_token_count, 20U);
  all_is_well(*backend, 10);
  EXPECT_EQ(log_.count("OOM"), 1U) << log_.all();
  server.ask({"CONFIG", "SET", "maxmemory", "0"});
  settle_some(*backend);
  EXPECT_TRUE(redis_alone_finds(*backend, hash_number(2)));
  EXPECT_TRUE(redis_alone_finds(*backend, hash_number(1)));
  EXPECT_EQ(look(*backend, {hash_number(1)})->cumulative_token_count, 20U);
  EXPECT_EQ(log_.count("takes entries again"), 1U) << log_.all();
}

TEST_F(RedisFaultTest, AServerThatEvictsLosesNoEntry) {
  const core::RedisServer server({"--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"});
  const auto backend = open(redis_options({server.url()}), clock_);
  constexpr std::uint64_t kEntries = 20'000;
  for (std::uint64_t n = 0; n < kEntries; n += 500) {
    std::vector<Entry> entries;
    for (std::uint64_t i = n; i < n + 500; ++i) entries.push_back(entry_number(i));
    ASSERT_TRUE(done(write(*backend, writing(entries))));
  }
  EXPECT_LT(server.ask({"DBSIZE"}).integer, static_cast<std::int64_t>(kEntries));
  for (std::uint64_t n = 0; n < kEntries; n += 13) {
    ASSERT_EQ(look(*backend, {hash_number(n)})->cumulative_token_count, 1000 + n);
  }
  EXPECT_EQ(log_.all(), "");
}

TEST_F(RedisFaultTest, AServerThatIsStillLoading) {
  core::RedisServer server(
      {"--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"});
  const auto backend = open(redis_options({server.url()}), clock_);
  std::vector<Entry> entries;
  for (std::uint64_t n = 0; n < 3000; ++n) entries.push_back(entry_number(n));
  write(*backend, writing(entries));
  ASSERT_EQ(server.ask({"SAVE"}).text, "OK");
  server.kill();
  server.start();
  all_is_well(*backend);
  EXPECT_EQ(log_.count("LOADING"), 2U) << log_.all();
  EXPECT_TRUE(used_again(*backend));
}

TEST_F(RedisFaultTest, AServerThatBecomesAReplicaAndIsPromotedWithOlderData) {
  core::RedisServer server;
  core::RedisServer stale;
  const auto backend = open(redis_options({server.url()}), clock_);
  write(*backend, writing({entry_number(1), entry_number(2)}));
  stale.ask({"REPLICAOF", "127.0.0.1", std::to_string(server.port())});
  ASSERT_TRUE(eventually([&] { return stale.ask({"DBSIZE"}).integer == 2; }));
  stale.ask({"REPLICAOF", "NO", "ONE"});
  // What the other one misses: all is forgotten, and one is made again.
  ASSERT_TRUE(backend->clear().ok());
  write(*backend, writing({{hash_number(1), 1001, Tier::k1h, kStart + 3600 * kSecond}}));
  // Now this address is a replica of it.
  server.ask({"REPLICAOF", "127.0.0.1", std::to_string(stale.port())});
  ASSERT_TRUE(eventually([&] { return server.ask({"DBSIZE"}).integer == 2; }));
  for (int promoted = 0; promoted < 2; ++promoted) {
    EXPECT_FALSE(look(*backend, {hash_number(2)})) << "it was forgotten";
    const std::optional<Entry> found = look(*backend, {hash_number(1)});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tier, Tier::k1h);
    EXPECT_EQ(found->expires_at, kStart + 3600 * kSecond);
    all_is_well(*backend, 10);
    if (promoted == 0) {
      EXPECT_EQ(log_.count("READONLY"), 1U) << log_.all();
      server.ask({"REPLICAOF", "NO", "ONE"});
    }
  }
  settle_some(*backend);
  EXPECT_TRUE(redis_alone_finds(*backend, hash_number(10)));
}

TEST_F(RedisFaultTest, ForgettingWhileTheServerIsAwaySaysSoAndBringsNothingBack) {
  core::RedisServer server;
  const auto backend = open(hasty(server.url()), clock_);
  ASSERT_TRUE(eventually([&] {
    write(*backend, writing({entry_number(1)}));
    return redis_alone_finds(*backend, hash_number(1));
  }));
  server.freeze();
  EXPECT_FALSE(backend->clear().ok());
  server.thaw();
  EXPECT_FALSE(look(*backend, {hash_number(1)}));
  ASSERT_TRUE(eventually([&] { return backend->clear().ok(); }));
  EXPECT_EQ(server.ask({"DBSIZE"}).integer, 0);
}

TEST_F(RedisFaultTest, ThousandsOfLookupsOnASmallPoolWaitForNobody) {
  core::RedisServer server;
  core::RedisOptions options = hasty(server.url());
  options.limits.pool = 2;
  const auto index = make_queued_index(open(options, clock_), {}, clock_, log_);
  ASSERT_TRUE(index->commit(writing({entry_number(1)})));
  ASSERT_TRUE(index->flush(60 * kSecond));
  std::atomic<int> wrong{0};
  std::atomic<std::int64_t> longest_ns{0};
  std::atomic<int> looked{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const auto begin = Steady::now();
        const auto found = index->lookup(some_scope(), std::vector{hash_number(1)}, kStart);
        const std::int64_t took = (Steady::now() - begin).count();
        std::int64_t longest = longest_ns;
        while (took > longest && !longest_ns.compare_exchange_weak(longest, took)) {
        }
        if (!found || !*found || (**found).cumulative_token_count != 1001) ++wrong;
        ++looked;
      }
    });
  }
  EXPECT_TRUE(eventually([&] { return looked > 1000; }));
  server.freeze();
  EXPECT_TRUE(eventually([&] { return looked > 3000; }));
  server.thaw();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(longest_ns, 20 * kSecond) << "each is bounded by a few timeouts of 0.3 s";
}

TEST_F(RedisFaultTest, ANetworkThatIsSlowCutsAndStalls) {
  const core::RedisServer server;
  core::TcpRelay relay(server.port());
  const auto backend = open(hasty("redis://127.0.0.1:" + std::to_string(relay.port())), clock_);
  all_is_well(*backend);
  EXPECT_TRUE(used_again(*backend));
  for (const std::size_t bytes : {1U, 30U, 60U, 100U}) {
    relay.cut_after(bytes);
    all_is_well(*backend);
    relay.pass();
    EXPECT_TRUE(used_again(*backend));
  }
  relay.delay(std::chrono::milliseconds(1000));
  all_is_well(*backend);
  relay.pass();
  EXPECT_TRUE(used_again(*backend));
  relay.stall();
  all_is_well(*backend);
  relay.refuse();
  all_is_well(*backend);
  relay.pass();
  EXPECT_TRUE(used_again(*backend));
}

// The value that was on its way to a server that was stuck arrives after a newer one.
TEST_F(RedisFaultTest, AWriteThatArrivesLateChangesNothing) {
  const core::RedisServer server;
  core::TcpRelay relay(server.port());
  const auto late = open(hasty("redis://127.0.0.1:" + std::to_string(relay.port())), clock_);
  const auto other = open(redis_options({server.url()}), clock_);
  ASSERT_TRUE(eventually([&] {
    write(*late, writing({entry_number(0)}));
    return redis_alone_finds(*late, hash_number(0));
  }));
  relay.delay(std::chrono::milliseconds(600));
  write(*late, writing({{hash_number(1), 10, Tier::k5m, kStart + 300 * kSecond}}));
  write(*other, writing({{hash_number(1), 20, Tier::k5m, kStart + 300 * kSecond}}));
  // Whether the first one has come by then or not.
  const auto until = Steady::now() + std::chrono::seconds(1);
  while (Steady::now() < until) {
    ASSERT_EQ(look(*other, {hash_number(1)})->cumulative_token_count, 20U);
  }
  relay.pass();
  EXPECT_TRUE(eventually([&] {
    late->settle(false);
    return redis_alone_finds(*late, hash_number(1));
  }));
  EXPECT_EQ(look(*late, {hash_number(1)})->cumulative_token_count, 20U);
}

class RedisClusterFaultTest : public RedisFaultTest {
 protected:
  static Scope scope_number(std::uint64_t n) { return {"org-" + std::to_string(n), "m", "v"}; }

  core::RedisCluster cluster_;
};

TEST_F(RedisClusterFaultTest, SlotsMoveWhileTheyAreUsed) {
  const auto backend = open(redis_options({cluster_.node(0).url()}, true), clock_);
  const std::uint16_t slot = core::redis_slot(key_of(hash_number(0)));
  const std::size_t from = cluster_.owner(slot);
  const std::size_t to = (from + 1) % 3;
  all_is_well(*backend);
  cluster_.begin_migration(slot, from, to);
  all_is_well(*backend);
  all_is_well(*backend, 100);
  cluster_.end_migration(slot, from, to);
  all_is_well(*backend);
  EXPECT_TRUE(used_again(*backend));
  EXPECT_GT(cluster_.node(to).ask({"CLUSTER", "COUNTKEYSINSLOT", std::to_string(slot)}).integer, 0);
}

TEST_F(RedisClusterFaultTest, ANodeThatIsGoneCostsOnlyItsOwnScopesTheirRedis) {
  const auto backend = open(redis_options({cluster_.node(1).url()}, true), clock_);
  const auto node_of = [&](std::uint64_t n) {
    return cluster_.owner(core::redis_slot(key_of(hash_number(1), scope_number(n))));
  };
  constexpr std::uint64_t kScopes = 30;
  for (std::uint64_t n = 0; n < kScopes; ++n) {
    ASSERT_TRUE(done(write(*backend, writing({entry_number(1)}, scope_number(n)))));
  }
  cluster_.node(0).kill();
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t n = 0; n < kScopes; ++n) {
      const int before = table_->finds;
      ASSERT_TRUE(look(*backend, {hash_number(1)}, nullptr, scope_number(n)));
      EXPECT_EQ(table_->finds - before, node_of(n) == 0 ? 1 : 0);
      ASSERT_TRUE(done(write(*backend, writing({entry_number(2)}, scope_number(n)))));
      ASSERT_TRUE(look(*backend, {hash_number(2)}, nullptr, scope_number(n)));
    }
  }
  cluster_.node(0).start();
  EXPECT_TRUE(eventually([&] {
    backend->settle(false);
    const int before = table_->finds;
    for (std::uint64_t n = 0; n < kScopes; ++n) {
      if (!look(*backend, {hash_number(2)}, nullptr, scope_number(n))) return false;
    }
    return table_->finds == before;
  }));
}

}  // namespace
}  // namespace satchel::prompt_cache
