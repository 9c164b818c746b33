#include "redis_server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <stdexcept>

#include "core/redis.hpp"

namespace satchel::core {
namespace {

constexpr std::size_t kNodes = 3;

std::size_t first_slot(std::size_t node) { return node * kRedisSlots / kNodes; }

bool is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

// Nodes of a cluster listen on their port + 10000 as well; above lie the ports that the kernel
// gives to anybody.
std::uint16_t free_port() {
  std::random_device random;
  for (;;) {
    const auto port = static_cast<std::uint16_t>(10'000 + random() % 12'000);
    if (is_free(port) && is_free(static_cast<std::uint16_t>(port + 10'000))) return port;
  }
}

RedisReply ask_at(const std::string& url, const std::vector<std::string>& command) {
  RedisOptions options;
  options.urls = {url};
  options.limits.timeout_ns = 20 * kSecond;
  auto redis = Redis::make(options);
  if (!redis) throw std::runtime_error(redis.error().message);
  auto replies = (*redis)->run("", std::vector<RedisCommand>{command});
  if (replies) return replies->front();
  RedisReply failure;
  failure.kind = RedisReply::Kind::kError;
  failure.text = replies.error().message;
  return failure;
}

}  // namespace

RedisServer::RedisServer(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  for (int tries = 0; tries < 10; ++tries) {
    port_ = free_port();
    if (launch()) return;
  }
  throw std::runtime_error("redis-server does not start");
}

RedisServer::~RedisServer() { kill(); }

void RedisServer::start() {
  if (!launch()) throw std::runtime_error("redis-server does not start again");
}

// False: it has ended, as it does where somebody else was faster with the port.
bool RedisServer::launch() {
  const std::string port = std::to_string(port_);
  std::vector<std::string> words = {"redis-server",
                                    "--port",
                                    port,
                                    "--bind",
                                    "127.0.0.1",
                                    "--dir",
                                    directory_.path(),
                                    "--save",
                                    "",
                                    "--appendonly",
                                    "no",
                                    "--logfile",
                                    directory_ / "log",
                                    "--daemonize",
                                    "no",
                                    "--cluster-announce-ip",
                                    "127.0.0.1",
                                    "--repl-diskless-sync-delay",
                                    "0"};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever becomes of the test
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  const bool decided = eventually([&] {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    if (pid_ < 0) return true;
    const std::string answer = ask({"PING"}).text;
    return answer.find("PONG") == 0 || answer.find("NOAUTH") == 0 || answer.find("LOADING") == 0;
  });
  if (decided) return pid_ > 0;
  throw std::runtime_error("redis-server does not answer");
}

void RedisServer::stop() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  wait_for_end();
}

void RedisServer::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  wait_for_end();
}

void RedisServer::freeze() { ::kill(pid_, SIGSTOP); }
void RedisServer::thaw() { ::kill(pid_, SIGCONT); }

void RedisServer::wait_for_end() {
  if (pid_ <= 0) return;
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

RedisReply RedisServer::ask(const std::vector<std::string>& command) const {
  return ask_at(url(), command);
}

RedisReply RedisServer::ask_as(const std::string& password,
                               const std::vector<std::string>& command) const {
  return ask_at("redis://:" + password + "@" + place(), command);
}

RedisCluster::RedisCluster() {
  for (std::size_t i = 0; i < kNodes; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(
        std::vector<std::string>{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                                 "--cluster-require-full-coverage", "no"}));
  }
  for (std::size_t i = 0; i < kNodes; ++i) {
    nodes_[i]->ask({"CLUSTER", "ADDSLOTSRANGE", std::to_string(first_slot(i)),
                    std::to_string(first_slot(i + 1) - 1)});
    nodes_[i]->ask({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
  }
  for (std::size_t i = 1; i < kNodes; ++i) {
    nodes_[0]->ask({"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes_[i]->port())});
  }
  const bool whole = eventually([&] {
    for (const auto& node : nodes_) {
      const std::string info = node->ask({"CLUSTER", "INFO"}).text;
      if (info.find("cluster_state:ok") == std::string::npos) return false;
      if (info.find("cluster_slots_ok:16384") == std::string::npos) return false;
    }
    return true;
  });
  if (!whole) throw std::runtime_error("the cluster does not form");
}

std::vector<std::string> RedisCluster::urls() const {
  std::vector<std::string> urls;
  for (const auto& node : nodes_) urls.push_back(node->url());
  return urls;
}

std::string RedisCluster::id(std::size_t i) const {
  return nodes_[i]->ask({"CLUSTER", "MYID"}).text;
}

std::size_t RedisCluster::owner(std::uint16_t slot) const {
  std::size_t node = 0;
  while (slot >= first_slot(node + 1)) ++node;
  return node;
}

void RedisCluster::begin_migration(std::uint16_t slot, std::size_t from, std::size_t to) {
  const std::string number = std::to_string(slot);
  nodes_[to]->ask({"CLUSTER", "SETSLOT", number, "IMPORTING", id(from)});
  nodes_[from]->ask({"CLUSTER", "SETSLOT", number, "MIGRATING", id(to)});
}

void RedisCluster::end_migration(std::uint16_t slot, std::size_t from, std::size_t to) {
  const std::string number = std::to_string(slot);
  const RedisReply keys = nodes_[from]->ask({"CLUSTER", "GETKEYSINSLOT", number, "100000"});
  for (const RedisReply& key : keys.elements) {
    nodes_[from]->ask({"MIGRATE", "127.0.0.1", std::to_string(nodes_[to]->port()), key.text, "0",
                       "5000", "REPLACE"});
  }
  for (const std::size_t node : {to, from, 3 - to - from}) {
    nodes_[node]->ask({"CLUSTER", "SETSLOT", number, "NODE", id(to)});
  }
}

}  // namespace satchel::core
