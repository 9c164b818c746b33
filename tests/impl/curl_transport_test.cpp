// What comes back from a server that behaves, and how many connections it takes.
#include <zlib.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "curl_transport_fixture.hpp"

namespace satchel::core {
namespace {

class CurlTransportTest : public CurlTransportFixture {
 protected:
  // window_bits: 31 gzip, 15 zlib ("deflate" as the standard has it), -15 raw deflate.
  static std::string compressed(const std::string& text, int window_bits) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
    std::string packed(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
  }
};

TEST_F(CurlTransportTest, AnAnswerOfAnyStatusIsAnAnswer) {
  for (const int status : {200, 201, 400, 401, 403, 404, 429, 500, 503, 599}) {
    HttpsServer& server = serve(always(answer_text(status, "the body")));
    const Result<HttpAnswer> answer = get(server.origin());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->body, "the body");
  }
}

TEST_F(CurlTransportTest, StatusesWithoutABodyHaveNone) {
  for (const char* text : {"HTTP/1.1 204 None\r\n\r\n", "HTTP/1.1 304 Same\r\n\r\n"}) {
    HttpsServer& server = serve(always(text));
    const Result<HttpAnswer> answer = get(server.origin());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, "");
  }
}

TEST_F(CurlTransportTest, ARedirectIsNotFollowed) {
  HttpsServer& elsewhere = serve(always(answer_text(200, "elsewhere")));
  HttpsServer& server =
      serve(always(answer_text(302, "", "Location: " + elsewhere.origin() + "/\r\n")));
  const Result<HttpAnswer> answer = get(server.origin());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 302);
  ASSERT_NE(answer->header("location"), nullptr);
  EXPECT_EQ(elsewhere.connections(), 0U);
}

TEST_F(CurlTransportTest, HeadersComeAsTheyAreInOrder) {
  HttpsServer& server = serve(always(
      "HTTP/1.1 429 Slow Down\r\nrEtRy-aFtEr:  17 \r\nX-Twice: one\r\nX-Twice: two\r\nX-Empty:\r\n"
      "X-Folded: first\r\n  second\r\nContent-Length: 0\r\n\r\n"));
  const Result<HttpAnswer> answer = get(server.origin());
  ASSERT_TRUE(answer) << answer.error().message;
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"rEtRy-aFtEr", "17"}, {"X-Twice", "one"},           {"X-Twice", "two"},
      {"X-Empty", ""},       {"X-Folded", "first second"}, {"Content-Length", "0"}};
  EXPECT_EQ(answer->headers, expected);
  ASSERT_NE(answer->header("RETRY-AFTER"), nullptr);
  EXPECT_EQ(*answer->header("RETRY-AFTER"), "17");
  EXPECT_EQ(*answer->header("x-twice"), "one");
  EXPECT_EQ(answer->header("retry"), nullptr);
}

TEST_F(CurlTransportTest, InterimAnswersAndTrailersLeaveNoHeaders) {
  HttpsServer& server = serve(
      always("HTTP/1.1 103 Early\r\nX-Interim: yes\r\n\r\nHTTP/1.1 199 Odd\r\nX-Odd: yes\r\n\r\n"
             "HTTP/1.1 200 OK\r\nX-Final: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\none\r\n4\r\n two\r\n0\r\nX-Trailer: yes\r\n\r\n"));
  const Result<HttpAnswer> answer = get(server.origin());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "one two");
  EXPECT_EQ(answer->header("X-Interim"), nullptr);
  EXPECT_EQ(answer->header("X-Odd"), nullptr);
  EXPECT_EQ(answer->header("X-Trailer"), nullptr);
  EXPECT_NE(answer->header("X-Final"), nullptr);
}

