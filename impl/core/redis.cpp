#include "core/redis.hpp"

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>
#include <utility>

namespace satchel::core {
namespace {

constexpr int kMostRedirects = 5;
constexpr std::chrono::milliseconds kQuestionInterval{500};
constexpr const char* kScanCount = "1000";

std::string name_of(const std::vector<RedisUrl>& urls, bool cluster) {
  std::string name = cluster ? "the Redis cluster at " : "Redis at ";
  for (const RedisUrl& url : urls) {
    if (&url != &urls.front()) name += ", ";
    name += url.place();
  }
  return name;
}

bool is_of_now_only(const RedisReply& reply) {
  if (!reply.is_error()) return false;
  for (const char* word : {"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY",
                           "NOREPLICAS", "UNKILLABLE"}) {
    if (reply.text.starts_with(word)) return true;
  }
  return false;
}

Result<std::vector<RedisReply>> unless_of_now_only(std::vector<RedisReply> replies) {
  for (RedisReply& reply : replies) {
    if (is_of_now_only(reply)) return Error{Status::kUnavailable, std::move(reply.text)};
  }
  return replies;
}

}  // namespace

struct Redis::SlotMap {
  static constexpr std::uint16_t kNobody = 0xffff;

  std::vector<Node> masters;
  std::array<std::uint16_t, kRedisSlots> of_slot{};  // an index into `masters`
};

Result<std::unique_ptr<Redis>> Redis::make(const RedisOptions& options) {
  if (options.urls.empty()) return Error{Status::kConfig, "Redis needs at least one URL"};
  if (options.urls.size() > 1 && !options.cluster) {
    return Error{Status::kConfig, "several URLs of Redis are those of a cluster"};
  }
  std::vector<RedisUrl> urls;
  for (const std::string& text : options.urls) {
    Result<RedisUrl> url = parse_redis_url(text);
    if (!url) {
      return Error{Status::kConfig, "URL " + std::to_string(urls.size() + 1) +
                                        " of Redis cannot be used: " + url.error().message};
    }
    if (options.cluster && (url->host.empty() || url->database != 0)) {
      return Error{Status::kConfig, "a Redis cluster has hosts, and one database"};
    }
    urls.push_back(std::move(*url));
  }
  return std::unique_ptr<Redis>(new Redis(std::move(urls), options.cluster, options.limits));
}

Redis::Redis(std::vector<RedisUrl> urls, bool cluster, const RedisLimits& limits)
    : urls_(std::move(urls)), cluster_(cluster), limits_(limits), name_(name_of(urls_, cluster)) {}

std::uint16_t Redis::slot(std::string_view key) const { return cluster_ ? redis_slot(key) : 0; }

Redis::Deadline Redis::deadline() const {
  return Steady::now() + std::chrono::nanoseconds(limits_.timeout_ns);
}

Result<std::vector<RedisReply>> Redis::run(std::string_view key,
                                           std::span<const RedisCommand> commands) {
  const Deadline until = deadline();
  Result<Node> first = node_of(slot(key), until);
  if (!first) return first.take_error();
  Node node = std::move(*first);
  bool asking = false;
  std::vector<RedisReply> replies(commands.size());
  std::vector<std::size_t> todo(commands.size());
  std::iota(todo.begin(), todo.end(), 0);
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    std::vector<const RedisCommand*> batch;
    batch.reserve(todo.size());
    for (const std::size_t i : todo) batch.push_back(&commands[i]);
    Result<std::vector<RedisReply>> answers = node->exchange(batch, asking, until);
    if (!answers) {
      slots_are_old_ = true;
      return answers;
    }
    std::vector<std::size_t> elsewhere;
    std::optional<RedisRedirect> redirect;
    for (std::size_t i = 0; i < todo.size(); ++i) {
      RedisReply& answer = (*answers)[i];
      std::optional<RedisRedirect> one;
      if (cluster_) one = read_redirect(answer, node->url());
      if (one) {
        elsewhere.push_back(todo[i]);
        redirect = std::move(one);
      } else {
        replies[todo[i]] = std::move(answer);
      }
    }
    if (!redirect) return unless_of_now_only(std::move(replies));
    if (!redirect->ask) slots_are_old_ = true;
    node = node_at(redirect->to);
    asking = redirect->ask;
    todo = std::move(elsewhere);
  }
  return Error{Status::kUnavailable, "its nodes send us from one to the other"};
}

Result<Redis::Node> Redis::node_of(std::uint16_t slot, Deadline until) {
  if (!cluster_) return node_at(urls_.front());
  Result<std::shared_ptr<const SlotMap>> map = slot_map(until);
  if (!map) return map.take_error();
  const std::uint16_t master = (*map)->of_slot[slot];
  if (master != SlotMap::kNobody) return (*map)->masters[master];
  slots_are_old_ = true;
  return Error{Status::kUnavailable, "no node has the slot " + std::to_string(slot)};
}

Redis::Node Redis::node_at(const RedisUrl& url) {
  const std::lock_guard lock(mutex_);
  Node& node = nodes_[url.place()];
  if (node == nullptr) node = std::make_shared<RedisNode>(url, limits_);
  return node;
}

