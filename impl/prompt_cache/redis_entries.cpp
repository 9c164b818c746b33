#include "prompt_cache/redis_entries.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace satchel::prompt_cache {
namespace {

using core::RedisCommand;
using core::RedisReply;

constexpr std::size_t kKeysOfScript = 100;  // a server does nothing else while it runs one
// PostgreSQL's table keeps no more, and the answer is to be the same, whoever gives it.
constexpr std::uint32_t kMostTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kShortestLifeMs = 1'000;
constexpr std::int64_t kLongestLifeMs = std::int64_t{10} * 365 * 86'400'000;
constexpr std::int64_t kRemoveTimeoutNs = 8 * core::kNanosPerSecond;

// Value and lifetime of each key.
constexpr const char* kWrite = R"(
local function stamp(value) return tonumber(string.sub(value, 2, 17)) end
for i = 1, #KEYS do
  local new = ARGV[2 * i - 1]
  local old = redis.call('GET', KEYS[i])
  if not old or (stamp(old) or 0) <= stamp(new) then
    redis.call('SET', KEYS[i], new, 'PX', ARGV[2 * i])
  end
end
return 1)";

// Old value, new value and lifetime of each key: only what we have seen is replaced.
constexpr const char* kReplace = R"(
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[3 * i - 2] then
    redis.call('SET', KEYS[i], ARGV[3 * i - 1], 'PX', ARGV[3 * i])
  end
end
return 1)";

core::Result<void> first_error(const std::vector<RedisReply>& replies) {
  for (const RedisReply& reply : replies) {
    if (reply.is_error()) return core::Error{core::Status::kIo, reply.text};
  }
  return core::Ok{};
}

RedisCommand script(const char* text, const std::vector<std::string>& keys,
                    std::vector<std::string> arguments) {
  RedisCommand command{"EVAL", text, std::to_string(keys.size())};
  command.insert(command.end(), keys.begin(), keys.end());
  std::move(arguments.begin(), arguments.end(), std::back_inserter(command));
  return command;
}

// Calls do_some() for parts of one slot each, in their order.
template <class Item, class SlotOf, class DoSome>
core::Result<void> in_parts(std::span<const Item> items, SlotOf slot_of, DoSome do_some,
                            std::vector<Item>* failed) {
  std::map<std::uint16_t, std::vector<Item>> by_slot;
  for (const Item& item : items) by_slot[slot_of(item)].push_back(item);
  core::Result<void> result;
  for (const auto& [slot, all] : by_slot) {
    for (std::size_t begin = 0; begin < all.size(); begin += kKeysOfScript) {
      const std::span part =
          std::span<const Item>(all).subspan(begin, std::min(kKeysOfScript, all.size() - begin));
      core::Result<void> done = do_some(part);
      if (done) continue;
      if (result) result = done.take_error();
      if (failed != nullptr) failed->insert(failed->end(), part.begin(), part.end());
    }
  }
  return result;
}

}  // namespace

core::Result<std::vector<RedisReply>> RedisEntries::run(std::string_view key,
                                                        std::span<const RedisCommand> commands) {
  auto replies = redis_->run(key, commands);
  if (!replies && replies.error().status != core::Status::kBusy) time_.doubt();
  return replies;
}

core::Result<void> RedisEntries::know_time(std::string_view key) {
  if (!time_.due()) return core::Ok{};
  const RedisCommand question{"TIME"};
  auto replies = run(key, {&question, 1});
  if (!replies) return replies.take_error();
  time_.learn(replies->front());
  if (time_.known()) return core::Ok{};
  return core::Error{core::Status::kIo, "it does not know the time: " + replies->front().text};
}

core::Result<std::int64_t> RedisEntries::stamp_us(const ScopeId& scope) {
  core::Result<void> renewed = know_time(redis_key(scope, {}));
  // A server that is away goes on counting.
  if (!renewed && !time_.known()) return renewed.take_error();
  return next_stamp_us();
}

// Only where the time is known.
std::int64_t RedisEntries::next_stamp_us() {
  if (distrust_) {
    const std::lock_guard lock(distrusting_);
    if (distrust_) {
      believed_from_us_ = time_.stamp_us();
      distrust_ = false;  // after it: who sees this believes nothing older
    }
  }
  return time_.stamp_us();
}

