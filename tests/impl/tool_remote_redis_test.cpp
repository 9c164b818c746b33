// Two machines that share a Redis.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "redis_server.hpp"
#include "remote_fixture.hpp"
#include "tool_cache/remote_signature.hpp"

namespace satchel::tool_cache {
namespace {

using Kind = RemoteSigner::Kind;

constexpr std::string_view kSecret = "the secret that this team shares";

std::shared_ptr<const core::Secret> secret(std::string_view text) {
  return std::make_shared<const core::Secret>(text);
}

RemoteConfig config_of(std::vector<std::string> urls, std::string_view key = kSecret) {
  RemoteConfig config;
  config.kind = "redis";
  config.urls = std::move(urls);
  config.key = secret(key);
  // Long, so that a busy machine makes no failure of it; those that wait for it make it short.
  config.timeout_ms = 20'000;
  config.send_timeout_ms = 20'000;
  return config;
}

std::string name_of(const Key& key, const std::string& what, std::string_view team = kSecret) {
  return "satchel:tool:" + RemoteSigner(secret(team)).namespace_id() + ":{" + key.hex() +
         "}:" + what;
}

class ToolRemoteRedis : public RemoteFixture {
 protected:
  RemoteConfig config(std::string_view key = kSecret) { return config_of({server_.url()}, key); }

  std::string get(const std::string& name) const { return server_.ask({"GET", name}).text; }
  void set(const std::string& name, const std::string& value) const {
    EXPECT_EQ(server_.ask({"SET", name, value}).text, "OK");
  }
  std::int64_t number(const std::vector<std::string>& command) const {
    return server_.ask(command).integer;
  }

  core::RedisServer server_;
  core::CapturedLog log_;
  const Key key_ = key_of("read notes.txt");
  const std::string meta_ = name_of(key_, "meta");
  const std::string payload_ = name_of(key_, "payload");
};

TEST_F(ToolRemoteRedis, WhatOneMachineMadeServesTheOtherWhileItsFilesAgree) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "three short words");
  a.persist(key_, "3", {a.root("notes.txt")});

  EXPECT_EQ(b.check(key_), "invalidated");
  b.write("notes.txt", "four words, not three");
  EXPECT_EQ(b.check(key_), "invalidated");
  EXPECT_FALSE(b.has(key_));
  b.write("notes.txt", "three short words");
  EXPECT_EQ(b.check(key_), "hit: 3");
  EXPECT_TRUE(b.has(key_));
  EXPECT_EQ(b.counted("remote_hits"), 1U);
  b.write("notes.txt", "changed");
  EXPECT_EQ(b.check(key_), "invalidated");
}

TEST_F(ToolRemoteRedis, AnyBytesComeAsTheyWent) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  std::string bytes;
  for (unsigned i = 0; i < 3'000'000; ++i) bytes += static_cast<char>(i * i >> 3);
  const std::string path = "no utf-8: \xff";
  a.write(path, "x");
  b.write(path, "x");
  a.persist(key_, bytes, {a.root(path)});
  a.persist(key_of("nothing"), "");
  EXPECT_EQ(b.check(key_), "hit: " + bytes);
  EXPECT_EQ(b.check(key_of("nothing")), "hit: ");
  b.write(path, "y");
  EXPECT_EQ(b.check(key_), "invalidated");
}

