// A token that was sent stands nowhere in the process' memory afterwards, however the send ended.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "core/secret.hpp"
#include "curl_transport_fixture.hpp"
#include "fresh_process.hpp"
#include "memory_scan.hpp"

namespace satchel::core {
namespace {

// A server that is not in this process: its memory knows the token.
class ServerProcess {
 public:
  ServerProcess(const HttpsServer::Handler& handler, const Certificate* certificate)
      : requests_(static_cast<std::atomic<int>*>(::mmap(nullptr, sizeof(std::atomic<int>),
                                                        PROT_READ | PROT_WRITE,
                                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
        server_(
            [this, handler](const ServedRequest& request, ServedConnection& connection) {
              ++*requests_;
              return handler(request, connection);
            },
            certificate),
        child_(::fork()) {
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    server_.start();
    for (;;) ::pause();
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(requests_, sizeof *requests_);
  }
  [[nodiscard]] std::string origin() const { return server_.origin(); }
  [[nodiscard]] int requests() const { return *requests_; }

 private:
  std::atomic<int>* requests_;
  HttpsServer server_;
  pid_t child_;
};

class CurlSecretsTest : public CurlTransportFixture {
 protected:
  static bool answer(const ServedRequest& request, ServedConnection& connection) {
    if (request.target == "/refused") return connection.write(answer_text(401, "no"));
    if (request.target == "/silent") {
      connection.wait_gone();
      return false;
    }
    if (request.target == "/cut") {
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
      return false;
    }
    return connection.write(answer_text(200, "yes"));
  }

  // The status of an answer, or of an error.
  int send(const std::string& url, std::int64_t timeout_ns = 30 * kSecond) {
    std::string value = token_.revealed("Bearer ");
    HttpRequest request = request_of(url);
    request.timeout_ns = timeout_ns;
    request.headers = {{"anthropic-beta", "oauth"}, {"Authorization", value}};
    return result_of(request, value);
  }
  int post(const std::string& url, std::size_t filler) {
    std::string body(filler + HiddenToken::kSize, 'x');
    for (std::size_t i = 0; i < HiddenToken::kSize; ++i) body[filler / 2 + i] = token_.at(i);
    HttpRequest request = request_of(url);
    request.method = "POST";
    request.body = body;
    return result_of(request, body);
  }
  // On a thread of its own, whose stack nothing overwrites afterwards; the C library keeps it.
  int result_of(const HttpRequest& request, std::string& secret) {
    int status = 0;
    std::thread([&] {
      const Result<HttpAnswer> got = transport_->send(request);
      status = got ? got->status : static_cast<int>(got.error().status);
    }).join();
    wipe(secret);
    return status;
  }

  HiddenToken token_;
};

// A sanitizer keeps terabytes of shadow memory, and freed memory too.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

const std::vector<std::string> kNowhere;

TEST_F(CurlSecretsTest, ATokenThatIsKeptIsFound) {
  if (!in_fresh_process()) return;
  EXPECT_EQ(find_in_memory(token_), kNowhere);
  std::string kept = token_.revealed("Bearer ");
  EXPECT_EQ(find_in_memory(token_).size(), 4U);  // pieces
  wipe(kept);
  EXPECT_EQ(find_in_memory(token_), kNowhere);
}

TEST_F(CurlSecretsTest, NothingStaysOfATokenWhateverBecomesOfTheRequest) {
  if (!in_fresh_process()) return;
  const Certificate unknown = self_signed({});
  const ServerProcess tls(answer, &leaf_);
  const ServerProcess plain(answer, nullptr);
  const ServerProcess bad(answer, &unknown);
  const int io = static_cast<int>(Status::kIo);
  const int timeout = static_cast<int>(Status::kTimeout);

  EXPECT_EQ(send("http://127.0.0.1:1/"), io);
  EXPECT_EQ(find_in_memory(token_), kNowhere) << "nobody listens";
  EXPECT_EQ(send(bad.origin()), io);
  EXPECT_EQ(find_in_memory(token_), kNowhere) << "a bad certificate";
  for (const std::string& origin : {tls.origin(), plain.origin()}) {
    EXPECT_EQ(send(origin + "/refused"), 401);
    EXPECT_EQ(find_in_memory(token_), kNowhere) << "401 from " << origin;
    EXPECT_EQ(send(origin + "/silent", 100 * kMillisecond), timeout);
    EXPECT_EQ(find_in_memory(token_), kNowhere) << "a timeout of " << origin;
    EXPECT_EQ(send(origin + "/cut"), io);
    EXPECT_EQ(find_in_memory(token_), kNowhere) << "a cut answer from " << origin;
    // The connection stays open for the next request.
    EXPECT_EQ(send(origin + "/good"), 200);
    EXPECT_EQ(find_in_memory(token_), kNowhere) << "an answer from " << origin;
    EXPECT_EQ(send(origin + "/good"), 200);
    EXPECT_EQ(find_in_memory(token_), kNowhere) << "a second answer from " << origin;
    for (const std::size_t filler : {100UL, 50'000UL, 500'000UL}) {
      EXPECT_EQ(post(origin + "/good", filler), 200);
      EXPECT_EQ(find_in_memory(token_), kNowhere) << "a body for " << origin;
    }
  }
  transport_.reset();
  EXPECT_EQ(find_in_memory(token_), kNowhere) << "after the end";
}

TEST_F(CurlSecretsTest, NothingStaysOfATokenAfterStop) {
  if (!in_fresh_process()) return;
  const ServerProcess tls(answer, &leaf_);
  std::thread sending(
      [&] { EXPECT_EQ(send(tls.origin() + "/silent"), static_cast<int>(Status::kIo)); });
  EXPECT_TRUE(eventually([&] { return tls.requests() == 1; }));
  transport_->stop();
  sending.join();
  EXPECT_EQ(find_in_memory(token_), kNowhere);
}

#endif

}  // namespace
}  // namespace satchel::core
