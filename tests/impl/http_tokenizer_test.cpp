// The tokenizer's client against real servers on this machine.
#include "prompt_cache/http_tokenizer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "curl_transport_fixture.hpp"
#include "prompt_cache/overload_retries.hpp"

namespace satchel::prompt_cache {
namespace {

using core::answer_text;
using core::HttpsServer;
using core::kSecond;
using core::ServedConnection;
using core::ServedRequest;

constexpr const char* kCounts = R"({"segment_counts":[2,3],"cumulative":[2,5],"total":5})";
constexpr const char* kRenderedCounts = R"({"total":9,"prefix_counts":[null,4]})";
constexpr const char* kModels =
    R"({"models":[{"alias":"m","hf_repo":"o/m","tokenizer_version":"t1","template_version":"x"}]})";

class HttpTokenizerTest : public core::CurlTransportFixture {
 protected:
  // A tokenizer whose service answers so; the connection stays open for the next request.
  void serve_tokenizer(HttpsServer::Handler handler) {
    open(serve_plain(std::move(handler)).origin());
  }
  void serve_text(const std::string& text, bool stay = true) {
    serve_tokenizer(always(text, stay));
  }
  void open(const std::string& url) {
    config.url = url;
    tokenizer = make_http_tokenizer(config, make(), retries, clock);
  }

  core::Result<std::vector<std::uint32_t>> tokenize(Patience patience = {}) {
    const std::vector<Segment> segments{{"one", 3}, {"two", 3}};
    return tokenizer->tokenize("m", segments, patience);
  }
  core::Result<RenderCounts> render() {
    const std::vector<Prefix> prefixes{{1, -1, -1, -1}, {-1, 0, -1, -1}};
    return tokenizer->render("m", {"[]", "[{}]", prefixes}, {});
  }
  template <class T>
  static TokenizerFault fault_of(const core::Result<T>& answer) {
    EXPECT_FALSE(answer);
    return answer ? TokenizerFault::kNoTemplate : tokenizer_fault(answer.error());
  }
  Patience within(std::int64_t ns) {
    Patience patience;
    patience.until_ns = clock.monotonic_ns() + ns;
    return patience;
  }
  [[nodiscard]] std::vector<ServedRequest> asked() const { return servers_.back()->requests(); }