TEST_F(CurlTransportTest, CompressedBodiesAreDecoded) {
  const std::string text(20'000, 'z');
  const std::vector<std::pair<std::string, std::string>> codings = {
      {"gzip", compressed(text, 31)},
      {"deflate", compressed(text, 15)},
      {"deflate", compressed(text, -15)}};
  for (const auto& [name, packed] : codings) {
    HttpsServer& server =
        serve(always(answer_text(200, packed, "Content-Encoding: " + name + "\r\n")));
    const Result<HttpAnswer> answer = get(server.origin());
    ASSERT_TRUE(answer) << name << ": " << answer.error().message;
    EXPECT_EQ(answer->body, text);
    EXPECT_EQ(server.requests().at(0).headers.at("accept-encoding"), "gzip, deflate");
  }
}

TEST_F(CurlTransportTest, ABrokenGzipBodyIsNoAnswer) {
  std::string packed = compressed(std::string(20'000, 'z'), 31);
  packed[12] = static_cast<char>(packed[12] ^ 0xff);
  HttpsServer& server = serve(always(answer_text(200, packed, "Content-Encoding: gzip\r\n")));
  EXPECT_EQ(status_of(get(server.origin())), Status::kIo);
}

TEST_F(CurlTransportTest, ABodyOfTheGreatestLengthIsTakenAndOneByteMoreIsNot) {
  HttpsServer& fits = serve(always(answer_text(200, std::string(65'536, 'x'))));
  EXPECT_EQ(status_of(get(fits.origin())), Status::kOk);
  HttpsServer& exceeds = serve(always(answer_text(200, std::string(65'537, 'x'))));
  const Result<HttpAnswer> answer = get(exceeds.origin());
  ASSERT_EQ(status_of(answer), Status::kLimit);
  EXPECT_NE(answer.error().message.find("longer than 65536 bytes"), std::string::npos);
}

TEST_F(CurlTransportTest, TheLimitIsOfTheDecodedBodyAndNothingIsReadBeyondIt) {
  const std::string packed = compressed(std::string(64 << 20, '\0'), 31);
  ASSERT_LT(packed.size(), 80'000U);
  std::atomic<bool> all_sent{false};
  HttpsServer& server = serve([&](const ServedRequest&, ServedConnection& connection) {
    // The length that is promised never comes: whoever reads on times out.
    connection.write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 999999\r\n\r\n");
    connection.write(packed);
    connection.wait_gone();
    all_sent = true;
    return false;
  });
  EXPECT_EQ(status_of(get(server.origin())), Status::kLimit);
  EXPECT_TRUE(eventually([&] { return all_sent.load(); }));
}

TEST_F(CurlTransportTest, PlainHttpWorks) {
  HttpsServer& server = serve_plain(always(answer_text(200, "plain")));
  const Result<HttpAnswer> answer = get(server.origin());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "plain");
}

TEST_F(CurlTransportTest, TheServerSeesWhatWasAskedAndNothingElse) {
  HttpsServer& server = serve(always(answer_text(200, "")));
  const std::string url = server.origin() + "/a/b?c=d";
  HttpRequest request = request_of(url);
  request.headers = {{"Authorization", "Bearer abc"}, {"X-Empty", ""}};
  ASSERT_TRUE(transport_->send(request));
  const ServedRequest seen = server.requests().at(0);
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.target, "/a/b?c=d");
  const std::map<std::string, std::string> expected = {
      {"host", "127.0.0.1:" + std::to_string(server.port())},
      {"user-agent", "satchel-test/1"},
      {"accept", "*/*"},
      {"accept-encoding", "gzip, deflate"},
      {"authorization", "Bearer abc"},
      {"x-empty", ""}};
  EXPECT_EQ(seen.headers, expected);
}

TEST_F(CurlTransportTest, APostCarriesItsBodyAndAHeaderOfTheCallersReplacesOurs) {
  HttpsServer& server = serve(always(answer_text(200, "taken")));
  for (const std::size_t size : {0UL, 10UL, 3'000'000UL}) {
    std::string body(size, 'b');
    if (size > 5) body[5] = '\0';
    const std::string url = server.origin();
    HttpRequest request = request_of(url);
    request.method = "POST";
    request.headers = {{"Content-Type", "application/json"}, {"User-Agent", "other/2"}};
    request.body = body;
    const Result<HttpAnswer> answer = transport_->send(request);
    ASSERT_TRUE(answer) << answer.error().message;
    const ServedRequest seen = server.requests().back();
    EXPECT_EQ(seen.method, "POST");
    EXPECT_EQ(seen.body, body);
    EXPECT_EQ(seen.headers.at("content-type"), "application/json");
    EXPECT_EQ(seen.headers.at("user-agent"), "other/2");
    EXPECT_EQ(seen.headers.count("expect"), 0U);
  }
}

TEST_F(CurlTransportTest, AConnectionServesTheNextRequest) {
  HttpsServer& server = serve(always(answer_text(200, "")));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(get(server.origin()));
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.requests().size(), 10U);
}

TEST_F(CurlTransportTest, AConnectionThatTheServerClosedIsReplaced) {
  HttpsServer& server = serve(always(answer_text(200, "x"), false));
  for (int i = 0; i < 3; ++i) {
    const Result<HttpAnswer> answer = get(server.origin());
    ASSERT_TRUE(answer) << answer.error().message;
  }
  EXPECT_EQ(server.connections(), 3U);
}

TEST_F(CurlTransportTest, SixteenThreadsSendAtOnceAndFourConnectionsStay) {
  constexpr int kThreads = 16;
  std::atomic<int> waiting{0};
  HttpsServer& server = serve([&](const ServedRequest& request, ServedConnection& connection) {
    // All are under way at the same time, so that each needs a connection.
    if (request.target.starts_with("/together")) {
      ++waiting;
      if (!eventually([&] { return waiting.load() >= kThreads; })) return false;
    }
    return connection.write(answer_text(200, request.target));
  });
  const auto all_at_once = [&](const std::string& path) {
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const std::string target = path + std::to_string(i);
        const Result<HttpAnswer> answer = get(server.origin() + target);
        if (answer && answer->body == target) ++right;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return right.load();
  };
  EXPECT_EQ(all_at_once("/together/"), kThreads);
  EXPECT_EQ(server.connections(), 16U);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(get(server.origin() + "/alone"));
  EXPECT_EQ(server.connections(), 16U);
  waiting = 0;
  EXPECT_EQ(all_at_once("/together/"), kThreads);
  EXPECT_EQ(server.connections(), 16U + 12U);
}

TEST_F(CurlTransportTest, TheSignalMaskOfTheThreadIsAsItWas) {
  HttpsServer& server = serve(always(answer_text(200, "")));
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  ASSERT_TRUE(get(server.origin()));
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int number = 1; number < NSIG; ++number) {
    EXPECT_EQ(sigismember(&before, number), sigismember(&after, number)) << number;
  }
}

}  // namespace
}  // namespace satchel::core
