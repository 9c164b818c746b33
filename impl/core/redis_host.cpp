#include "core/redis_host.hpp"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

namespace satchel::core {
namespace {

using Steady = std::chrono::steady_clock;

Error not_found(const std::string& host, int code) {
  return {Status::kIo, "the host " + host + " is not found: " + gai_strerror(code)};
}

std::vector<SocketAddress> taken(addrinfo* list) {
  std::vector<SocketAddress> addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    SocketAddress address;
    if (one->ai_addrlen > sizeof address.bytes) continue;
    std::memcpy(&address.bytes, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    addresses.push_back(address);
  }
  freeaddrinfo(list);
  return addresses;
}

addrinfo hints(int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  return hints;
}

}  // namespace

// The C library's own threads work on it: it stays where it is until they are done.
struct RedisHost::Lookup {
  Lookup(std::string host_name, std::string port_number)
      : host(std::move(host_name)), port(std::move(port_number)), wanted(hints(0)) {
    request.ar_name = host.c_str();
    request.ar_service = port.c_str();
    request.ar_request = &wanted;
  }

  const std::string host;
  const std::string port;
  const addrinfo wanted;
  gaicb request{};
};

RedisHost::RedisHost(std::string host, std::uint16_t port)
    : host_(std::move(host)), port_(std::to_string(port)) {}

RedisHost::~RedisHost() {
  if (running_ == nullptr) return;
  gai_cancel(&running_->request);
  if (gai_error(&running_->request) == EAI_INPROGRESS) {
    // Nobody can end it, and closing waits for no name server: some hundred bytes stay behind.
    static_cast<void>(running_.release());
    return;
  }
  if (running_->request.ar_result != nullptr) freeaddrinfo(running_->request.ar_result);
}

class RedisHost::Turn {
 public:
  explicit Turn(RedisHost& host) : host_(host) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    {
      const std::lock_guard lock(host_.mutex_);
      host_.asking_ = false;
    }
    host_.ended_.notify_all();
  }

 private:
  RedisHost& host_;
};

Result<std::vector<SocketAddress>> RedisHost::addresses(Steady::time_point until) {
  {
    std::unique_lock lock(mutex_);
    if (!ended_.wait_until(lock, until, [&] { return !asking_; })) return too_long();
    if (!known_.empty()) return known_;
    asking_ = true;
  }
  const Turn turn(*this);
  auto found = look_up(until);
  if (!found) return found;
  const std::lock_guard lock(mutex_);
  return known_ = std::move(*found);
}

Error RedisHost::too_long() const {
  return {Status::kTimeout, "the lookup of the host " + host_ + " takes too long"};
}

void RedisHost::forget() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

Result<std::vector<SocketAddress>> RedisHost::look_up(Steady::time_point until) {
  if (running_ == nullptr) {
    const addrinfo numeric = hints(AI_NUMERICHOST);
    addrinfo* found = nullptr;
    if (getaddrinfo(host_.c_str(), port_.c_str(), &numeric, &found) == 0) return taken(found);
    running_ = std::make_unique<Lookup>(host_, port_);
    gaicb* request = &running_->request;
    if (const int code = getaddrinfo_a(GAI_NOWAIT, &request, 1, nullptr); code != 0) {
      running_.reset();
      return not_found(host_, code);
    }
  }
  const gaicb* request = &running_->request;
  int code = gai_error(&running_->request);
  while (code == EAI_INPROGRESS) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Steady::now());
    if (left.count() <= 0) return too_long();
    const timespec wait{static_cast<std::time_t>(left.count() / 1'000'000'000),
                        static_cast<long>(left.count() % 1'000'000'000)};  // NOLINT: timespec's
    gai_suspend(&request, 1, &wait);
    code = gai_error(&running_->request);
  }
  addrinfo* found = running_->request.ar_result;
  running_.reset();
  if (code != 0) return not_found(host_, code);
  return taken(found);
}

}  // namespace satchel::core