  TokenizerConfig config;
  core::Counter retries;
  core::Clock& clock = core::system_clock();
  std::unique_ptr<Tokenizer> tokenizer;
};

TEST_F(HttpTokenizerTest, AsksForModels) {
  serve_text(answer_text(200, kModels));
  const auto models = tokenizer->versions("m", {});
  ASSERT_TRUE(models) << models.error().message;
  ASSERT_EQ(models->size(), 1U);
  EXPECT_EQ((*models)[0].chat_template, "x");
  ASSERT_EQ(asked().size(), 1U);
  EXPECT_EQ(asked()[0].method, "GET");
  EXPECT_EQ(asked()[0].target, "/v1/models");
  EXPECT_EQ(asked()[0].headers.count("authorization"), 0U);
}

TEST_F(HttpTokenizerTest, AsksForCounts) {
  serve_text(answer_text(200, kCounts));
  const auto counts = tokenize();
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(*counts, (std::vector<std::uint32_t>{2, 5}));
  ASSERT_EQ(asked().size(), 1U);
  EXPECT_EQ(asked()[0].method, "POST");
  EXPECT_EQ(asked()[0].target, "/v1/tokenize");
  EXPECT_EQ(asked()[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(asked()[0].body, R"({"virtual_model":"m","segments":["one","two"]})");
}

TEST_F(HttpTokenizerTest, AsksForARender) {
  serve_text(answer_text(200, kRenderedCounts));
  const auto counts = render();
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->total, 9U);
  ASSERT_EQ(counts->prefixes.size(), 2U);
  EXPECT_EQ(counts->prefixes[1], 4U);
  ASSERT_EQ(asked().size(), 1U);
  EXPECT_EQ(asked()[0].target, "/v1/render");
}

TEST_F(HttpTokenizerTest, TheUrlMayHaveAPathAndSlashesAtItsEnd) {
  HttpsServer& server = serve_plain(always(answer_text(200, kModels)));
  open(server.origin() + "/tokens//");
  ASSERT_TRUE(tokenizer->versions("m", {}));
  EXPECT_EQ(asked()[0].target, "/tokens/v1/models");
}

TEST_F(HttpTokenizerTest, TheKeyIsABearerAndInNoMessage) {
  config.api_key = "secret-key";
  serve_text(answer_text(401, "secret-key is wrong"));
  const auto models = tokenizer->versions("m", {});
  EXPECT_EQ(asked()[0].headers.at("authorization"), "Bearer secret-key");
  EXPECT_EQ(fault_of(models), TokenizerFault::kBadAnswer);
  EXPECT_EQ(models.error().message.find("secret"), std::string::npos) << models.error().message;
  EXPECT_NE(models.error().message.find("401"), std::string::npos) << models.error().message;
}

TEST_F(HttpTokenizerTest, OverTlsToo) {
  HttpsServer& server = serve(always(answer_text(200, kCounts)));
  open(server.origin());
  EXPECT_TRUE(tokenize());
}

TEST_F(HttpTokenizerTest, EveryStatusHasItsMeaning) {
  using enum TokenizerFault;
  struct Row {
    int status;
    const char* body;
    TokenizerFault tokenize;
    TokenizerFault render;
  };
  const Row rows[] = {
      {422, R"({"code":"UNMAPPED_MODEL"})", kUnmapped, kUnmapped},
      {422, R"({"code":"NO_CHAT_TEMPLATE"})", kBadAnswer, kNoTemplate},
      {400, R"({"code":"TEMPLATE_RENDER_FAILED"})", kBadAnswer, kRenderFailed},
      {400, "", kBadAnswer, kRenderFailed},
      {301, "", kBadAnswer, kBadAnswer},
      {401, "", kBadAnswer, kBadAnswer},
      {404, "", kBadAnswer, kBadAnswer},
      {429, "", kBadAnswer, kBadAnswer},
      {500, kCounts, kBadAnswer, kBadAnswer},
      {502, "", kBadAnswer, kBadAnswer},
  };
  for (const Row& row : rows) {
    serve_text(answer_text(row.status, row.body));
    EXPECT_EQ(fault_of(tokenize()), row.tokenize) << row.status;
    EXPECT_EQ(fault_of(render()), row.render) << row.status;
    EXPECT_EQ(fault_of(tokenizer->versions("m", {})), kBadAnswer) << row.status;
    EXPECT_EQ(asked().size(), 3U) << row.status;
  }
  EXPECT_EQ(retries.value(), 0U);
}

TEST_F(HttpTokenizerTest, GarbageIsNoAnswer) {
  for (const char* body :
       {"", "<html>", "{}", "[1,2]", R"({"cumulative":[1,2],"total":2})",
        R"({"total":"9","prefix_counts":[]})", R"({"models":[{"alias":"m"}]})"}) {
    serve_text(answer_text(200, body));
    EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kBadAnswer) << body;
    EXPECT_EQ(fault_of(render()), TokenizerFault::kBadAnswer) << body;
    EXPECT_EQ(fault_of(tokenizer->versions("m", {})), TokenizerFault::kBadAnswer) << body;
  }
}

TEST_F(HttpTokenizerTest, AnAnswerCutShortIsNone) {
  serve_text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + std::string(kCounts), false);
  EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kOutOfReach);
  EXPECT_EQ(fault_of(tokenizer->versions("m", {})), TokenizerFault::kOutOfReach);
}

TEST_F(HttpTokenizerTest, AnAnswerThatIsTooLongIsNotRead) {
  const std::string long_text(std::size_t{9} << 20, ' ');
  serve_text(answer_text(200, kCounts + long_text), false);
  EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kBadAnswer);
  EXPECT_EQ(fault_of(tokenizer->versions("m", {})), TokenizerFault::kBadAnswer);
}

TEST_F(HttpTokenizerTest, NobodyThereIsOutOfReach) {
  int port = 0;
  {
    HttpsServer gone(always(""));
    port = gone.port();
  }
  open("http://127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kOutOfReach);
}

TEST_F(HttpTokenizerTest, ASlowServiceIsWaitedForNoLongerThanItsTimeout) {
  config.timeout_ms = 50;
  serve_tokenizer(silent());
  EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kOutOfReach);
}

TEST_F(HttpTokenizerTest, NorThanAnybodyWaits) {
  config.timeout_ms = 600'000;
  serve_tokenizer(silent());
  EXPECT_EQ(fault_of(tokenize(within(50 * core::kMillisecond))), TokenizerFault::kOutOfReach);
}

