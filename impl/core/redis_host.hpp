// The addresses of a host's name, found within a time although the C library's resolver knows none.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace satchel::core {

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

// Any thread.
class RedisHost {
 public:
  RedisHost(std::string host, std::uint16_t port);
  RedisHost(const RedisHost&) = delete;
  RedisHost& operator=(const RedisHost&) = delete;
  ~RedisHost();

  // Those found before, as long as they work. kTimeout: the lookup goes on, and the next call looks
  // whether it has ended.
  Result<std::vector<SocketAddress>> addresses(std::chrono::steady_clock::time_point until);
  // None of them answered: the next call asks the resolver again.
  void forget();

 private:
  struct Lookup;
  class Turn;

  [[nodiscard]] Error too_long() const;
  Result<std::vector<SocketAddress>> look_up(std::chrono::steady_clock::time_point until);

  const std::string host_;
  const std::string port_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool asking_ = false;  // one thread at a time asks or waits, without the mutex
  std::vector<SocketAddress> known_;
  std::unique_ptr<Lookup> running_;  // of the thread that asks
};

}  // namespace satchel::core