TEST_F(ToolRemoteRedis, EverythingExpires) {
  RemoteConfig short_lived = config();
  short_lived.ttl_ms = 100'000;
  Machine& a = machine("a", short_lived);
  a.persist(key_, "1", {}, {key_of("upstream")});
  EXPECT_EQ(number({"DBSIZE"}), 3);
  for (const std::string& name : {meta_, payload_, name_of(key_of("upstream"), "dependents")}) {
    const std::int64_t left = number({"PTTL", name});
    EXPECT_GT(left, 0) << name;
    EXPECT_LE(left, 100'000) << name;
  }
}

TEST_F(ToolRemoteRedis, EveryAlteredByteIsRefused) {
  Machine& a = machine("a", config());
  a.write("notes.txt", "x");
  a.persist(key_, "payload", {a.root("notes.txt")});
  Machine& b = machine("b", config());
  std::uint64_t refused = 0;
  for (const std::string& name : {meta_, payload_}) {
    const std::string right = get(name);
    ASSERT_GT(right.size(), RemoteSigner::kOverhead);
    for (std::size_t i = 0; i < right.size(); ++i) {
      std::string altered = right;
      altered[i] = static_cast<char>(altered[i] ^ 1);
      set(name, altered);
      ASSERT_EQ(b.check(key_), "miss") << name << " byte " << i;
      ++refused;
    }
    for (const std::size_t length :
         {std::size_t{1}, RemoteSigner::kOverhead - 1, RemoteSigner::kOverhead, right.size() - 1}) {
      set(name, right.substr(0, length));
      ASSERT_EQ(b.check(key_), "miss") << name << " cut to " << length;
      ++refused;
    }
    set(name, right + "x");
    ASSERT_EQ(b.check(key_), "miss");
    ++refused;
    set(name, right);
  }
  EXPECT_EQ(b.counted("remote_refused"), refused);
  EXPECT_EQ(b.log().count("is refused"), 1U);
  EXPECT_FALSE(b.has(key_));
  b.write("notes.txt", "x");
  EXPECT_EQ(b.check(key_), "hit: payload");
  EXPECT_EQ((a.log().all() + b.log().all()).find(kSecret), std::string::npos);
}

TEST_F(ToolRemoteRedis, AValueBelongsToItsKey) {
  Machine& a = machine("a", config());
  a.persist(key_, "payload");
  const Key other = key_of("another call");
  set(name_of(other, "meta"), get(meta_));
  set(name_of(other, "payload"), get(payload_));
  EXPECT_EQ(a.check(other), "miss");
  EXPECT_EQ(a.counted("remote_refused"), 1U);
}

TEST_F(ToolRemoteRedis, WhoDoesNotKnowTheSecretGetsNothingIn) {
  Machine& a = machine("a", config());
  Machine& stranger = machine("stranger", config("what another team agreed upon"));
  stranger.persist(key_, "forged");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_misses"), 1U);
  // Even where it is put under our names.
  const std::string theirs = "what another team agreed upon";
  set(meta_, get(name_of(key_, "meta", theirs)));
  set(payload_, get(name_of(key_, "payload", theirs)));
  EXPECT_EQ(a.check(key_), "miss");
  set(meta_, "{}");
  set(payload_, "forged");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(number({"DEL", meta_}), 1);
  EXPECT_EQ(number({"LPUSH", meta_, "forged"}), 1);
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_refused"), 3U);
  EXPECT_EQ(a.counted("remote_errors"), 0U);
}

TEST_F(ToolRemoteRedis, AValueThatIsTooLongIsNotRead) {
  RemoteConfig small = config();
  small.max_payload_bytes = 1'000;
  Machine& a = machine("a", config());
  Machine& b = machine("b", small);
  a.persist(key_, std::string(1'001, 'x'));
  EXPECT_EQ(b.check(key_), "miss");
  set(payload_, std::string(20 << 20, 'x'));
  EXPECT_EQ(b.check(key_), "miss");
  EXPECT_EQ(b.counted("remote_refused"), 2U);
  EXPECT_EQ(b.counted("remote_errors"), 0U);
}

// Redis may evict any key at any time.
TEST_F(ToolRemoteRedis, HalfAnEntryIsAMiss) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.persist(key_, "first");
  const std::string first = get(payload_);
  EXPECT_EQ(number({"DEL", payload_}), 1);
  EXPECT_EQ(b.check(key_), "miss");
  a.persist(key_, "second");
  EXPECT_EQ(number({"DEL", meta_}), 1);
  EXPECT_EQ(b.check(key_), "miss");
  // Of two writes, as in the moment between them.
  a.persist(key_, "third");
  set(payload_, first);
  EXPECT_EQ(b.check(key_), "miss");
  EXPECT_EQ(b.counted("remote_misses"), 3U);
  EXPECT_EQ(b.counted("remote_refused"), 0U);
}

TEST_F(ToolRemoteRedis, AnOldValueIsServedOnlyForOldFiles) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "old");
  a.persist(key_, "of the old", {a.root("notes.txt")});
  const std::string meta = get(meta_);
  const std::string payload = get(payload_);
  a.write("notes.txt", "new");
  a.persist(key_, "of the new", {a.root("notes.txt")});
  set(meta_, meta);
  set(payload_, payload);
  b.write("notes.txt", "new");
  EXPECT_EQ(b.check(key_), "invalidated");
  b.write("notes.txt", "old");
  EXPECT_EQ(b.check(key_), "hit: of the old");
}

