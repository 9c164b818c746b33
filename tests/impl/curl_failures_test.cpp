// What a send says when a server is slow, wrong, broken or not there, and how it is stopped.
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "core/libcurl.hpp"
#include "curl_transport_fixture.hpp"

namespace {

std::atomic<bool> name_server_answers{true};
std::atomic<int> names_asked{0};

}  // namespace

// Stands before the C library's, for libcurl too: a name server that does not answer.
extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node != nullptr && std::string_view(node) == "slow.test") {
    ++names_asked;
    satchel::core::eventually([] { return name_server_answers.load(); });
    return EAI_AGAIN;
  }
  return real(node, service, hints, found);
}

namespace satchel::core {
namespace {

class CurlFailuresTest : public CurlTransportFixture {
 protected:
  static void contains(const Result<HttpAnswer>& answer, std::string_view text) {
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find(text), std::string::npos) << answer.error().message;
  }
  Result<HttpAnswer> with_certificate(const Certificate& certificate) {
    return get(serve(always(answer_text(200, "never seen")), &certificate).origin());
  }
};

TEST_F(CurlFailuresTest, AServerThatDoesNotAnswerIsATimeout) {
  HttpsServer& server = serve(silent());
  const Result<HttpAnswer> answer = get_within(server.origin(), 100 * kMillisecond);
  EXPECT_EQ(status_of(answer), Status::kTimeout);
  contains(answer, server.origin() + ": ");
}

TEST_F(CurlFailuresTest, ATlsHandshakeThatNeverEndsIsATimeout) {
  // Accepts, and says nothing: not even the greeting of TLS.
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), where, size), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ASSERT_EQ(::getsockname(listener.get(), where, &size), 0);
  const std::string url = "https://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  EXPECT_EQ(status_of(get_within(url, 100 * kMillisecond)), Status::kTimeout);
}

TEST_F(CurlFailuresTest, BytesThatTrickleDoNotProlongTheTime) {
  std::atomic<bool> ended{false};
  HttpsServer& server = serve([&](const ServedRequest&, ServedConnection& connection) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
    // A client that takes each byte for progress stays for ever.
    while (connection.write("x")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ended = true;
    return false;
  });
  EXPECT_EQ(status_of(get_within(server.origin(), 200 * kMillisecond)), Status::kTimeout);
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

TEST_F(CurlFailuresTest, ANameServerThatDoesNotAnswerIsATimeout) {
  name_server_answers = false;
  names_asked = 0;
  const Result<HttpAnswer> answer = get_within("http://slow.test/", 100 * kMillisecond);
  // Still unanswered: had the send waited for the name, it would have failed otherwise, and late.
  EXPECT_EQ(names_asked.load(), 1);
  EXPECT_EQ(status_of(answer), Status::kTimeout);
  name_server_answers = true;
}

TEST_F(CurlFailuresTest, NoTimeAtAllIsATimeout) {
  EXPECT_EQ(status_of(get_within("http://127.0.0.1:1/", 0)), Status::kTimeout);
  EXPECT_EQ(status_of(get_within("http://127.0.0.1:1/", -5)), Status::kTimeout);
}

TEST_F(CurlFailuresTest, APortWhereNobodyListensIsAnError) {
  std::string url;
  {
    const HttpsServer gone(silent());
    url = gone.origin();
  }
  const Result<HttpAnswer> answer = get(url);
  EXPECT_EQ(status_of(answer), Status::kIo);
  contains(answer, url + ": Failed to connect to 127.0.0.1");
  EXPECT_EQ(answer.error().os_errno, ECONNREFUSED);
}

TEST_F(CurlFailuresTest, AConnectionClosedAtOnceIsAnError) {
  const auto hang_up = [](const ServedRequest&, ServedConnection&) { return false; };
  EXPECT_EQ(status_of(get(serve(hang_up).origin())), Status::kIo);
  EXPECT_EQ(status_of(get(serve_plain(hang_up).origin())), Status::kIo);
}

TEST_F(CurlFailuresTest, ABodyThatEndsTooEarlyIsAnError) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
  const std::string chunks =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n20\r\ncut";
  const std::string last = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n";
  for (const std::string& text : {length, chunks, last}) {
    EXPECT_EQ(status_of(get(serve(always(text, false)).origin())), Status::kIo) << text;
    EXPECT_EQ(status_of(get(serve_plain(always(text, false)).origin())), Status::kIo) << text;
  }
}

