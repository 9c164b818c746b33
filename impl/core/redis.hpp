// A Redis server, or a cluster of them: short pipelines over a few connections, each bounded in
// time, and none at all for a while after a server did not answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/redis_connection.hpp"
#include "core/redis_node.hpp"
#include "core/redis_reply.hpp"
#include "core/redis_slots.hpp"
#include "core/redis_url.hpp"
#include "core/result.hpp"

namespace satchel::core {

struct RedisOptions {
  std::vector<std::string> urls;
  bool cluster = false;  // `urls` are some of its nodes; else there is one
  RedisLimits limits;
};

// Any thread. Connects when it is first used.
class Redis {
 public:
  // kConfig: a URL that is none; the message quotes no secret.
  static Result<std::unique_ptr<Redis>> make(const RedisOptions& options);
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  // "Redis at host:port". No secrets.
  [[nodiscard]] const std::string& name() const { return name_; }

  // Keys of one slot may go into one run(). 0 for all keys without a cluster.
  [[nodiscard]] std::uint16_t slot(std::string_view key) const;

  // Sends `commands`, all of the slot of `key`, as one pipeline. One reply for each, in their
  // order; a command that failed by itself has a reply of the kind error. They may be done twice,
  // so they must bear that. Takes at most the timeout. Errors: kBusy, no connection got free in
  // time; others, the server does not answer, or says that it cannot now (LOADING, READONLY,
  // CLUSTERDOWN, TRYAGAIN…): then some of the commands may have been done.
  Result<std::vector<RedisReply>> run(std::string_view key, std::span<const RedisCommand> commands);

  // Deletes every key that matches the pattern, on all masters; keys made meanwhile may stay.
  Result<void> remove_matching(std::string_view pattern, std::int64_t timeout_ns);

 private:
  using Steady = std::chrono::steady_clock;
  using Deadline = RedisNode::Deadline;
  using Node = std::shared_ptr<RedisNode>;
  struct SlotMap;

  Redis(std::vector<RedisUrl> urls, bool cluster, const RedisLimits& limits);

  [[nodiscard]] Deadline deadline() const;
  Result<Node> node_of(std::uint16_t slot, Deadline until);
  Node node_at(const RedisUrl& url);
  Result<std::shared_ptr<const SlotMap>> slot_map(Deadline until);
  Result<std::shared_ptr<const SlotMap>> ask_for_slot_map(Deadline until);
  std::vector<Node> nodes_to_ask();
  Result<void> remove_on(RedisNode& node, std::string_view pattern, Steady::time_point until);

  const std::vector<RedisUrl> urls_;
  const bool cluster_;
  const RedisLimits limits_;
  const std::string name_;

  std::mutex mutex_;
  std::map<std::string, Node> nodes_;  // by place
  std::shared_ptr<const SlotMap> slots_;
  std::atomic<bool> slots_are_old_{true};
  bool asking_for_slots_ = false;
  Steady::time_point next_question_;
  Error no_slots_{Status::kUnavailable, "the cluster was not asked yet which node has which keys"};
};

}  // namespace satchel::core