TEST_F(ToolRemoteRedis, AnInvalidationReachesWhatOnlyRedisHas) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  const Key second = key_of("made from it");
  const Key third = key_of("made from that");
  a.persist(key_, "1");
  a.persist(second, "2", {}, {key_});
  a.persist(third, "3", {}, {second});
  EXPECT_EQ(*b.cache().invalidate_upstream(key_), 0U);
  ASSERT_TRUE(b.passed_on());
  EXPECT_EQ(b.check(second), "miss");
  EXPECT_EQ(b.check(third), "miss");
  EXPECT_EQ(b.check(key_), "hit: 1");
  EXPECT_EQ(number({"EXISTS", name_of(second, "meta"), name_of(third, "payload")}), 0);
}

TEST_F(ToolRemoteRedis, WhatCameFromThereIsInvalidatedHereAsWhatWasMadeHere) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  const Key second = key_of("made from it");
  a.persist(second, "2", {}, {key_});
  EXPECT_EQ(b.check(second), "hit: 2");
  EXPECT_TRUE(b.has(second));
  EXPECT_EQ(*b.cache().invalidate_upstream(key_), 1U);
  EXPECT_EQ(b.check(second), "miss");
  ASSERT_TRUE(b.passed_on());
  EXPECT_EQ(b.check(second), "miss");
}

TEST_F(ToolRemoteRedis, ForgedDependentsAreNotFollowed) {
  Machine& a = machine("a", config());
  a.persist(key_, "1");
  const std::string bytes(reinterpret_cast<const char*>(key_.bytes.data()), key_.bytes.size());
  const std::string set = name_of(key_of("upstream"), "dependents");
  EXPECT_EQ(number({"SADD", set, bytes, std::string(32, '\0') + bytes, "x", ""}), 4);
  ASSERT_TRUE(a.cache().invalidate_upstream(key_of("upstream")));
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(number({"EXISTS", payload_}), 1);
  EXPECT_EQ(number({"DEL", set}), 1);
  EXPECT_EQ(server_.ask({"SET", set, "x"}).text, "OK");
  ASSERT_TRUE(a.cache().invalidate_upstream(key_of("upstream")));
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(a.counted("remote_errors"), 0U);
}

TEST_F(ToolRemoteRedis, AnEntryThatCouldNotBeInvalidatedIsNotShared) {
  Machine& a = machine("a", config());
  const std::string set = name_of(key_of("upstream"), "dependents");
  server_.ask({"EVAL", "for i = 1, 10000 do redis.call('SADD', KEYS[1], i) end", "1", set});
  a.persist(key_, "1", {}, {key_of("upstream")});
  EXPECT_EQ(number({"EXISTS", payload_, meta_}), 0);
  EXPECT_EQ(number({"SCARD", set}), 10'000);
  EXPECT_EQ(a.counted("remote_dropped"), 1U);
  EXPECT_EQ(a.check(key_), "hit: 1");
}

TEST_F(ToolRemoteRedis, MarkDirtyAndInvalidatePathReachIt) {
  Machine& a = machine("a", config());
  a.write("notes.txt", "x");
  a.persist(key_, "1", {a.root("notes.txt")});
  ASSERT_TRUE(a.cache().mark_dirty(key_));
  EXPECT_EQ(a.check(key_), "miss");
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(number({"EXISTS", payload_, meta_}), 0);
  a.persist(key_, "1", {a.root("notes.txt")});
  a.persist(key_of("made from it"), "2", {}, {key_});
  EXPECT_EQ(*a.cache().invalidate_path("notes.txt"), 1U);
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.check(key_of("made from it")), "miss");
}

