// Two machines that share a cache server.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "cache_server.hpp"
#include "remote_fixture.hpp"

namespace satchel::tool_cache {
namespace {

class ToolRemoteHttp : public RemoteFixture {
 protected:
  RemoteConfig config(const char* token = CacheServer::kToken) {
    RemoteConfig config;
    config.kind = "http";
    config.url = server_.url();
    config.token = std::make_shared<const core::Secret>(std::string_view(token));
    // Long, so that a busy machine makes no failure of it; those that wait for it make it short.
    config.timeout_ms = 20'000;
    config.send_timeout_ms = 20'000;
    return config;
  }

  CacheServer server_;
  const Key key_ = key_of("read notes.txt");
};

TEST_F(ToolRemoteHttp, WhatOneMachineMadeServesTheOtherWhileItsFilesAgree) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "three short words");
  a.persist(key_, "3", {a.root("notes.txt")});
  EXPECT_EQ(a.counted("remote_stored"), 1U);

  EXPECT_EQ(b.check(key_), "invalidated");  // it has no such file
  b.write("notes.txt", "four words, not three");
  EXPECT_EQ(b.check(key_), "invalidated");
  EXPECT_FALSE(b.has(key_));
  EXPECT_EQ(b.counted("remote_stale"), 2U);

  b.write("notes.txt", "three short words");
  EXPECT_EQ(b.check(key_), "hit: 3");
  EXPECT_TRUE(b.has(key_));
  EXPECT_EQ(b.counted("remote_hits"), 1U);
  EXPECT_EQ(b.counted("hits"), 1U);

  // From now on it is b's own, and only its own files count.
  const std::size_t asked = server_.requests();
  EXPECT_EQ(b.check(key_), "hit: 3");
  EXPECT_EQ(server_.requests(), asked);
  b.write("notes.txt", "changed");
  EXPECT_EQ(b.check(key_), "invalidated");
}

TEST_F(ToolRemoteHttp, ALookupWithoutRevalidationIsRevalidatedWhenItComesFromThere) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "three short words");
  a.persist(key_, "3", {a.root("notes.txt")});
  EXPECT_EQ(b.look(key_), "invalidated");
  b.write("notes.txt", "three short words");
  EXPECT_EQ(b.look(key_), "hit: 3");
}

TEST_F(ToolRemoteHttp, AStaleEntryHereIsReplacedByATrueOneFromThere) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  b.write("notes.txt", "old");
  b.persist(key_, "of the old", {b.root("notes.txt")});
  a.write("notes.txt", "new");
  a.persist(key_, "of the new", {a.root("notes.txt")});
  EXPECT_EQ(b.check(key_), "hit: of the old");
  b.write("notes.txt", "new");
  EXPECT_EQ(b.check(key_), "hit: of the new");
  EXPECT_EQ(b.counted("remote_hits"), 1U);
}

TEST_F(ToolRemoteHttp, GetOrBeginTakesWhatIsThereAndPassesOnWhatItMade) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "x");
  b.write("notes.txt", "x");
  Call call;
  call.kind = "read";
  call.roots = {{"notes.txt", ""}};
  auto begun = a.cache().get_or_begin(key_, call);
  ASSERT_TRUE(begun);
  ASSERT_EQ(begun->answer, core::Status::kLeased);
  // Once for the two looks of one call.
  EXPECT_EQ(server_.requests(), 1U);
  ASSERT_TRUE(begun->lease->commit("made by a", {}));
  ASSERT_TRUE(a.passed_on());
  begun = b.cache().get_or_begin(key_, call);
  ASSERT_TRUE(begun);
  ASSERT_EQ(begun->answer, core::Status::kOk);
  EXPECT_EQ(*begun->stored.payload->view(), "made by a");
}

TEST_F(ToolRemoteHttp, APayloadWrittenInPiecesIsPassedOnToo) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  auto writer = a.cache().begin_persist(key_);
  ASSERT_TRUE(writer);
  std::string whole;
  for (int i = 0; i < 30; ++i) {
    const std::string piece(100'000, static_cast<char>('a' + i % 26));
    ASSERT_TRUE((*writer)->write(piece));
    whole += piece;
  }
  Meta meta;
  meta.tool_kind = "grep";
  ASSERT_TRUE(a.cache().commit_written(key_, **writer, meta));
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(b.check(key_), "hit: " + whole);
}

TEST_F(ToolRemoteHttp, WhatIsNotToBeSharedStaysHere) {
  RemoteConfig small = config();
  small.max_payload_bytes = 100;
  Machine& a = machine("a", small);
  a.persist(key_, std::string(101, 'x'));
  a.write("notes.txt", "x");
  const auto stat = a.cache().fingerprint("notes.txt", FingerprintForm::kStat);
  ASSERT_TRUE(stat);
  a.persist(key_of("by size and time"), "3", {{"notes.txt", *stat}});
  EXPECT_EQ(server_.requests(), 0U);
  EXPECT_EQ(a.counted("remote_dropped"), 2U);
  EXPECT_EQ(a.check(key_of("by size and time")), "hit: 3");
  EXPECT_EQ(a.log().count("is not shared"), 1U);
}