// One thread at a time asks for a new map, now and then; the others go on with the old one.
Result<std::shared_ptr<const Redis::SlotMap>> Redis::slot_map(Deadline until) {
  {
    const std::lock_guard lock(mutex_);
    const bool due = slots_are_old_ && !asking_for_slots_ && Steady::now() >= next_question_;
    if (!due && slots_ != nullptr) return slots_;
    if (!due) return no_slots_;
    asking_for_slots_ = true;
    slots_are_old_ = false;
  }
  // Whatever happens to the question, somebody must be able to ask again.
  Result<std::shared_ptr<const SlotMap>> map = Error{Status::kMemory, {}};
  try {
    map = ask_for_slot_map(until);
  } catch (const std::exception& error) {
    map = Error{Status::kMemory, error.what()};
  }
  const std::lock_guard lock(mutex_);
  asking_for_slots_ = false;
  next_question_ = Steady::now() + kQuestionInterval;
  if (map) {
    slots_ = *map;
    // Nodes that left the cluster go with the last call that uses them.
    std::erase_if(nodes_, [&](const auto& known) {
      const std::vector<Node>& masters = slots_->masters;
      return std::find(masters.begin(), masters.end(), known.second) == masters.end();
    });
    for (const Node& master : slots_->masters) nodes_[master->url().place()] = master;
    return slots_;
  }
  slots_are_old_ = true;
  no_slots_ = map.error();
  if (slots_ != nullptr) return slots_;
  return map;
}

std::vector<Redis::Node> Redis::nodes_to_ask() {
  std::vector<Node> nodes;
  {
    const std::lock_guard lock(mutex_);
    if (slots_ != nullptr) nodes = slots_->masters;
  }
  for (const RedisUrl& url : urls_) nodes.push_back(node_at(url));
  return nodes;
}

Result<std::shared_ptr<const Redis::SlotMap>> Redis::ask_for_slot_map(Deadline until) {
  const RedisCommand question{"CLUSTER", "SLOTS"};
  const RedisCommand* const questions[] = {&question};
  Error last{Status::kUnavailable, "no node answers"};
  for (const Node& node : nodes_to_ask()) {
    Result<std::vector<RedisReply>> answer = node->exchange(questions, false, until);
    if (!answer) {
      last = answer.take_error();
      continue;
    }
    auto ranges = read_cluster_slots(answer->front(), node->url());
    if (!ranges) {
      last = ranges.take_error();
      continue;
    }
    if (ranges->empty()) continue;  // a node that left, or has not joined yet
    auto map = std::make_shared<SlotMap>();
    map->of_slot.fill(SlotMap::kNobody);
    for (const RedisSlotRange& range : *ranges) {
      const Node master = node_at(range.master);
      auto found = std::find(map->masters.begin(), map->masters.end(), master);
      if (found == map->masters.end()) found = map->masters.insert(found, master);
      const auto index = static_cast<std::uint16_t>(found - map->masters.begin());
      for (std::size_t slot = range.first; slot <= range.last; ++slot) map->of_slot[slot] = index;
    }
    return std::shared_ptr<const SlotMap>(std::move(map));
  }
  return last;
}

Result<void> Redis::remove_matching(std::string_view pattern, std::int64_t timeout_ns) {
  const Steady::time_point until = Steady::now() + std::chrono::nanoseconds(timeout_ns);
  std::vector<Node> nodes;
  if (cluster_) {
    Result<std::shared_ptr<const SlotMap>> map = slot_map(deadline());
    if (!map) return map.take_error();
    nodes = (*map)->masters;
  } else {
    nodes.push_back(node_at(urls_.front()));
  }
  for (const Node& node : nodes) {
    Result<void> removed = remove_on(*node, pattern, until);
    if (!removed) return removed;
  }
  return Ok{};
}

Result<void> Redis::remove_on(RedisNode& node, std::string_view pattern, Steady::time_point until) {
  std::string cursor = "0";
  do {
    if (Steady::now() >= until) {
      return Error{Status::kTimeout, "there are more keys than can be deleted at once"};
    }
    const RedisCommand scan{"SCAN", cursor, "MATCH", std::string(pattern), "COUNT", kScanCount};
    const RedisCommand* const scans[] = {&scan};
    auto found = node.exchange(scans, false, deadline());
    if (!found) return found.take_error();
    RedisReply& page = found->front();
    if (page.is_error()) return Error{Status::kIo, page.text};
    if (page.elements.size() != 2) return Error{Status::kIo, "an answer to SCAN that is none"};
    cursor = page.elements[0].text;
    std::vector<RedisCommand> removals;
    for (RedisReply& key : page.elements[1].elements) {
      removals.push_back({"UNLINK", std::move(key.text)});  // one each: they differ in their slots
    }
    std::vector<const RedisCommand*> batch;
    batch.reserve(removals.size());
    for (const RedisCommand& removal : removals) batch.push_back(&removal);
    if (batch.empty()) continue;
    auto removed = node.exchange(batch, false, deadline());
    if (!removed) return removed.take_error();
    for (const RedisReply& reply : *removed) {
      if (reply.is_error()) return Error{Status::kIo, reply.text};
    }
  } while (cursor != "0");
  return Ok{};
}

}  // namespace satchel::core