TEST_F(ToolRemoteRedis, WithoutItTheLocalStoreGoesOn) {
  Machine& a = machine("a", config(), clock_);
  Machine& b = machine("b", config(), clock_);
  a.persist(key_, "1");
  server_.kill();
  EXPECT_EQ(b.check(key_), "miss");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(b.check(key_of("call " + std::to_string(i))), "miss");
  b.persist(key_, "made by b");
  EXPECT_EQ(b.check(key_), "hit: made by b");
  EXPECT_EQ(b.counted("remote_errors"), 1U);
  EXPECT_EQ(b.log().count("is out of use"), 1U);

  // It comes back empty: nothing is there, and everything is again passed on to it.
  server_.start();
  const Key other = key_of("another call");
  for (int i = 0; i < 200 && b.counted("remote_misses") == 0; ++i) {
    clock_.advance(60 * core::kSecond);
    EXPECT_EQ(b.check(other), "miss");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(b.counted("remote_misses"), 1U);
  EXPECT_EQ(b.log().count("answers again"), 1U);
  b.persist(other, "2");
  EXPECT_EQ(a.check(other), "hit: 2");
}

TEST_F(ToolRemoteRedis, AFrozenOneCostsItsTimeoutOnce) {
  RemoteConfig hasty = config();
  hasty.timeout_ms = 50;
  Machine& a = machine("a", hasty, clock_);
  server_.freeze();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(a.check(key_), "miss");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(a.counted("remote_errors"), 1U);
  server_.thaw();
}

TEST_F(ToolRemoteRedis, AWrongPasswordIsSaidOnceAndNeverWritten) {
  core::RedisServer guarded({"--requirepass", "open-sesame"});
  Machine& a = machine("a", config_of({"redis://:hunter2@" + guarded.place()}), clock_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a.check(key_), "miss");
    clock_.advance(10 * core::kSecond);
  }
  a.persist(key_, "1");
  EXPECT_EQ(a.check(key_), "hit: 1");
  EXPECT_EQ(a.log().count("is out of use"), 1U);
  EXPECT_EQ(a.log().all().find("hunter2"), std::string::npos);
}

TEST_F(ToolRemoteRedis, AFullOneThatDoesNotEvict) {
  Machine& a = machine("a", config());
  a.persist(key_, "1");
  server_.ask({"CONFIG", "SET", "maxmemory", "1"});
  a.persist(key_of("another call"), "2");
  EXPECT_EQ(a.counted("remote_dropped"), 1U);
  EXPECT_EQ(a.counted("remote_errors"), 0U);
  EXPECT_EQ(a.log().count("is not shared"), 1U);
  Machine& b = machine("b", config());
  EXPECT_EQ(b.check(key_), "hit: 1");
}

TEST_F(ToolRemoteRedis, AnAddressThatIsNoneIsAConfigurationError) {
  const auto opened = ToolCache::open(
      {directory_ / "store", "", nullptr},
      [] {
        Config config;
        config.remote = config_of({"redis://:hunter2@[nowhere"});
        return config;
      }(),
      core::system_clock(), log_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().status, core::Status::kConfig);
  EXPECT_EQ(opened.error().message.find("hunter2"), std::string::npos);
}

TEST_F(ToolRemoteRedis, ManyThreadsOfManyMachines) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Machine& mine = t % 2 == 0 ? a : b;
      for (int i = 0; i < 60; ++i) {
        const std::string call = "call " + std::to_string(i % 20);
        const Key key = key_of(call);
        const std::string found = mine.check(key);
        if (found != "miss" && found != "hit: " + call) ++wrong;
        Meta meta;
        meta.tool_kind = "read";
        meta.upstream_keys = {key_of("upstream").hex()};
        if (found == "miss" && !mine.cache().persist(key, call, meta)) ++wrong;
        if (i % 7 == t && !mine.cache().mark_dirty(key)) ++wrong;
        if (i % 31 == t && !mine.cache().invalidate_upstream(key_of("upstream"))) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(a.passed_on());
  EXPECT_TRUE(b.passed_on());
  EXPECT_EQ(a.counted("remote_errors") + b.counted("remote_errors"), 0U);
  EXPECT_EQ(a.counted("remote_refused") + b.counted("remote_refused"), 0U);
}

using ToolRemoteCluster = RemoteFixture;

TEST_F(ToolRemoteCluster, KeepsEntriesAndWhatWasMadeFromThem) {
  core::RedisCluster cluster;
  RemoteConfig config = config_of(cluster.urls());
  config.cluster = true;
  Machine& a = machine("a", config);
  Machine& b = machine("b", config);
  const Key first = key_of("call 0");
  for (int i = 0; i < 12; ++i) {
    const std::string call = "call " + std::to_string(i);
    std::vector<Key> upstreams;
    if (i > 0) upstreams = {key_of("call " + std::to_string(i - 1))};
    a.persist(key_of(call), call, {}, upstreams);
  }
  EXPECT_EQ(a.counted("remote_stored"), 12U);
  EXPECT_EQ(b.check(key_of("call 5")), "hit: call 5");
  ASSERT_TRUE(b.cache().invalidate_upstream(first));
  ASSERT_TRUE(b.passed_on());
  EXPECT_EQ(b.check(first), "hit: call 0");
  for (int i = 1; i < 12; ++i) EXPECT_EQ(b.check(key_of("call " + std::to_string(i))), "miss");
}

}  // namespace
}  // namespace satchel::tool_cache