TEST_F(HttpTokenizerTest, OnceNobodyWaitsNothingIsSent) {
  serve_text(answer_text(200, kCounts));
  EXPECT_EQ(fault_of(tokenize(within(0))), TokenizerFault::kOutOfReach);
  const std::atomic<bool> given_up{true};
  Patience patience;
  patience.given_up = &given_up;
  EXPECT_EQ(fault_of(tokenize(patience)), TokenizerFault::kOutOfReach);
  EXPECT_TRUE(asked().empty());
}

TEST_F(HttpTokenizerTest, AnOverloadedServiceIsAskedAgainUntilItAnswers) {
  std::atomic<int> refusals{2};
  serve_tokenizer([&](const ServedRequest&, ServedConnection& connection) {
    const bool refused = refusals.fetch_sub(1) > 0;
    return connection.write(refused ? answer_text(503, "") : answer_text(200, kCounts));
  });
  EXPECT_TRUE(tokenize());
  EXPECT_EQ(asked().size(), 3U);
  EXPECT_EQ(retries.value(), 2U);
}

TEST_F(HttpTokenizerTest, AndNoLongerThanAnybodyWaits) {
  serve_text(answer_text(503, ""));
  EXPECT_EQ(fault_of(tokenize(within(300 * core::kMillisecond))), TokenizerFault::kBadAnswer);
  EXPECT_GE(asked().size(), 1U);
  EXPECT_LE(asked().size(), 4U);
}

TEST_F(HttpTokenizerTest, ClosingEndsWhatIsAskedAndWhatIsToBeAskedAgain) {
  config.timeout_ms = 600'000;
  std::atomic<int> arrived{0};
  serve_tokenizer([&](const ServedRequest& request, ServedConnection& connection) {
    ++arrived;
    if (request.target == "/v1/render") return connection.write(answer_text(503, ""));
    connection.wait_gone();
    return false;
  });
  std::thread waiting([&] { EXPECT_EQ(fault_of(tokenize()), TokenizerFault::kOutOfReach); });
  std::thread retrying([&] { EXPECT_FALSE(render()); });
  while (arrived < 2) std::this_thread::yield();
  tokenizer->stop();
  waiting.join();
  retrying.join();
  EXPECT_FALSE(tokenize());
}

TEST_F(HttpTokenizerTest, ManyThreadsAtOnce) {
  serve_text(answer_text(200, kCounts));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const auto counts = tokenize();
        if (!counts || counts->back() != 5) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// ------------------------------------------------------------------------ when to ask again

TEST(OverloadRetries, OnlySoManyAtATime) {
  OverloadRetries retries(core::system_clock());
  std::vector<OverloadRetries::Turn> turns;
  for (int i = 0; i < 8; ++i) {
    auto turn = retries.wait(1, {});
    ASSERT_TRUE(turn);
    turns.push_back(std::move(*turn));
  }
  Patience patience;
  patience.until_ns = core::system_clock().monotonic_ns() + 400 * core::kNanosPerMilli;
  EXPECT_FALSE(retries.wait(1, patience));
  turns.pop_back();
  EXPECT_TRUE(retries.wait(1, {}));
}

TEST(OverloadRetries, WhatWouldComeTooLateIsNotWaitedFor) {
  OverloadRetries retries(core::system_clock());
  Patience patience;
  patience.until_ns = core::system_clock().monotonic_ns() + 900 * core::kNanosPerMilli;
  EXPECT_FALSE(retries.wait(6, patience));  // one second at least
  EXPECT_GT(patience.left_ns(core::system_clock()), 0);
}

TEST(OverloadRetries, WhoGivesUpIsNotKept) {
  OverloadRetries retries(core::system_clock());
  std::atomic<bool> given_up{false};
  Patience patience;
  patience.given_up = &given_up;
  std::thread leaving([&] { given_up = true; });
  EXPECT_FALSE(retries.wait(1'000, patience));
  leaving.join();
}

TEST(OverloadRetries, StoppingEndsTheWaiting) {
  OverloadRetries retries(core::system_clock());
  std::thread stopping([&] { retries.stop(); });
  EXPECT_FALSE(retries.wait(1'000, {}));
  stopping.join();
  EXPECT_FALSE(retries.wait(1, {}));
}

}  // namespace
}  // namespace satchel::prompt_cache
