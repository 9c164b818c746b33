// The client against real servers, and against one that talks nonsense.
#include "core/redis.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "allocations.hpp"
#include "redis_server.hpp"
#include "talking_server.hpp"

namespace satchel::core {
namespace {

using Kind = RedisReply::Kind;

std::unique_ptr<Redis> client(std::vector<std::string> urls, RedisLimits limits = {},
                              bool cluster = false) {
  RedisOptions options;
  options.urls = std::move(urls);
  options.cluster = cluster;
  options.limits = limits;
  auto redis = Redis::make(options);
  if (!redis) throw std::runtime_error(redis.error().message);
  return std::move(*redis);
}

// On a machine under load everything takes its time.
RedisLimits patient() {
  RedisLimits limits;
  limits.timeout_ns = 20 * kSecond;
  return limits;
}

RedisLimits hasty() {
  RedisLimits limits;
  limits.timeout_ns = 300 * kNanosPerMilli;
  return limits;
}

std::vector<RedisReply> run(Redis& redis, std::vector<RedisCommand> commands,
                            const std::string& key = "k") {
  auto replies = redis.run(key, commands);
  if (replies) return std::move(*replies);
  ADD_FAILURE() << replies.error().message;
  return std::vector<RedisReply>(commands.size());
}

std::string text(Redis& redis, RedisCommand command) {
  return run(redis, {std::move(command)}).front().text;
}

bool answers(Redis& redis) { return redis.run("k", std::vector<RedisCommand>{{"PING"}}).ok(); }

TEST(RedisUrlTest, SaysWhereAndWho) {
  const auto url = parse_redis_url("redis://al%69ce:p%40ss@db.example:7000/3");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "db.example");
  EXPECT_EQ(url->port, 7000);
  EXPECT_EQ(url->database, 3U);
  EXPECT_EQ(url->credentials->user, "alice");
  EXPECT_EQ(url->credentials->password.view(), "p@ss");
  EXPECT_EQ(url->place(), "db.example:7000");
  EXPECT_EQ(parse_redis_url("redis://[::1]")->place(), "[::1]:6379");
  EXPECT_EQ(parse_redis_url("redis://h/")->database, 0U);
  EXPECT_EQ(parse_redis_url("redis://:secret@h")->credentials->user, "");
  EXPECT_EQ(parse_redis_url("unix:/run/redis.sock")->place(), "/run/redis.sock");
}

TEST(RedisUrlTest, RefusesWhatItIsNotAndQuotesNoSecret) {
  for (const char* bad : {"", "redis://", "redis://:secret@", "redis://h:0", "redis://h:70000",
                          "redis://h:x", "redis://secret@h", "redis://u:sec%zzret@h",
                          "redis://u:secret%4@h", "redis://h/x", "rediss://u:secret@h",
                          "http://u:secret@h", "unix:secret", "redis://[::1", "redis://h:1:2"}) {
    const auto url = parse_redis_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().status, Status::kConfig);
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << bad;
  }
}

TEST(RedisSlotTest, IsRedisOwn) {
  EXPECT_EQ(redis_slot("123456789"), 12739);
  EXPECT_EQ(redis_slot("foo"), 12182);
  EXPECT_EQ(redis_slot("a{foo}b"), 12182);
  EXPECT_EQ(redis_slot("{foo}{bar}"), 12182);
  EXPECT_NE(redis_slot("{}foo"), 12182);
}

TEST(RedisTest, APipelineIsAnsweredInItsOrder) {
  const RedisServer server;
  const auto redis = client({server.url()}, patient());
  const std::string bytes("\0\r\n\xff*$", 6);
  const auto replies = run(*redis, {{"SET", "k", bytes},
                                    {"GET", "k"},
                                    {"GET", "none"},
                                    {"INCR", "k"},
                                    {"INCR", "n"},
                                    {"MGET", "k", "none", "n"},
                                    {"EVAL", "return {1,{'a',{}},'b'}", "0"}});
  ASSERT_EQ(replies.size(), 7U);
  EXPECT_EQ(replies[0].kind, Kind::kStatus);
  EXPECT_EQ(replies[1].text, bytes);
  EXPECT_EQ(replies[2].kind, Kind::kNil);
  EXPECT_TRUE(replies[3].is_error());  // and hurts none of the others
  EXPECT_EQ(replies[4].integer, 1);
  ASSERT_EQ(replies[5].elements.size(), 3U);
  EXPECT_EQ(replies[5].elements[1].kind, Kind::kNil);
  EXPECT_EQ(replies[5].elements[2].text, "1");
  EXPECT_EQ(replies[6].elements[1].elements[0].text, "a");
}

