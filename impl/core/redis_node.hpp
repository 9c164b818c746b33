// One Redis server and a bounded pool of connections to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/redis_connection.hpp"
#include "core/redis_host.hpp"
#include "core/redis_reply.hpp"
#include "core/redis_url.hpp"
#include "core/result.hpp"

namespace satchel::core {

struct RedisLimits {
  std::size_t pool = 8;  // connections to one server
  std::int64_t timeout_ns = 100'000'000;
  std::size_t max_reply_bytes = std::size_t{64} << 20;  // of one pipeline
};

// Any thread.
class RedisNode {
 public:
  using Deadline = RedisConnection::Deadline;

  RedisNode(RedisUrl url, const RedisLimits& limits);
  RedisNode(const RedisNode&) = delete;
  RedisNode& operator=(const RedisNode&) = delete;

  [[nodiscard]] const RedisUrl& url() const { return url_; }

  // One pipeline. Where the server had closed a connection that was kept, the commands are sent
  // again on a new one: they may be done twice. kBusy: no connection got free by then; at once, any
  // other error: the server did not let us connect a moment ago.
  Result<std::vector<RedisReply>> exchange(std::span<const RedisCommand* const> commands,
                                           bool asking, Deadline until);

 private:
  using Steady = std::chrono::steady_clock;
  using Connection = std::unique_ptr<RedisConnection>;
  class Place;

  // A kept connection, or null: there is room for a new one, and the caller is to make it.
  Result<Connection> take(Deadline until);
  Result<Connection> connect(Deadline until);
  void failed(const Error& why);
  bool wants_another_server(const std::vector<RedisReply>& replies);
  void give_back(Connection connection);
  void drop_kept();
  [[nodiscard]] bool may_connect(Steady::time_point now) const;

  const RedisUrl url_;
  const RedisLimits limits_;
  RedisHost host_;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Connection> kept_;
  std::size_t places_ = 0;  // connections that are kept, in use or being made
  // After a failure one thread at a time tries to connect, and not before its time.
  int failures_ = 0;
  bool trying_ = false;
  Steady::time_point next_try_;
  Steady::time_point next_departure_;  // from a server that only reads
  Error last_failure_;
};

}  // namespace satchel::core
