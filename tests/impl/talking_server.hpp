// A server of the tests that says what it is told to, whatever it is asked.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "redis_server.hpp"

namespace satchel::core {

class TalkingServer {
 public:
  // To each connection: one part after each thing that it hears, or after `pause_ms` without one.
  explicit TalkingServer(std::vector<std::string> parts, int pause_ms = -1);
  TalkingServer(const TalkingServer&) = delete;
  TalkingServer& operator=(const TalkingServer&) = delete;
  ~TalkingServer();

  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

 private:
  void talk(int connection);

  const std::vector<std::string> parts_;
  const int pause_ms_;
  int listener_ = -1;
  int end_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace satchel::core
