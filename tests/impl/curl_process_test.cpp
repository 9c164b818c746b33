// The transport in its process: when libcurl is loaded, a host that uses libcurl too, and what the
// environment says of proxies.
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>

#include "core/libcurl.hpp"
#include "curl_transport_fixture.hpp"
#include "fresh_process.hpp"

namespace satchel::core {
namespace {

class CurlProcessTest : public CurlTransportFixture {
 protected:
  static bool libcurl_is_loaded() {
    void* library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_NOLOAD);
    if (library != nullptr) dlclose(library);
    return library != nullptr;
  }

  // A host's own use of libcurl.
  class Host {
   public:
    Host() : library_(dlopen("libcurl.so.4", RTLD_NOW)) {}
    template <class Function>
    Function* find(const char* name) const {
      return reinterpret_cast<Function*>(dlsym(library_, name));
    }
    void initialise() const {
      ASSERT_EQ(find<CURLcode(long)>("curl_global_init")(CURL_GLOBAL_DEFAULT), CURLE_OK);
    }
    void clean_up() const { find<void()>("curl_global_cleanup")(); }
    [[nodiscard]] long status_of(const std::string& url) const {
      const auto set = find<CURLcode(CURL*, CURLoption, ...)>("curl_easy_setopt");
      CURL* easy = find<CURL*()>("curl_easy_init")();
      set(easy, CURLOPT_URL, url.c_str());
      set(easy, CURLOPT_WRITEFUNCTION, &Host::drop);
      find<CURLcode(CURL*)>("curl_easy_perform")(easy);
      long status = 0;
      find<CURLcode(CURL*, CURLINFO, ...)>("curl_easy_getinfo")(easy, CURLINFO_RESPONSE_CODE,
                                                                &status);
      find<void(CURL*)>("curl_easy_cleanup")(easy);
      return status;
    }

   private:
    static std::size_t drop(char* /*data*/, std::size_t size, std::size_t count, void* /*user*/) {
      return size * count;
    }
    void* library_;
  };

