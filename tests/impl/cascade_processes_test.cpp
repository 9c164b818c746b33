// One fetch a machine, with real processes and a real server.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "cascade/cascade.hpp"
#include "https_server.hpp"
#include "surroundings.hpp"

namespace satchel::cascade {
namespace {

using core::Certificate;
using core::HttpsServer;
using core::ServedConnection;
using core::ServedRequest;

class TestToken final : public Credentials {
 public:
  TokenAnswer token() override { return {UsageError::kNone, core::Secret("test-token")}; }
};

// A process that resolves once, when it is told to, and ends with the source as its status.
class Asker {
 public:
  Asker(const std::string& cache_dir, const std::string& config) {
    if (::pipe(begin_.data()) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) ask(cache_dir, config);
  }
  Asker(Asker&& other) noexcept
      : begin_(std::exchange(other.begin_, {-1, -1})), pid_(std::exchange(other.pid_, -1)) {}
  Asker& operator=(Asker&&) = delete;
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;
  ~Asker() {
    if (pid_ <= 0) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
    for (const int fd : begin_) ::close(fd);
  }

  void begin() const { ASSERT_EQ(::write(begin_[1], "x", 1), 1); }
  void kill() const { ::kill(pid_, SIGKILL); }
  // A UsageSource, or -1 for a process that was killed.
  [[nodiscard]] int answer() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    for (const int fd : begin_) ::close(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  [[noreturn]] void ask(const std::string& cache_dir, const std::string& config) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    char told = 0;
    if (::read(begin_[0], &told, 1) != 1) ::_exit(100);
    ::setenv("NO_PROXY", "127.0.0.1", 1);  // whatever proxy this machine is told to use
    core::CapturedLog log;
    CascadeParts parts;
    parts.cache_dir = cache_dir;
    parts.credentials = std::make_unique<TestToken>();
    parts.user_agent = "satchel/test";
    Cascade cascade(*read_cascade_config(config), std::move(parts), core::system_clock(), log);
    ::_exit(static_cast<int>(cascade.resolve().source));
  }

  std::array<int, 2> begin_{};
  pid_t pid_ = -1;
};

class CascadeProcessesKillTest : public testing::Test {
 protected:
  CascadeProcessesKillTest() : leaf_(authority_.issue({})) {
    authority_.write_pem(scratch_ / "ca.pem");
  }

  // Before the server runs: its threads do not survive a fork.
  std::vector<Asker> askers(const HttpsServer& server, int count) const {
    const std::string config =
        R"({"timeout_ms":60000,"transcripts":{"enabled":false},"ca_file":")" +
        (scratch_ / "ca.pem") + R"(","api_base_url":")" + server.origin() + "\"}";
    std::vector<Asker> made;
    made.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) made.emplace_back(scratch_ / "cache", config);
    return made;
  }

  core::TemporaryDirectory scratch_;
  core::Authority authority_;
  Certificate leaf_;
};

const std::string kAnswer = core::answer_text(200, R"({"five_hour":{"utilization":5}})");

TEST_F(CascadeProcessesKillTest, FiftyProcessesOnAColdCacheMakeOneRequest) {
  HttpsServer server(
      [](const ServedRequest&, ServedConnection& connection) { return connection.write(kAnswer); },
      &leaf_);
  std::vector<Asker> all = askers(server, 50);
  server.start();
  for (const Asker& asker : all) asker.begin();
  int asked = 0;
  int found = 0;
  for (Asker& asker : all) {
    const int source = asker.answer();
    asked += source == static_cast<int>(UsageSource::kEndpoint) ? 1 : 0;
    found += source == static_cast<int>(UsageSource::kCache) ? 1 : 0;
  }
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(found, 49);
  ASSERT_EQ(server.requests().size(), 1u);
  const ServedRequest request = server.requests().front();
  EXPECT_EQ(request.method + " " + request.target, "GET /api/oauth/usage");
  EXPECT_EQ(request.headers.at("authorization"), "Bearer test-token");
  EXPECT_EQ(request.headers.at("anthropic-beta"), "oauth-2025-04-20");
  EXPECT_EQ(request.headers.at("user-agent"), "satchel/test");
}

TEST_F(CascadeProcessesKillTest, WhenTheFetcherIsKilledTheNextTakesOver) {
  std::atomic<int> requests{0};
  HttpsServer server(
      [&](const ServedRequest&, ServedConnection& connection) {
        if (++requests > 1) return connection.write(kAnswer);
        connection.wait_gone();
        return false;
      },
      &leaf_);
  std::vector<Asker> all = askers(server, 10);
  server.start();
  all.front().begin();
  ASSERT_TRUE(core::eventually([&] { return requests == 1; }));
  for (std::size_t i = 1; i < all.size(); ++i) all[i].begin();
  all.front().kill();
  EXPECT_EQ(all.front().answer(), -1);
  int asked = 0;
  int found = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const int source = all[i].answer();
    asked += source == static_cast<int>(UsageSource::kEndpoint) ? 1 : 0;
    found += source == static_cast<int>(UsageSource::kCache) ? 1 : 0;
  }
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(found, 8);
  EXPECT_EQ(requests, 2);
}

}  // namespace
}  // namespace satchel::cascade
