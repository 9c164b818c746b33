#include "tcp_relay.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/library_thread.hpp"

namespace satchel::core {
namespace {

constexpr std::size_t kMostAtOnce = 16'384;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

UniqueFd bound_socket(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("no port for the relay");
  }
  return fd;
}

int port_of(const UniqueFd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void send_at_once(const UniqueFd& fd) {
  const int yes = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

}  // namespace

TcpRelay::TcpRelay(int server_port)
    : server_port_(server_port), holder_(bound_socket(0)), wake_(::eventfd(0, EFD_CLOEXEC)) {
  port_ = port_of(holder_);
  listen();
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
}

TcpRelay::~TcpRelay() {
  order([this] { stopping_ = true; });
  thread_.join();
}

std::size_t TcpRelay::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

std::size_t TcpRelay::turns() const {
  const std::lock_guard lock(mutex_);
  return turns_;
}

void TcpRelay::delay(std::chrono::milliseconds late) {
  order([&] { delay_ = late; });
}

void TcpRelay::cut_after(std::size_t server_bytes) {
  order([&] { cut_after_ = server_bytes; });
}

void TcpRelay::cut() {
  order([this] { cut_all(); });
}

void TcpRelay::stall() {
  order([this] { stalled_ = true; });
}

void TcpRelay::refuse() {
  order([this] {
    ::shutdown(listener_.get(), SHUT_RDWR);
    listener_ = UniqueFd();
    cut_all();
  });
}

void TcpRelay::pass() {
  order([this] {
    delay_ = std::chrono::milliseconds(0);
    cut_after_.reset();
    stalled_ = false;
    if (!listener_.valid()) listen();
  });
}

// The thread holds the mutex but while it polls, and looks at everything anew after that: what is
// changed here holds for it at once.
void TcpRelay::order(const std::function<void()>& change) {
  {
    const std::lock_guard lock(mutex_);
    change();
  }
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) != sizeof one) std::abort();
}

void TcpRelay::listen() {
  listener_ = bound_socket(port_);
  if (::listen(listener_.get(), 128) != 0) throw std::runtime_error("the relay cannot listen");
}

void TcpRelay::run() {
  while (run_once()) {
  }
}

bool TcpRelay::run_once() {
  std::unique_lock lock(mutex_);
  if (stopping_) return false;
  // What poll says of each is not looked at: by then the descriptor may be closed, its number used
  // again. Everything after it does not wait.
  std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}};
  if (listener_.valid() && !stalled_) polled.push_back({listener_.get(), POLLIN, 0});
  for (const Pair& pair : pairs_) {
    for (const Side* side : {&pair.client, &pair.server}) {
      // Left out, or a side that hung up would be reported again and again.
      if (stalled_ || pair.ended) continue;
      polled.push_back(
          {side->fd.get(), static_cast<short>(side->blocked ? POLLIN | POLLOUT : POLLIN), 0});
    }
  }
  const int timeout = poll_timeout(Steady::now());
  lock.unlock();
  ::poll(polled.data(), polled.size(), timeout);
  if (polled.front().revents != 0) {
    std::uint64_t ignored = 0;
    if (::read(wake_.get(), &ignored, sizeof ignored) < 0) return false;
  }
  lock.lock();
  if (stalled_ || stopping_) return !stopping_;

  accept_one();
  for (Pair& pair : pairs_) {
    read_from(pair, false);
    read_from(pair, true);
  }
  const Steady::time_point now = Steady::now();
  for (Pair& pair : pairs_) {
    send_due(pair, pair.client, now);
    send_due(pair, pair.server, now);
  }
  if (cut_after_ == std::size_t{0}) {
    cut_all();
    cut_after_.reset();
  }
  pairs_.remove_if([](const Pair& pair) {
    return pair.ended && pair.client.coming.empty() && pair.server.coming.empty();
  });
  return true;
}

// A descriptor that is being polled stays open until that ends; its connection must not.
void TcpRelay::cut_all() {
  for (const Pair& pair : pairs_) {
    ::shutdown(pair.client.fd.get(), SHUT_RDWR);
    ::shutdown(pair.server.fd.get(), SHUT_RDWR);
  }
  pairs_.clear();
}

void TcpRelay::accept_one() {
  pollfd waiting{listener_.get(), POLLIN, 0};
  if (!listener_.valid() || ::poll(&waiting, 1, 0) != 1) return;
  Pair pair;
  pair.client.fd = UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!pair.client.fd.valid()) return;
  ++connections_;
  pair.server.fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(server_port_);
  if (::connect(pair.server.fd.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) != 0) {
    return;  // to the client it is as if the server had closed
  }
  send_at_once(pair.client.fd);
  send_at_once(pair.server.fd);
  pairs_.push_back(std::move(pair));
}

void TcpRelay::read_from(Pair& pair, bool server) {
  if (pair.ended) return;
  const Side& from = server ? pair.server : pair.client;
  Side& to = server ? pair.client : pair.server;
  std::array<char, kMostAtOnce> bytes{};
  const ssize_t got = ::recv(from.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    pair.ended = true;
    return;
  }
  if (server && pair.client_spoke) ++turns_;
  pair.client_spoke = !server;
  auto passing = static_cast<std::size_t>(got);
  if (server && cut_after_) {
    passing = std::min(passing, *cut_after_);
    *cut_after_ -= passing;
  }
  to.coming.push_back({Steady::now() + delay_, std::string(bytes.data(), passing)});
}

void TcpRelay::send_due(Pair& pair, Side& to, Steady::time_point now) {
  to.blocked = false;
  while (!to.coming.empty() && to.coming.front().due <= now) {
    std::string& bytes = to.coming.front().bytes;
    const ssize_t sent =
        ::send(to.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      to.blocked = errno == EAGAIN && !pair.ended;
      if (to.blocked) return;
      pair.ended = true;
      to.coming.clear();
      return;
    }
    bytes.erase(0, static_cast<std::size_t>(sent));
    if (bytes.empty()) to.coming.pop_front();
  }
}

// Until the next bytes are due; -1: until something happens.
int TcpRelay::poll_timeout(Steady::time_point now) const {
  std::optional<Steady::time_point> next;
  for (const Pair& pair : pairs_) {
    for (const Side* side : {&pair.client, &pair.server}) {
      if (stalled_ || side->blocked || side->coming.empty()) continue;
      const Steady::time_point due = side->coming.front().due;
      next = next ? std::min(*next, due) : due;
    }
  }
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

}  // namespace satchel::core
