#include "talking_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace satchel::core {

TalkingServer::TalkingServer(std::vector<std::string> parts, int pause_ms)
    : parts_(std::move(parts)), pause_ms_(pause_ms) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::pipe2(end_, O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] {
    for (;;) {
      std::array<pollfd, 2> both{{{listener_, POLLIN, 0}, {end_[0], POLLIN, 0}}};
      ::poll(both.data(), both.size(), -1);
      if (both[1].revents != 0) return;
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      talk(connection);
      ::close(connection);
    }
  });
}

TalkingServer::~TalkingServer() {
  ::close(end_[1]);
  thread_.join();
  ::close(end_[0]);
  ::close(listener_);
}

void TalkingServer::talk(int connection) {
  std::array<char, 4096> heard;
  for (std::size_t next = 0;;) {
    std::array<pollfd, 2> both{{{connection, POLLIN, 0}, {end_[0], POLLIN, 0}}};
    const int ready = ::poll(both.data(), both.size(), next < parts_.size() ? pause_ms_ : -1);
    if (both[1].revents != 0) return;
    if (ready > 0 && ::recv(connection, heard.data(), heard.size(), 0) <= 0) return;
    if (next == parts_.size()) continue;
    const std::string& part = parts_[next++];
    ::send(connection, part.data(), part.size(), MSG_NOSIGNAL);
  }
}

}  // namespace satchel::core