TEST(RedisTest, LongPipelinesAndValuesPassThrough) {
  const RedisServer server;
  const auto redis = client({server.url()}, patient());
  const std::string big(8 << 20, 'x');
  std::vector<RedisCommand> commands{{"SET", "k", big}};
  for (int i = 0; i < 5000; ++i) commands.push_back({"INCR", "n"});
  commands.push_back({"GET", "k"});
  const auto replies = run(*redis, commands);
  EXPECT_EQ(replies[5000].integer, 5000);
  EXPECT_TRUE(replies[5001].text == big);
}

TEST(RedisTest, AReplyOverTheLimitIsAnErrorAndTheNextCallWorks) {
  const RedisServer server;
  RedisLimits limits = patient();
  limits.max_reply_bytes = 1000;
  const auto redis = client({server.url()}, limits);
  run(*redis, {{"SET", "k", std::string(2000, 'x')}});
  const auto replies = redis->run("k", std::vector<RedisCommand>{{"GET", "k"}});
  ASSERT_FALSE(replies);
  EXPECT_EQ(replies.error().status, Status::kLimit);
  EXPECT_EQ(text(*redis, {"PING"}), "PONG");
}

TEST(RedisTest, SpeaksThroughAUnixSocket) {
  const TemporaryDirectory directory;
  const RedisServer server({"--unixsocket", directory / "s"});
  EXPECT_EQ(text(*client({"unix:" + (directory / "s")}, patient()), {"PING"}), "PONG");
}

// As after a failover: the name leads to the new master, and the old one keeps its connections.
TEST(RedisTest, AServerThatOnlyReadsIsLeftForTheOneThatItsNameLeadsToNow) {
  const TemporaryDirectory directory;
  const std::string name = directory / "name";
  const RedisServer old({"--unixsocket", directory / "old"});
  const RedisServer promoted({"--unixsocket", directory / "new"});
  std::filesystem::create_symlink(directory / "old", name);
  const auto redis = client({"unix:" + name}, patient());
  EXPECT_EQ(text(*redis, {"SET", "k", "v"}), "OK");
  std::filesystem::remove(name);
  std::filesystem::create_symlink(directory / "new", name);
  old.ask({"REPLICAOF", "127.0.0.1", std::to_string(promoted.port())});
  const RedisCommand write{"SET", "k", "v"};
  EXPECT_TRUE(eventually([&] { return redis->run("k", {&write, 1}).ok(); }));
  EXPECT_EQ(promoted.ask({"GET", "k"}).text, "v");
}

// The C library resolves on threads that the thread sanitizer does not know.
#ifndef __SANITIZE_THREAD__
TEST(RedisTest, FindsAHostByItsName) {
  const RedisServer server;
  const auto redis = client({"redis://localhost:" + std::to_string(server.port())}, patient());
  EXPECT_EQ(text(*redis, {"PING"}), "PONG");
}

TEST(RedisTest, AHostThatDoesNotExistIsAnError) {
  const auto redis = client({"redis://no-such-host.invalid"}, hasty());
  EXPECT_FALSE(answers(*redis));
}
#endif

TEST(RedisTest, UsesItsDatabaseAndItsPassword) {
  const RedisServer server({"--requirepass", "open sesame"});
  const auto redis = client({"redis://:open%20sesame@" + server.place() + "/5"}, patient());
  run(*redis, {{"SET", "k", "v"}});
  EXPECT_EQ(server.ask_as("open%20sesame", {"GET", "k"}).kind, Kind::kNil);
  EXPECT_EQ(text(*redis, {"GET", "k"}), "v");
}

TEST(RedisTest, AWrongPasswordIsSaidWithoutIt) {
  const RedisServer server({"--requirepass", "open sesame"});
  const auto redis = client({"redis://:guessed@" + server.place()}, patient());
  const auto replies = redis->run("k", std::vector<RedisCommand>{{"PING"}});
  ASSERT_FALSE(replies);
  EXPECT_EQ(replies.error().status, Status::kConfig);
  EXPECT_EQ(replies.error().message.find("guessed"), std::string::npos);
}

TEST(RedisTest, AServerThatWasRestartedIsUsedAgainWithoutAnError) {
  RedisServer server;
  const auto redis = client({server.url()}, patient());
  EXPECT_TRUE(answers(*redis));
  server.kill();
  server.start();
  EXPECT_TRUE(answers(*redis));
}

TEST(RedisTest, AServerThatIsAwayFailsAtOnceAndIsFoundAgain) {
  RedisServer server;
  const auto redis = client({server.url()}, patient());
  EXPECT_TRUE(answers(*redis));
  server.stop();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(answers(*redis));
  server.start();
  EXPECT_TRUE(eventually([&] { return answers(*redis); }));
}

