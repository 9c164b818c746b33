#include "core/redis_node.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace satchel::core {
namespace {

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr int kMostDoublings = 4;
constexpr std::chrono::seconds kDepartureInterval{1};

}  // namespace

// The right to hold one connection; ends with this.
class RedisNode::Place {
 public:
  explicit Place(RedisNode& node) : node_(node) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (kept_) return;
    {
      const std::lock_guard lock(node_.mutex_);
      --node_.places_;
    }
    node_.freed_.notify_one();
  }
  void keep(Connection connection) {
    node_.give_back(std::move(connection));
    kept_ = true;
  }

 private:
  RedisNode& node_;
  bool kept_ = false;
};

RedisNode::RedisNode(RedisUrl url, const RedisLimits& limits)
    : url_(std::move(url)), limits_(limits), host_(url_.host, url_.port) {}

Result<std::vector<RedisReply>> RedisNode::exchange(std::span<const RedisCommand* const> commands,
                                                    bool asking, Deadline until) {
  Result<Connection> taken = take(until);
  if (!taken) return taken.take_error();
  Place place(*this);
  Connection connection = std::move(*taken);
  const bool kept = connection != nullptr;
  if (!kept) {
    Result<Connection> made = connect(until);
    if (!made) return made.take_error();
    connection = std::move(*made);
  }
  Result<std::vector<RedisReply>> replies = connection->exchange(commands, asking, until);
  if (!replies && kept && connection->lost()) {
    drop_kept();  // the others are from before the server went, too
    Result<Connection> made = connect(until);
    if (!made) return made.take_error();
    connection = std::move(*made);
    replies = connection->exchange(commands, asking, until);
  }
  if (replies && wants_another_server(*replies)) {
    host_.forget();
    drop_kept();
  } else if (replies) {
    place.keep(std::move(connection));
  } else if (replies.error().status == Status::kTimeout) {
    failed(replies.error());
  }
  return replies;
}

Result<RedisNode::Connection> RedisNode::take(Deadline until) {
  // Who waited longer has too little time left to say that the server is slow.
  const Deadline enough = until - std::chrono::nanoseconds(limits_.timeout_ns / 2);
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!kept_.empty()) {
      Connection last = std::move(kept_.back());
      kept_.pop_back();
      return last;
    }
    const Steady::time_point now = Steady::now();
    if (now >= enough) break;
    if (places_ < limits_.pool && may_connect(now)) {
      ++places_;
      trying_ = failures_ > 0;
      return Connection();
    }
    if (places_ == 0 || (places_ == 1 && trying_)) return last_failure_;
    freed_.wait_until(lock, enough);
  }
  return Error{Status::kBusy, "all connections are in use"};
}

bool RedisNode::may_connect(Steady::time_point now) const {
  return failures_ == 0 || (!trying_ && now >= next_try_);
}

Result<RedisNode::Connection> RedisNode::connect(Deadline until) {
  try {
    Result<Connection> made = RedisConnection::open(url_, host_, limits_.max_reply_bytes, until);
    if (!made) {
      failed(made.error());
      return made;
    }
    {
      const std::lock_guard lock(mutex_);
      trying_ = false;
      failures_ = 0;
    }
    freed_.notify_all();  // those who wait may connect now
    return made;
  } catch (const std::exception& error) {
    Error failure{Status::kMemory, error.what()};
    failed(failure);
    return failure;
  }
}

void RedisNode::failed(const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    trying_ = false;
    next_try_ = Steady::now() + kFirstPause * (1 << std::min(failures_, kMostDoublings));
    ++failures_;
    last_failure_ = why;
  }
  freed_.notify_all();  // those who wait need not wait any longer
}

// A master that has become a replica keeps its connections, while its name leads to the new master.
// One that stays read-only is not connected to for each command.
bool RedisNode::wants_another_server(const std::vector<RedisReply>& replies) {
  const bool only_reads = std::any_of(replies.begin(), replies.end(), [](const RedisReply& reply) {
    return reply.is_error() && reply.text.starts_with("READONLY");
  });
  if (!only_reads) return false;
  const std::lock_guard lock(mutex_);
  const Steady::time_point now = Steady::now();
  if (now < next_departure_) return false;
  next_departure_ = now + kDepartureInterval;
  return true;
}

void RedisNode::give_back(Connection connection) {
  {
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(connection));
  }
  freed_.notify_one();
}

void RedisNode::drop_kept() {
  std::vector<Connection> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(kept_);
    places_ -= dropped.size();
  }
  freed_.notify_all();
}

}  // namespace satchel::core