TEST_F(ToolRemoteHttp, NothingComesBackThatWasInvalidatedHere) {
  Machine& a = machine("a", config());
  const Key made_from = key_of("made from it");
  a.write("notes.txt", "x");
  a.persist(key_, "1", {a.root("notes.txt")});
  ASSERT_TRUE(a.cache().mark_dirty(key_));
  EXPECT_EQ(a.check(key_), "miss");
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(server_.entries(), 0U);

  a.persist(key_, "1", {a.root("notes.txt")});
  a.persist(made_from, "2", {}, {key_});
  EXPECT_EQ(server_.entries(), 2U);
  EXPECT_EQ(*a.cache().invalidate_path("notes.txt"), 1U);
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.check(made_from), "miss");
  ASSERT_TRUE(a.passed_on());
  EXPECT_EQ(server_.entries(), 0U);
}

TEST_F(ToolRemoteHttp, AnInvalidationReachesWhatOnlyTheServerHas) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  const Key made_from = key_of("made from it");
  a.persist(made_from, "2", {}, {key_});
  EXPECT_EQ(b.check(made_from), "hit: 2");
  // Its upstreams are the server's to know: so it is not kept here.
  EXPECT_FALSE(b.has(made_from));
  EXPECT_EQ(*b.cache().invalidate_upstream(key_), 0U);
  EXPECT_EQ(b.check(made_from), "miss");
  ASSERT_TRUE(b.passed_on());
  EXPECT_EQ(b.check(made_from), "miss");
}

TEST_F(ToolRemoteHttp, WhileAnInvalidationIsOnItsWayNothingIsReadFromThere) {
  Machine& a = machine("a", config(), clock_);
  a.persist(key_, "1");
  server_.misbehave([](core::ServedConnection& to) {
    to.write(core::answer_text(500, ""));
    return true;
  });
  ASSERT_TRUE(a.cache().mark_dirty(key_));
  const std::uint64_t unasked = a.counted("remote_unasked");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_unasked"), unasked + 1);
  EXPECT_EQ(server_.entries(), 1U);
  // It is tried again until the server has done it.
  server_.misbehave(nullptr);
  // More than once: an answer from before may still be on its way, and begin a pause of its own.
  ASSERT_TRUE(core::eventually([&] {
    clock_.advance(60 * core::kSecond);
    return a.cache().flush(core::kSecond);
  }));
  EXPECT_EQ(server_.entries(), 0U);
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_unasked"), unasked + 1);
}

TEST_F(ToolRemoteHttp, AnAnswerFromBeforeAnInvalidationIsNotServedAfterIt) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.persist(key_, "1");
  server_.before_lookup([&] { EXPECT_TRUE(b.cache().mark_dirty(key_)); });
  EXPECT_EQ(b.check(key_), "miss");
  EXPECT_FALSE(b.has(key_));
  server_.before_lookup(nullptr);
}

TEST_F(ToolRemoteHttp, AServerThatIsAwayIsAskedOnceInAWhile) {
  Machine& a = machine("a", config(), clock_);
  a.persist(key_, "1");
  server_.misbehave([](core::ServedConnection&) { return false; });
  const Key other = key_of("another call");
  EXPECT_EQ(a.check(other), "miss");
  EXPECT_EQ(a.counted("remote_errors"), 1U);
  const std::size_t asked = server_.requests();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.check(other), "miss");
  EXPECT_EQ(a.check(key_), "hit: 1");
  a.persist(other, "2");
  EXPECT_EQ(a.check(other), "hit: 2");
  EXPECT_EQ(server_.requests(), asked);
  EXPECT_EQ(a.counted("remote_unasked"), 100U);
  EXPECT_EQ(a.counted("remote_dropped"), 1U);
  EXPECT_EQ(a.log().count("is out of use"), 1U);

  clock_.advance(2 * core::kSecond);
  EXPECT_EQ(a.check(key_of("a third")), "miss");  // still away
  EXPECT_EQ(a.counted("remote_errors"), 2U);
  server_.misbehave(nullptr);
  clock_.advance(40 * core::kSecond);
  EXPECT_EQ(a.check(key_of("a third")), "miss");
  EXPECT_EQ(a.counted("remote_misses"), 1U);
  EXPECT_EQ(a.log().count("is out of use"), 1U);
  EXPECT_EQ(a.log().count("answers again"), 1U);
  a.persist(other, "2");
  EXPECT_EQ(a.counted("remote_stored"), 2U);
}

TEST_F(ToolRemoteHttp, ASlowServerCostsItsTimeoutOnce) {
  RemoteConfig hasty = config();
  hasty.timeout_ms = 50;
  Machine& a = machine("a", hasty, clock_);
  server_.misbehave([](core::ServedConnection& to) {
    to.wait_gone();
    return false;
  });
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(a.check(key_), "miss");
  // A thousand timeouts would be 50 seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(a.counted("remote_errors"), 1U);
}