TEST(RedisTest, AServerThatIsStuckCostsItsTimeoutOnceAndIsUsedAgain) {
  RedisServer server;
  const auto redis = client({server.url()}, hasty());
  EXPECT_TRUE(eventually([&] { return answers(*redis); }));
  server.freeze();
  // Were each to wait for the timeout, these would take five minutes.
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(answers(*redis));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  server.thaw();
  EXPECT_TRUE(eventually([&] { return answers(*redis); }));
}

// With its default action SIGPIPE would end this process.
TEST(RedisTest, AServerThatGoesWhileWeWriteRaisesNoSigpipe) {
  ASSERT_NE(std::signal(SIGPIPE, SIG_DFL), SIG_ERR);
  RedisServer server;
  const auto redis = client({server.url()}, patient());
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&] {
      const std::string big(4 << 20, 'x');
      while (!stop) {
        if (!redis->run("k", std::vector<RedisCommand>{{"SET", "k", big}})) ++failed;
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    server.kill();
    const int before = failed;
    EXPECT_TRUE(eventually([&] { return failed > before + 10; }));
    server.start();
    EXPECT_TRUE(eventually([&] { return answers(*redis); }));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
}

TEST(RedisTest, ManyThreadsShareFewConnections) {
  const RedisServer server;
  RedisLimits limits = patient();
  limits.pool = 2;
  const auto redis = client({server.url()}, limits);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 32; ++t) {
    threads.emplace_back([&, t] {
      const std::string key = "k" + std::to_string(t);
      for (int i = 0; i < 100; ++i) {
        const std::string value = key + '/' + std::to_string(i);
        const auto replies =
            redis->run(key, std::vector<RedisCommand>{{"SET", key, value}, {"GET", key}});
        if (!replies || (*replies)[1].text != value) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  const std::string stats = server.ask({"INFO", "stats"}).text;
  const auto at = stats.find("total_connections_received:");
  EXPECT_LE(std::stoi(stats.substr(at + 27)), 10) << "with those of this test itself";
}

TEST(RedisTest, NobodyWaitsBeyondTheTimeoutForAFreeConnection) {
  RedisServer server;
  RedisLimits limits = hasty();
  limits.pool = 1;
  const auto redis = client({server.url()}, limits);
  EXPECT_TRUE(eventually([&] { return answers(*redis); }));
  std::thread slow([&] {
    EXPECT_FALSE(redis->run("k", std::vector<RedisCommand>{{"BLPOP", "nothing", "0"}}));
  });
  bool busy = false;
  EXPECT_TRUE(eventually([&] {
    const auto replies = redis->run("k", std::vector<RedisCommand>{{"PING"}});
    busy = busy || (!replies && replies.error().status == Status::kBusy);
    return replies.ok();
  }));
  slow.join();
  EXPECT_TRUE(eventually([&] { return answers(*redis); }));
}

TEST(RedisTest, AServerThatTakesNoMoreClientsIsUsedThroughTheConnectionsThereAre) {
  RedisServer server;
  RedisLimits limits = patient();
  limits.timeout_ns = 5 * kSecond;
  const auto redis = client({server.url()}, limits);
  EXPECT_TRUE(answers(*redis));
  server.ask({"CONFIG", "SET", "maxclients", "1"});
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        if (!answers(*redis)) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(failed, 150);
  EXPECT_TRUE(answers(*redis));
}

TEST(RedisTest, NonsenseIsAnErrorEachTime) {
  const std::vector<std::string> nonsense = {
      "HTTP/1.1 200 OK\r\n\r\n",
      "*1000000000\r\n",
      "$-7\r\n",
      "$99999999999999999999\r\n",
      "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n",
      ":x\r\n",
      std::string(100, '\0'),
      "+OK\r\n+OK\r\n",
      "*2000000\r\n",
      ",1.5\r\n"};
  for (const std::string& answer : nonsense) {
    TalkingServer server({answer});
    const auto redis = client({server.url()}, hasty());
    EXPECT_FALSE(answers(*redis)) << answer;
  }
}

TEST(RedisTest, AnAnswerInPiecesIsReadAndOneThatNeverEndsIsNot) {
  {
    TalkingServer server({"+PO", "NG\r\n", "*2\r\n$1\r\n", "a\r\n$-1\r\n"}, 20);
    const auto redis = client({server.url()}, patient());
    const auto replies = run(*redis, {{"X"}});
    ASSERT_EQ(replies[0].elements.size(), 2U);
    EXPECT_EQ(replies[0].elements[0].text, "a");
  }
  TalkingServer server({"+PONG\r\n", "*100\r\n:1\r\n"});
  const auto redis = client({server.url()}, hasty());
  const auto replies = redis->run("k", std::vector<RedisCommand>{{"X"}});
  ASSERT_FALSE(replies);
  EXPECT_EQ(replies.error().status, Status::kTimeout);
}

class RedisClusterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { cluster_ = new RedisCluster; }
  static void TearDownTestSuite() { delete cluster_; }

  static RedisCluster* cluster_;
  std::unique_ptr<Redis> redis_ = client({cluster_->urls()[0]}, patient(), true);
};
RedisCluster* RedisClusterTest::cluster_ = nullptr;

TEST_F(RedisClusterTest, EachKeyGoesToItsNode) {
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_EQ(run(*redis_, {{"SET", key, key}}, key)[0].text, "OK");
    RedisServer& owner = cluster_->node(cluster_->owner(redis_slot(key)));
    EXPECT_EQ(owner.ask({"GET", key}).text, key);
  }
}

TEST_F(RedisClusterTest, AMapThatMemoryRanOutOverIsAskedForAgain) {
  for (std::size_t nth = 4; nth <= 64; nth *= 4) {
    const auto redis = client({cluster_->urls()[0]}, patient(), true);
    try {
      const test::FailingAllocation failing(nth);
      static_cast<void>(redis->run("k", std::vector<RedisCommand>{{"GET", "k"}}));
    } catch (const std::bad_alloc&) {
    }
    EXPECT_TRUE(eventually([&] {
      return redis->run("k", std::vector<RedisCommand>{{"GET", "k"}}).ok();
    })) << "after the failure of allocation "
        << nth;
  }
}

TEST_F(RedisClusterTest, ASlotThatMovesIsFollowed) {
  const std::string tag = "{moving}";
  const std::uint16_t slot = redis_slot(tag);
  const std::size_t from = cluster_->owner(slot);
  const std::size_t to = (from + 1) % 3;
  run(*redis_, {{"SET", tag + "old", "1"}}, tag);
  cluster_->begin_migration(slot, from, to);
  // What is there is answered, what is not is asked for at the other node, both in one pipeline.
  const auto replies =
      run(*redis_, {{"GET", tag + "old"}, {"SET", tag + "new", "2"}, {"GET", tag + "new"}}, tag);
  EXPECT_EQ(replies[0].text, "1");
  EXPECT_EQ(replies[1].text, "OK");
  EXPECT_EQ(replies[2].text, "2");
  const auto mixed =
      redis_->run(tag, std::vector<RedisCommand>{{"MGET", tag + "old", tag + "new"}});
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().status, Status::kUnavailable);
  cluster_->end_migration(slot, from, to);
  EXPECT_EQ(run(*redis_, {{"MGET", tag + "old", tag + "new"}}, tag)[0].elements[0].text, "1");
  EXPECT_EQ(cluster_->node(to).ask({"GET", tag + "new"}).text, "2");
  cluster_->begin_migration(slot, to, from);
  cluster_->end_migration(slot, to, from);
  EXPECT_EQ(run(*redis_, {{"GET", tag + "old"}}, tag)[0].text, "1");
}

TEST_F(RedisClusterTest, KeysOfAllNodesAreRemovedByPattern) {
  for (int i = 0; i < 300; ++i) {
    const std::string key = "gone" + std::to_string(i);
    run(*redis_, {{"SET", key, "x"}, {"SET", "{" + key + "}stays", "x"}}, key);
  }
  ASSERT_TRUE(redis_->remove_matching("gone*", 30 * kSecond).ok());
  for (int i = 0; i < 300; ++i) {
    const std::string key = "gone" + std::to_string(i);
    const auto replies = run(*redis_, {{"GET", key}, {"GET", "{" + key + "}stays"}}, key);
    EXPECT_EQ(replies[0].kind, Kind::kNil);
    EXPECT_EQ(replies[1].text, "x");
  }
}

TEST_F(RedisClusterTest, ANodeThatIsGoneHurtsNoOther) {
  const auto key_of = [&](std::size_t node) {
    for (int i = 0;; ++i) {
      const std::string key = std::to_string(i);
      if (cluster_->owner(redis_slot(key)) == node) return key;
    }
  };
  const auto works = [&](std::size_t node) {
    return redis_->run(key_of(node), std::vector<RedisCommand>{{"GET", key_of(node)}}).ok();
  };
  for (std::size_t node = 0; node < 3; ++node) EXPECT_TRUE(works(node));
  cluster_->node(0).kill();  // the one whose URL we were given
  EXPECT_FALSE(works(0));
  EXPECT_TRUE(works(1));
  EXPECT_TRUE(works(2));
  cluster_->node(0).start();
  EXPECT_TRUE(eventually([&] { return works(0); }));
}

}  // namespace
}  // namespace satchel::core
