#include "https_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>

#include "core/library_thread.hpp"

namespace satchel::core {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// "NAME: value" lines up to an empty one.
void parse_head(const std::string& head, ServedRequest& request) {
  const std::size_t first_end = head.find("\r\n");
  const std::string first = head.substr(0, first_end);
  const std::size_t space = first.find(' ');
  const std::size_t second = first.find(' ', space + 1);
  if (space == std::string::npos || second == std::string::npos) {
    request.malformed = true;
    return;
  }
  request.method = first.substr(0, space);
  request.target = first.substr(space + 1, second - space - 1);
  for (std::size_t at = first_end + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::string line = head.substr(at, end - at);
    at = end == std::string::npos ? head.size() : end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t value = line.find_first_not_of(' ', colon + 1);
    request.headers[lower(line.substr(0, colon))] =
        value == std::string::npos ? "" : line.substr(value);
  }
}

}  // namespace

bool ServedConnection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const int length = static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20));
    const auto written = tls_ != nullptr ? SSL_write(tls_, bytes.data(), length)
                                         : ::send(fd_, bytes.data(), length, MSG_NOSIGNAL);
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string ServedConnection::read(std::size_t max) {
  std::string bytes(max, '\0');
  const auto got = tls_ != nullptr ? SSL_read(tls_, bytes.data(), static_cast<int>(max))
                                   : ::recv(fd_, bytes.data(), max, 0);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

void ServedConnection::wait_gone() {
  std::array<char, 4096> dropped{};
  while (::recv(fd_, dropped.data(), dropped.size(), 0) > 0) {
  }
}

HttpsServer::HttpsServer(Handler handler, const Certificate* certificate)
    : handler_(std::move(handler)) {
  if (certificate != nullptr) {
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(tls_.get(), certificate->x509.get());
    SSL_CTX_use_PrivateKey(tls_.get(), certificate->key.get());
  }
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), where, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), where, &size) != 0) {
    throw std::runtime_error("no port for the test's server");
  }
  port_ = ntohs(address.sin_port);
}

HttpsServer::~HttpsServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    threads = std::move(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void HttpsServer::start() {
  const SignalsBlocked blocked;
  acceptor_ = std::thread([this] { accept_all(); });
}

void HttpsServer::speak_at_most(int tls_version) {
  SSL_CTX_set_security_level(tls_.get(), 0);
  SSL_CTX_set_min_proto_version(tls_.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(tls_.get(), tls_version);
}

std::string HttpsServer::origin() const {
  return (tls_ != nullptr ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_);
}

std::size_t HttpsServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

std::vector<ServedRequest> HttpsServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpsServer::accept_all() {
  for (;;) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    ++connections_;
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void HttpsServer::serve(int fd) {
  {
    SSL* tls = tls_ != nullptr ? SSL_new(tls_.get()) : nullptr;
    ServedConnection connection(fd, tls);
    if (tls != nullptr) SSL_set_fd(tls, fd);
    if (tls == nullptr || SSL_accept(tls) == 1) serve_requests(connection);
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

void HttpsServer::serve_requests(ServedConnection& connection) {
  std::string bytes;
  for (;;) {
    std::size_t end = 0;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
      const std::string more = connection.read();
      if (more.empty()) return;
      bytes += more;
    }
    ServedRequest request;
    parse_head(bytes.substr(0, end + 2), request);
    bytes.erase(0, end + 4);
    const auto length = request.headers.find("content-length");
    const std::size_t wanted = length != request.headers.end() ? std::stoul(length->second) : 0;
    while (bytes.size() < wanted) {
      const std::string more = connection.read();
      if (more.empty()) return;
      bytes += more;
    }
    request.body = bytes.substr(0, wanted);
    bytes.erase(0, wanted);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (request.malformed || !handler_(request, connection)) return;
  }
}

std::string answer_text(int status, std::string_view body, std::string_view more_headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_headers) + "\r\n" + std::string(body);
}

}  // namespace satchel::core