TEST_F(CurlFailuresTest, WhatIsNoHttpIsAnError) {
  EXPECT_EQ(status_of(get(serve(always("SSH-2.0-OpenSSH_9.2\r\n", false)).origin())), Status::kIo);
}

TEST_F(CurlFailuresTest, HeadersWithoutEndAreAnError) {
  const auto endless = [](const std::string& start, const std::string& line) {
    return [start, line](const ServedRequest&, ServedConnection& connection) {
      connection.write(start);
      while (connection.write(line)) {
      }
      return false;
    };
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const Result<HttpAnswer> many =
      get(serve(endless(ok, "X-Header: " + std::string(1000, 'h') + "\r\n")).origin());
  EXPECT_EQ(status_of(many), Status::kIo);
  contains(many, "headers are longer than 65536 bytes");
  EXPECT_EQ(status_of(get(serve(endless(ok, "a line without end")).origin())), Status::kIo);
  EXPECT_EQ(status_of(get(serve(endless("", "HTTP/1.1 102 Wait\r\n\r\n")).origin())), Status::kIo);
}

TEST_F(CurlFailuresTest, CertificatesThatDoNotHoldAreRefused) {
  contains(with_certificate(authority_.issue({.valid_from_s = -7200, .valid_until_s = -3600})),
           "expired");
  contains(with_certificate(authority_.issue({.valid_from_s = 3600, .valid_until_s = 7200})),
           "not yet valid");
  contains(with_certificate(authority_.issue({.names = "DNS:elsewhere.test"})), "127.0.0.1");
  contains(with_certificate(self_signed({})), "self-signed");
  contains(with_certificate(Authority("Another Authority").issue({})), "certificate");
}

TEST_F(CurlFailuresTest, NothingIsSentToAServerWithABadCertificate) {
  const Certificate wrong = self_signed({});
  HttpsServer& server = serve(always(answer_text(200, "")), &wrong);
  EXPECT_EQ(status_of(get(server.origin())), Status::kIo);
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(CurlFailuresTest, WithoutAFileOfItsOwnTheSystemsAuthoritiesCount) {
  transport_ = make_curl_transport({"satchel-test/1", ""}, log_);
  EXPECT_EQ(status_of(get(serve(always(answer_text(200, ""))).origin())), Status::kIo);
}

TEST_F(CurlFailuresTest, AServerWithOldTlsOnlyIsRefused) {
  HttpsServer& server = serve(always(answer_text(200, "")));
  server.speak_at_most(TLS1_1_VERSION);
  EXPECT_EQ(status_of(get(server.origin())), Status::kIo);
  server.speak_at_most(TLS1_2_VERSION);
  EXPECT_EQ(status_of(get(server.origin())), Status::kOk);
}

TEST_F(CurlFailuresTest, OnlyHttpAndHttpsAreSpoken) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", ""}) {
    EXPECT_EQ(status_of(get(url)), Status::kIo) << url;
  }
}

