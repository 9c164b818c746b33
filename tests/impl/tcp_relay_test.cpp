#include "tcp_relay.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <string>

#include "https_server.hpp"

namespace satchel::core {
namespace {

class TcpRelayTest : public testing::Test {
 protected:
  TcpRelayTest() { server_.start(); }

  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(relay_.port()));
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(fd.get(), where, sizeof address) != 0) return UniqueFd();
    return fd;
  }
  static void ask(const UniqueFd& fd) {
    const std::string request = "GET / HTTP/1.1\r\n\r\n";
    ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  }
  // As much as comes, at most `wanted` bytes.
  static std::string read(const UniqueFd& fd, std::size_t wanted) {
    std::string bytes(wanted, '\0');
    std::size_t have = 0;
    while (have < wanted) {
      const ssize_t got = ::recv(fd.get(), bytes.data() + have, wanted - have, 0);
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    return bytes.substr(0, have);
  }

  const std::string answer_ = answer_text(200, std::string(100'000, 'x'));
  HttpsServer server_{[this](const ServedRequest& /*request*/, ServedConnection& connection) {
    return connection.write(answer_);
  }};
  TcpRelay relay_{server_.port()};
};

TEST_F(TcpRelayTest, PassesBytesOnInBothDirections) {
  const UniqueFd client = connect();
  for (int i = 0; i < 3; ++i) {
    ask(client);
    EXPECT_EQ(read(client, answer_.size()), answer_);
  }
  EXPECT_EQ(relay_.connections(), 1U);
}

TEST_F(TcpRelayTest, DelaysWhatPasses) {
  relay_.delay(std::chrono::milliseconds(100));
  const UniqueFd client = connect();
  const auto start = std::chrono::steady_clock::now();
  ask(client);
  EXPECT_EQ(read(client, answer_.size()), answer_);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
}

TEST_F(TcpRelayTest, CutsInTheMiddleOfAnAnswer) {
  const UniqueFd client = connect();
  relay_.cut_after(1'000);
  ask(client);
  EXPECT_LE(read(client, answer_.size()).size(), 1'000U);
  const UniqueFd next = connect();
  ask(next);
  EXPECT_EQ(read(next, answer_.size()), answer_);
}

TEST_F(TcpRelayTest, RefusesUntilItPassesAgain) {
  const UniqueFd client = connect();
  ask(client);
  EXPECT_EQ(read(client, answer_.size()), answer_);
  relay_.refuse();
  EXPECT_EQ(read(client, 1), "");
  EXPECT_FALSE(connect().valid());
  relay_.pass();
  const UniqueFd next = connect();
  ask(next);
  EXPECT_EQ(read(next, answer_.size()), answer_);
}

TEST_F(TcpRelayTest, StallsUntilItPassesAgain) {
  relay_.stall();
  const UniqueFd client = connect();
  ask(client);
  char byte = 0;
  timeval patience{0, 100'000};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), -1);
  patience = {60, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  relay_.pass();
  EXPECT_EQ(read(client, answer_.size()), answer_);
}

}  // namespace
}  // namespace satchel::core