core::Result<std::vector<Entry>> RedisEntries::find(const ScopeId& scope,
                                                    std::span<const PrefixHash> candidates) {
  std::vector<RedisCommand> commands(1);
  commands.front().reserve(candidates.size() + 1);
  commands.front().emplace_back("MGET");
  for (const PrefixHash& hash : candidates) commands.front().push_back(redis_key(scope, hash));
  if (time_.due()) commands.push_back({"TIME"});
  auto replies = run(commands.front()[1], commands);
  if (!replies) return replies.take_error();
  core::Result<void> understood = first_error(*replies);
  if (!understood) return understood.take_error();
  const std::vector<RedisReply>& values = replies->front().elements;
  if (values.size() != candidates.size()) {
    return core::Error{core::Status::kIo, "an answer to MGET that is none"};
  }
  if (replies->size() > 1) time_.learn(replies->back());
  if (!time_.known()) return core::Error{core::Status::kIo, "it does not know the time"};
  if (distrust_) next_stamp_us();
  std::vector<Entry> found;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto value = decode_redis_value(commands.front()[i + 1], values[i].text);
    if (!value || value->stamp_us < believed_from_us_) continue;
    found.push_back({candidates[i], value->cumulative_token_count, value->tier,
                     time_.to_ours(value->expires_at)});
  }
  return found;
}

core::Result<void> RedisEntries::write(std::span<const RedisWrite> writes,
                                       std::vector<RedisWrite>* failed) {
  return in_parts(
      writes, [&](const RedisWrite& write) { return redis_->slot(redis_key(write.scope, {})); },
      [&](std::span<const RedisWrite> part) { return write_some(part); }, failed);
}

core::Result<void> RedisEntries::write_some(std::span<const RedisWrite> writes) {
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  for (const RedisWrite& write : writes) {
    const Entry& entry = write.entry;
    keys.push_back(redis_key(write.scope, entry.hash));
    const RedisValue value{write.stamp_us, time_.to_server(entry.expires_at),
                           std::min(entry.cumulative_token_count, kMostTokens), entry.tier};
    arguments.push_back(encode_redis_value(keys.back(), value));
    arguments.push_back(lifetime_ms(entry.expires_at));
  }
  const RedisCommand command = script(kWrite, keys, std::move(arguments));
  auto replies = run(keys.front(), {&command, 1});
  if (!replies) return replies.take_error();
  return first_error(*replies);
}

core::Result<void> RedisEntries::slide(std::span<const RedisSlide> slides,
                                       std::vector<RedisSlide>* failed) {
  return in_parts(
      slides, [&](const RedisSlide& slide) { return redis_->slot(redis_key(slide.key.scope, {})); },
      [&](std::span<const RedisSlide> part) { return slide_some(part); }, failed);
}

core::Result<void> RedisEntries::slide_some(std::span<const RedisSlide> slides) {
  RedisCommand question{"MGET"};
  for (const RedisSlide& slide : slides) {
    question.push_back(redis_key(slide.key.scope, slide.key.hash));
  }
  auto there = run(question[1], {&question, 1});
  if (!there) return there.take_error();
  core::Result<void> understood = first_error(*there);
  if (!understood) return understood;
  std::vector<RedisReply>& values = there->front().elements;
  if (values.size() != slides.size()) {
    return core::Error{core::Status::kIo, "an answer to MGET that is none"};
  }
  std::vector<std::string> keys;
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < slides.size(); ++i) {
    std::optional<RedisValue> value = decode_redis_value(question[i + 1], values[i].text);
    if (!value || value->stamp_us > slides[i].stamp_us) continue;
    value->stamp_us = slides[i].stamp_us;
    value->expires_at = time_.to_server(slides[i].expires_at);
    keys.push_back(question[i + 1]);
    arguments.push_back(std::move(values[i].text));
    arguments.push_back(encode_redis_value(keys.back(), *value));
    arguments.push_back(lifetime_ms(slides[i].expires_at));
  }
  if (keys.empty()) return core::Ok{};
  const RedisCommand command = script(kReplace, keys, std::move(arguments));
  auto replies = run(keys.front(), {&command, 1});
  if (!replies) return replies.take_error();
  return first_error(*replies);
}

// What has expired stays for a second: nothing older may come in its place.
std::string RedisEntries::lifetime_ms(std::int64_t expires_at) const {
  const std::int64_t now = clock_.unix_ns();
  const std::int64_t left = expires_at <= now ? 0 : (expires_at - now) / core::kNanosPerMilli + 1;
  return std::to_string(std::clamp(left, kShortestLifeMs, kLongestLifeMs));
}

core::Result<void> RedisEntries::remove_all() {
  return redis_->remove_matching(kRedisKeyPattern, kRemoveTimeoutNs);
}

}  // namespace satchel::prompt_cache
