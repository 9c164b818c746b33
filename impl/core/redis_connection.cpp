#include "core/redis_connection.hpp"

#include <fcntl.h>
#include <hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace satchel::core {
namespace {

using Deadline = RedisConnection::Deadline;

constexpr std::size_t kReadBytes = std::size_t{16} << 10;

Error failed(const char* what, int code) {
  return {Status::kIo, std::string(what) + ": " + std::generic_category().message(code), code};
}

Error too_slow() { return {Status::kTimeout, "no answer in time"}; }

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Result<void> poll_until(int fd, short events, Deadline until) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return too_slow();
    const timespec wait{static_cast<std::time_t>(left.count() / 1'000'000'000),
                        static_cast<long>(left.count() % 1'000'000'000)};  // NOLINT: timespec's
    pollfd one{fd, events, 0};
    const int ready = ::ppoll(&one, 1, &wait, nullptr);
    if (ready > 0) return Ok{};
    if (ready < 0 && errno != EINTR) return failed("poll", errno);
  }
}

Result<int> connected(const SocketAddress& address, Deadline until) {
  const auto* raw = reinterpret_cast<const sockaddr*>(&address.bytes);
  Socket socket(::socket(raw->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd() < 0) return failed("socket", errno);
  if (raw->sa_family != AF_UNIX) {
    const int on = 1;
    ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  if (::connect(socket.fd(), raw, address.size) == 0) return socket.release();
  // A Unix socket whose queue is full says so at once instead of waiting.
  if (errno != EINPROGRESS && errno != EINTR) return failed("connect", errno);
  Result<void> ready = poll_until(socket.fd(), POLLOUT, until);
  if (!ready) return ready.take_error();
  int code = 0;
  socklen_t size = sizeof code;
  if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  if (code != 0) return failed("connect", code);
  return socket.release();
}

Result<SocketAddress> unix_address(const std::string& path) {
  SocketAddress address;
  auto* raw = reinterpret_cast<sockaddr_un*>(&address.bytes);
  if (path.size() >= sizeof raw->sun_path) return failed("connect", ENAMETOOLONG);
  raw->sun_family = AF_UNIX;
  std::memcpy(raw->sun_path, path.data(), path.size());
  address.size = sizeof *raw;
  return address;
}

Result<int> connected(const RedisUrl& url, RedisHost& host, Deadline until) {
  if (url.host.empty()) {
    Result<SocketAddress> address = unix_address(url.path);
    if (!address) return address.take_error();
    return connected(*address, until);
  }
  Result<std::vector<SocketAddress>> addresses = host.addresses(until);
  if (!addresses) return addresses.take_error();
  Error last = failed("connect", EADDRNOTAVAIL);
  for (const SocketAddress& address : *addresses) {
    Result<int> socket = connected(address, until);
    if (socket) return socket;
    last = socket.take_error();
    if (last.status == Status::kTimeout) break;
  }
  host.forget();
  return last;
}

void append_command(std::span<const std::string_view> words, std::string& out) {
  std::vector<const char*> starts;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    starts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* bytes = nullptr;
  const int size =
      redisFormatCommandArgv(&bytes, static_cast<int>(words.size()), starts.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  const auto length = static_cast<std::size_t>(size);
  out.append(bytes, length);
  wipe(bytes, length);  // it may be AUTH
  redisFreeCommand(bytes);
}

Error refused(const RedisReply& reply) {
  const bool loading = reply.text.starts_with("LOADING") || reply.text.starts_with("MASTERDOWN");
  const bool full = reply.text.find("max number of clients") != std::string::npos;
  return {loading || full ? Status::kUnavailable : Status::kConfig, reply.text};
}

}  // namespace

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(const RedisUrl& url, RedisHost& host,
                                                               std::size_t max_reply_bytes,
                                                               Deadline until) {
  Result<int> socket = connected(url, host, until);
  if (!socket) return socket.take_error();
  Socket held(*socket);
  std::unique_ptr<RedisConnection> connection(new RedisConnection(held.fd(), max_reply_bytes));
  held.release();
  Result<void> greeted = connection->greet(url, until);
  if (!greeted) return greeted.take_error();
  return connection;
}

RedisConnection::~RedisConnection() { ::close(socket_); }

Result<void> RedisConnection::greet(const RedisUrl& url, Deadline until) {
  std::string bytes;
  std::size_t count = 1;
  if (url.credentials != nullptr) {
    const std::string_view user = url.credentials->user;
    const std::string_view password = url.credentials->password.view();
    bytes.reserve(256 + user.size() + password.size());  // a copy left behind would not be wiped
    const std::array<std::string_view, 3> auth = {"AUTH", user, password};
    const std::array<std::string_view, 2> auth_of_default = {"AUTH", password};
    ++count;
    if (user.empty()) {
      append_command(auth_of_default, bytes);
    } else {
      append_command(auth, bytes);
    }
  }
  if (url.database != 0) {
    const std::string database = std::to_string(url.database);
    append_command(std::array<std::string_view, 2>{"SELECT", database}, bytes);
    ++count;
  }
  // Whoever accepts a connection may still be stopped, or loading.
  append_command(std::array<std::string_view, 1>{"PING"}, bytes);
  Result<std::vector<RedisReply>> replies = send_and_read(bytes, count, until);
  wipe(bytes);
  if (!replies) return replies.take_error();
  for (const RedisReply& reply : *replies) {
    if (reply.is_error()) return refused(reply);
  }
  return Ok{};
}

Result<std::vector<RedisReply>> RedisConnection::exchange(
    std::span<const RedisCommand* const> commands, bool asking, Deadline until) {
  Result<void> quiet = nothing_unasked();
  if (!quiet) return quiet.take_error();
  bytes_.clear();
  std::vector<std::string_view> words;
  for (const RedisCommand* command : commands) {
    if (asking) append_command(std::array<std::string_view, 1>{"ASKING"}, bytes_);
    words.assign(command->begin(), command->end());
    append_command(words, bytes_);
  }
  Result<std::vector<RedisReply>> replies =
      send_and_read(bytes_, commands.size() * (asking ? 2 : 1), until);
  if (!replies || !asking) return replies;
  std::vector<RedisReply> wanted;
  for (std::size_t i = 1; i < replies->size(); i += 2) wanted.push_back(std::move((*replies)[i]));
  return wanted;
}

// Reads while it still sends: a server whose own buffers are full stops reading.
Result<std::vector<RedisReply>> RedisConnection::send_and_read(std::string_view bytes,
                                                               std::size_t count, Deadline until) {
  std::vector<RedisReply> replies;
  reader_.reset();
  while (replies.size() < count) {
    if (!bytes.empty()) {
      Result<bool> sent = send_some(bytes);
      if (!sent) return sent.take_error();
    }
    Result<bool> received = receive_some(until);
    if (!received) {
      // What a server says before it closes the connection is the better reason.
      if (lost_ && !replies.empty() && replies.back().is_error()) return refused(replies.back());
      return received.take_error();
    }
    bool whole = *received;
    while (whole && replies.size() < count) {
      RedisReply reply;
      Result<bool> next = reader_.next(reply);
      if (!next) return next.take_error();
      whole = *next;
      if (whole) replies.push_back(std::move(reply));
    }
    if (replies.size() == count) break;
    Result<void> ready =
        poll_until(socket_, static_cast<short>(bytes.empty() ? POLLIN : POLLIN | POLLOUT), until);
    if (!ready) return ready.take_error();
  }
  if (!bytes.empty() || reader_.has_rest()) {
    return Error{Status::kIo, "an answer that nobody asked for"};
  }
  return replies;
}

// An answer that came too late for its question must not be taken for the next one's.
Result<void> RedisConnection::nothing_unasked() {
  char byte = 0;
  const ssize_t got = ::recv(socket_, &byte, 1, MSG_PEEK);
  if (got > 0) return Error{Status::kIo, "an answer that nobody asked for"};
  if (got == 0) return broken(0);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return Ok{};
  return broken(errno);
}

// True: some went.
Result<bool> RedisConnection::send_some(std::string_view& bytes) {
  for (;;) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return bytes.remove_prefix(static_cast<std::size_t>(sent)), true;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return broken(errno);
  }
}

// True: some came.
Result<bool> RedisConnection::receive_some(Deadline until) {
  std::array<char, kReadBytes> buffer;
  bool any = false;
  for (;;) {
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return any;
    if (got < 0) return broken(errno);
    if (got == 0) return broken(0);
    Result<void> fed = reader_.feed({buffer.data(), static_cast<std::size_t>(got)});
    if (!fed) return fed.take_error();
    any = true;
    if (static_cast<std::size_t>(got) < buffer.size()) return true;
    // A server that never stops talking.
    if (std::chrono::steady_clock::now() >= until) return too_slow();
  }
}

Error RedisConnection::broken(int code) {
  lost_ = true;
  if (code == 0) return {Status::kIo, "the server closed the connection"};
  return failed("the connection broke", code);
}

}  // namespace satchel::core
