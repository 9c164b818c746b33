// One connection to a Redis server. Bytes go through send() and recv() of our own, so that every
// wait ends in time and no SIGPIPE reaches the host; hiredis writes the commands and reads the
// replies.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis_host.hpp"
#include "core/redis_reply.hpp"
#include "core/redis_url.hpp"
#include "core/result.hpp"

namespace satchel::core {

using RedisCommand = std::vector<std::string>;  // name and arguments, any bytes

// One thread at a time. After an error it is of no use any more.
class RedisConnection {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Connected, authenticated, and the server has answered. kTimeout: not by then; kConfig: the
  // server refuses our credentials or database; kUnavailable: it is there, but not ready.
  static Result<std::unique_ptr<RedisConnection>> open(const RedisUrl& url, RedisHost& host,
                                                       std::size_t max_reply_bytes, Deadline until);
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();

  // Sends all commands and takes as many replies, in their order. With `asking`, ASKING goes before
  // each, and its reply is left out.
  Result<std::vector<RedisReply>> exchange(std::span<const RedisCommand* const> commands,
                                           bool asking, Deadline until);
  // The other side closed it, maybe before it saw the last exchange().
  [[nodiscard]] bool lost() const { return lost_; }

 private:
  RedisConnection(int socket, std::size_t max_reply_bytes)
      : socket_(socket), reader_(max_reply_bytes) {}

  Result<void> greet(const RedisUrl& url, Deadline until);
  Result<std::vector<RedisReply>> send_and_read(std::string_view bytes, std::size_t count,
                                                Deadline until);
  Result<void> nothing_unasked();
  Result<bool> send_some(std::string_view& bytes);
  Result<bool> receive_some(Deadline until);
  Error broken(int code);

  const int socket_;
  RedisReplyReader reader_;
  std::string bytes_;  // of the commands
  bool lost_ = false;
};

}  // namespace satchel::core