TEST_F(CurlFailuresTest, AUrlWithoutASchemeIsNotSentInPlainText) {
  HttpsServer& server = serve_plain(always(answer_text(200, "")));
  const std::string url = "127.0.0.1:" + std::to_string(server.port());
  EXPECT_FALSE(get_within(url, 200 * kMillisecond));
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(CurlFailuresTest, WhatWouldBreakTheRequestIsAnArgumentError) {
  const auto sent_with = [&](std::string_view name, std::string_view value) {
    HttpRequest request = request_of("http://127.0.0.1:1/");
    request.headers = {{name, value}};
    return transport_->send(request);
  };
  EXPECT_EQ(status_of(sent_with("X-A", "one\r\nX-B: two")), Status::kArgument);
  EXPECT_EQ(status_of(sent_with("X-A", std::string_view("a\0b", 3))), Status::kArgument);
  EXPECT_EQ(status_of(sent_with("X A", "one")), Status::kArgument);
  EXPECT_EQ(status_of(sent_with("", "one")), Status::kArgument);
  EXPECT_EQ(status_of(get(std::string("http://127.0.0.1:1/\0x", 21))), Status::kArgument);
  HttpRequest request = request_of("http://127.0.0.1:1/");
  request.method = "DELETE";
  EXPECT_EQ(status_of(transport_->send(request)), Status::kArgument);
}

TEST_F(CurlFailuresTest, NoMessageHoldsTheValueOfAHeaderOrAPasswordInTheUrl) {
  const std::string value = "Bearer hidden-value";
  for (const std::string& url :
       {std::string("http://127.0.0.1:1/?hidden-value"), std::string("http://u:hidden-value@["),
        std::string("http://u:hidden-value@127.0.0.1:1"), std::string("x://hidden-value"),
        serve(silent()).origin() + "/hidden-value"}) {
    HttpRequest request = request_of(url);
    request.timeout_ns = 100 * kMillisecond;
    request.headers = {{"Authorization", value}};
    const Result<HttpAnswer> answer = transport_->send(request);
    ASSERT_FALSE(answer);
    if (url.starts_with("x:")) continue;  // what stands for a host is named
    EXPECT_EQ(answer.error().message.find("hidden"), std::string::npos) << answer.error().message;
  }
  EXPECT_EQ(log_.all(), "");
}

TEST_F(CurlFailuresTest, StopEndsWhatIsBeingSentAndWhateverComesLater) {
  name_server_answers = false;
  names_asked = 0;
  HttpsServer& server = serve(silent());
  std::atomic<int> stopped{0};
  std::vector<std::thread> threads;
  for (const std::string& url :
       {server.origin(), server.origin(), server.origin(), std::string("http://slow.test/")}) {
    threads.emplace_back([&, url] {
      const Result<HttpAnswer> answer = get_within(url, 3600 * kSecond);
      if (!answer && answer.error().message == "the transport is stopped") ++stopped;
    });
  }
  EXPECT_TRUE(eventually([&] { return server.requests().size() == 3 && names_asked.load() == 1; }));
  transport_->stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stopped.load(), 4);
  const Result<HttpAnswer> later = get(server.origin());
  EXPECT_EQ(status_of(later), Status::kIo);
  contains(later, "the transport is stopped");
  EXPECT_EQ(server.connections(), 3U);
  name_server_answers = true;
}

TEST_F(CurlFailuresTest, NoSigpipeComesFromAConnectionThatTheServerResets) {
  static std::atomic<int> pipes{0};
  pipes = 0;
  struct sigaction count {};
  struct sigaction before {};
  count.sa_handler = [](int) { ++pipes; };
  sigaction(SIGPIPE, &count, &before);
  const auto reset = [](const ServedRequest&, ServedConnection& connection) {
    const linger at_once{1, 0};
    ::setsockopt(connection.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return false;
  };
  HttpsServer& server = serve(reset);
  const std::string body(8 << 20, 'b');
  for (int i = 0; i < 10; ++i) {
    const std::string url = server.origin();
    HttpRequest request = request_of(url);
    request.method = "POST";
    request.headers = {{"Content-Length", "10"}};
    request.body = body;
    EXPECT_FALSE(transport_->send(request));
  }
  EXPECT_EQ(pipes.load(), 0);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  sigaction(SIGPIPE, &before, nullptr);
}

TEST_F(CurlFailuresTest, AnOldLibcurlIsRefusedByName) {
  curl_version_info_data version{};
  version.version = "7.84.0";
  version.version_num = 0x075400;
  const Result<void> refused = check_libcurl_version(version);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, Status::kIo);
  EXPECT_NE(refused.error().message.find("it is version 7.84.0"), std::string::npos);
  version.version_num = 0x075500;
  EXPECT_TRUE(check_libcurl_version(version));
}

}  // namespace
}  // namespace satchel::core