TEST_F(ToolRemoteHttp, AWrongTokenIsSaidOnceAndNeverWritten) {
  Machine& a = machine("a", config("hunter2-hunter2"), clock_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a.check(key_), "miss");
    a.persist(key_of("another call"), "2");
    clock_.advance(10 * core::kSecond);
  }
  EXPECT_EQ(a.log().count("refuses our token"), 1U);
  EXPECT_EQ(a.log().all().find("hunter2"), std::string::npos);
  EXPECT_EQ(a.check(key_of("another call")), "hit: 2");
}

TEST_F(ToolRemoteHttp, GarbageIsAMiss) {
  Machine& a = machine("a", config(), clock_);
  for (const char* body : {"", "garbage", "{}", R"({"kind":"hit"})", R"({"kind":"hit)"}) {
    server_.put(key_.hex(), body);
    EXPECT_EQ(a.check(key_), "miss");
    clock_.advance(60 * core::kSecond);
  }
  EXPECT_EQ(a.counted("remote_errors"), 5U);
  // This one is an answer, of an entry that is not to be believed.
  server_.put(key_.hex(), R"({"kind":"hit","payload":"Zm9v","tool_kind":"read","bytes":4})");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_refused"), 2U);
  EXPECT_EQ(a.log().count("is refused"), 1U);
  EXPECT_FALSE(a.has(key_));
}

TEST_F(ToolRemoteHttp, AnAnswerLongerThanWanted) {
  RemoteConfig small = config();
  small.max_payload_bytes = 1'000;
  Machine& a = machine("a", small);
  server_.put(key_.hex(), std::string(4 << 20, ' '));
  EXPECT_EQ(a.check(key_), "miss");
  server_.put(key_.hex(), R"({"kind":"hit","payload":")" + std::string(4'000, 'A') +
                              R"(","tool_kind":"read","bytes":3000})");
  EXPECT_EQ(a.check(key_), "miss");
  EXPECT_EQ(a.counted("remote_refused"), 2U);
}

// Roots name any file that a local root may name; what decides is its content here.
TEST_F(ToolRemoteHttp, PathsLeadWhereTheyLeadHere) {
  Machine& a = machine("a", config());
  Machine& b = machine("b", config());
  a.write("notes.txt", "x");
  b.write("other.txt", "y");
  std::filesystem::create_symlink(b.workspace() + "/other.txt", b.workspace() + "/notes.txt");
  a.persist(key_, "1", {a.root("notes.txt")});
  EXPECT_EQ(b.check(key_), "invalidated");
  b.write("other.txt", "x");
  EXPECT_EQ(b.check(key_), "hit: 1");

  const Key absolute = key_of("by an absolute path");
  a.persist(absolute, "2", {a.root(a.workspace() + "/notes.txt")});
  EXPECT_EQ(b.check(absolute), "hit: 2");
  a.write("notes.txt", "z");
  EXPECT_EQ(b.check(absolute), "invalidated");

  // Nothing that has no content is opened, nor waited for.
  ASSERT_EQ(::mkfifo((b.workspace() + "/fifo").c_str(), 0600), 0);
  const std::string hash(64, 'a');
  for (const std::string path : {"/dev/zero", "/dev/stdin", "../../nowhere", "/", "fifo"}) {
    const Key strange = key_of(path);
    server_.put(strange.hex(),
                R"({"kind":"hit","payload":"Zm9v","tool_kind":"read","bytes":3,"file_roots":)"
                R"([{"path":")" +
                    path + R"(","expected_hash":")" + hash + R"("}]})");
    EXPECT_EQ(b.check(strange), "invalidated") << path;
  }
}

TEST_F(ToolRemoteHttp, ClosingPassesOnWhatWaits) {
  Machine& a = machine("a", config());
  Meta meta;
  meta.tool_kind = "read";
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(a.cache().persist(key_of("call " + std::to_string(i)), "x", meta));
  }
  a.close();
  EXPECT_EQ(server_.entries(), 20U);
}

TEST_F(ToolRemoteHttp, ClosingDoesNotWaitForAServerThatHangs) {
  Machine& a = machine("a", config());
  server_.misbehave([](core::ServedConnection& to) {
    to.wait_gone();
    return false;
  });
  Meta meta;
  meta.tool_kind = "read";
  ASSERT_TRUE(a.cache().persist(key_, "x", meta));
  const auto begin = std::chrono::steady_clock::now();
  a.close();
  // The send alone may take 20 seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

TEST_F(ToolRemoteHttp, ManyThreadsOfManyMachines) {
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
        if (found == "miss" && !mine.cache().persist(key, call, meta)) ++wrong;
        if (i % 7 == t && !mine.cache().mark_dirty(key)) ++wrong;
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

}  // namespace
}  // namespace satchel::tool_cache
