// Real Redis servers of the tests' own, on free ports of 127.0.0.1 and with nothing on disk that
// outlives them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/redis_reply.hpp"
#include "surroundings.hpp"

namespace satchel::core {

class RedisServer {
 public:
  // Starts it and waits until it answers. `arguments` go to redis-server: {"--maxclients", "10"}.
  explicit RedisServer(std::vector<std::string> arguments = {});
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer();  // kills it

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string place() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string url() const { return "redis://" + place(); }
  [[nodiscard]] const std::string& directory() const { return directory_.path(); }

  void start();  // on the port it had, with what it saved
  void stop();   // SIGTERM: it saves nothing
  void kill();   // SIGKILL
  void freeze();
  void thaw();

  // One command on a connection of its own, as an administrator would; fails the test where there
  // is no answer.
  RedisReply ask(const std::vector<std::string>& command) const;
  // The same with a password.
  RedisReply ask_as(const std::string& password, const std::vector<std::string>& command) const;

 private:
  bool launch();
  void wait_for_end();

  const std::vector<std::string> arguments_;
  const TemporaryDirectory directory_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// Three masters that share all slots evenly.
class RedisCluster {
 public:
  RedisCluster();

  [[nodiscard]] RedisServer& node(std::size_t i) { return *nodes_[i]; }
  [[nodiscard]] std::vector<std::string> urls() const;
  [[nodiscard]] std::string id(std::size_t i) const;
  // The node that has the slot.
  [[nodiscard]] std::size_t owner(std::uint16_t slot) const;

  // Between these two, keys of the slot are on both nodes.
  void begin_migration(std::uint16_t slot, std::size_t from, std::size_t to);
  void end_migration(std::uint16_t slot, std::size_t from, std::size_t to);

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

}  // namespace satchel::core