  // A proxy that connects to whatever port of this machine it is asked for.
  static bool tunnel(const ServedRequest& request, ServedConnection& client) {
    if (request.method != "CONNECT") return client.write(answer_text(200, "by proxy"));
    const UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(
        std::stoi(request.target.substr(request.target.rfind(':') + 1))));
    if (::connect(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return false;
    }
    client.write("HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n");
    std::array<pollfd, 2> ends = {pollfd{client.fd(), POLLIN, 0}, pollfd{server.get(), POLLIN, 0}};
    while (::poll(ends.data(), ends.size(), -1) > 0) {
      for (std::size_t i = 0; i < 2; ++i) {
        if (ends[i].revents == 0) continue;
        std::array<char, 16'384> bytes{};
        const ssize_t got = ::recv(ends[i].fd, bytes.data(), bytes.size(), 0);
        if (got <= 0) return false;
        ::send(ends[1 - i].fd, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
      }
    }
    return false;
  }
  static void environment(const char* name, const std::string& value) {
    ::setenv(name, value.c_str(), 1);
  }
};

TEST_F(CurlProcessTest, LibcurlIsLoadedByTheFirstRequest) {
  if (!in_fresh_process()) return;
  EXPECT_FALSE(libcurl_is_loaded());
  transport_ = make();
  transport_->stop();
  EXPECT_FALSE(get("http://127.0.0.1:1/"));
  EXPECT_FALSE(libcurl_is_loaded());
  transport_ = make();
  EXPECT_FALSE(get("http://127.0.0.1:1/"));
  EXPECT_TRUE(libcurl_is_loaded());
  transport_.reset();
  EXPECT_TRUE(libcurl_is_loaded());
}

TEST_F(CurlProcessTest, ALibcurlThatCannotBeLoadedIsAnErrorAndTriedAgain) {
  if (!in_fresh_process()) return;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit none{0, limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const Result<HttpAnswer> refused = get("https://127.0.0.1:1/");
  setrlimit(RLIMIT_NOFILE, &limit);
  ASSERT_EQ(status_of(refused), Status::kIo);
  EXPECT_EQ(refused.error().message.find("libcurl.so.4 cannot be loaded: "), 0U)
      << refused.error().message;
  HttpsServer& server = serve(always(answer_text(200, "")));
  const Result<HttpAnswer> answer = get(server.origin());
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(CurlProcessTest, AHostThatUsesLibcurlBeforeUsIsNotDisturbed) {
  if (!in_fresh_process()) return;
  HttpsServer& plain = serve_plain(always(answer_text(204, "")));
  HttpsServer& tls = serve(always(answer_text(200, "")));
  const Host host;
  host.initialise();
  EXPECT_EQ(host.status_of(plain.origin()), 204);
  EXPECT_TRUE(get(tls.origin()));
  EXPECT_EQ(log_.count("initialised by the host"), 1U);
  EXPECT_EQ(host.status_of(plain.origin()), 204);
  transport_ = make();
  EXPECT_EQ(host.status_of(plain.origin()), 204);
  host.clean_up();
  EXPECT_TRUE(get(tls.origin()));
}

TEST_F(CurlProcessTest, AHostThatUsesLibcurlAfterUsIsNotDisturbed) {
  if (!in_fresh_process()) return;
  HttpsServer& plain = serve_plain(always(answer_text(204, "")));
  HttpsServer& tls = serve(always(answer_text(200, "")));
  EXPECT_TRUE(get(tls.origin()));
  EXPECT_EQ(log_.all(), "");
  const Host host;
  host.initialise();
  EXPECT_EQ(host.status_of(plain.origin()), 204);
  transport_.reset();
  EXPECT_EQ(host.status_of(plain.origin()), 204);
  host.clean_up();
  transport_ = make();
  EXPECT_TRUE(get(tls.origin()));
}

TEST_F(CurlProcessTest, AProgramThatTheHostStartsGetsNoConnection) {
  if (!in_fresh_process()) return;
  HttpsServer& server = serve(always(answer_text(200, "x")));
  ASSERT_TRUE(get(server.origin()));
  int connections = 0;
  for (int fd = 0; fd < 256; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != server.port()) continue;
    ++connections;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(connections, 1) << "it is kept for the next request";
}

TEST_F(CurlProcessTest, AProxyOfTheEnvironmentIsUsedAndToldNoHeaderOfTheRequest) {
  if (!in_fresh_process()) return;
  HttpsServer& proxy = serve_plain(tunnel);
  HttpsServer& server = serve(always(answer_text(200, "behind the proxy")));
  environment("HTTPS_PROXY", "http://user:hidden@127.0.0.1:" + std::to_string(proxy.port()));
  HttpRequest request = request_of("");
  const std::string url = server.origin();
  request.url = url;
  request.headers = {{"Authorization", "Bearer abc"}};
  const Result<HttpAnswer> answer = transport_->send(request);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "behind the proxy");
  EXPECT_EQ(answer->header("X-Proxy"), nullptr);
  EXPECT_EQ(server.requests().at(0).headers.at("authorization"), "Bearer abc");
  EXPECT_EQ(server.requests().at(0).headers.count("proxy-authorization"), 0U);
  const ServedRequest asked = proxy.requests().at(0);
  EXPECT_EQ(asked.method, "CONNECT");
  EXPECT_EQ(asked.headers.count("authorization"), 0U);
  EXPECT_EQ(asked.headers.count("proxy-authorization"), 1U);
}

TEST_F(CurlProcessTest, NoProxyMeansNone) {
  if (!in_fresh_process()) return;
  HttpsServer& proxy = serve_plain(tunnel);
  HttpsServer& server = serve_plain(always(answer_text(200, "direct")));
  environment("ALL_PROXY", proxy.origin());
  EXPECT_EQ(get(server.origin())->body, "by proxy");
  environment("NO_PROXY", "example.test,127.0.0.1");
  transport_ = make();
  EXPECT_EQ(get(server.origin())->body, "direct");
}

TEST_F(CurlProcessTest, NoMessageHoldsThePasswordOfAProxy) {
  if (!in_fresh_process()) return;
  HttpsServer& refusing = serve_plain([](const ServedRequest&, ServedConnection& connection) {
    return connection.write(answer_text(407, "", "Proxy-Authenticate: Basic realm=x\r\n"));
  });
  HttpsServer& server = serve(always(answer_text(200, "")));
  const std::string port = std::to_string(refusing.port());
  for (const std::string& proxy :
       {"http://user:hidden@127.0.0.1:" + port, std::string("http://user:hidden@127.0.0.1:1"),
        std::string("odd://user:hidden@127.0.0.1"), std::string("http://user:hidden@127.0.0.1:x"),
        std::string("user:hidden"), std::string("http://user:hid/den@127.0.0.1"),
        std::string("http://user:hidden@[::1"), std::string("socks5://user:hidden@127.0.0.1:1"),
        std::string("http://user:hidden@no such host"), std::string("hidden@hidden@x")}) {
    environment("https_proxy", proxy);
    const Result<HttpAnswer> answer = get(server.origin());
    ASSERT_FALSE(answer) << proxy;
    EXPECT_EQ(answer.error().status, Status::kIo) << answer.error().message;
    EXPECT_EQ(answer.error().message.find("hid"), std::string::npos) << answer.error().message;
  }
  EXPECT_EQ(log_.all(), "");
}

}  // namespace
}  // namespace satchel::core
