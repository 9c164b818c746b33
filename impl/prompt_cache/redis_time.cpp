#include "prompt_cache/redis_time.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

namespace satchel::prompt_cache {
namespace {

constexpr std::int64_t kInterval = 30 * core::kNanosPerSecond;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// Till the year 2200: what lies beyond cannot be a server's clock.
constexpr std::int64_t kMostSeconds = 7'258'118'400;

std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t plus(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (a == kNever) return a;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? kNever : std::numeric_limits<std::int64_t>::min();
}

std::optional<std::int64_t> number(const core::RedisReply& reply, std::int64_t most) {
  std::int64_t value = -1;
  const std::string& text = reply.text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 0 || value > most) return std::nullopt;
  return value;
}

}  // namespace

bool RedisTime::due() const {
  return steady_ns() >= due_at_ns_.load(std::memory_order_relaxed) || !known();
}

void RedisTime::doubt() { due_at_ns_.store(0, std::memory_order_relaxed); }

void RedisTime::learn(const core::RedisReply& time) {
  if (time.elements.size() != 2) return;
  const std::optional<std::int64_t> seconds = number(time.elements[0], kMostSeconds);
  const std::optional<std::int64_t> micros = number(time.elements[1], 999'999);
  if (!seconds || !micros) return;
  const std::lock_guard lock(learning_);
  if (!due()) return;
  const std::int64_t server_us = *seconds * 1'000'000 + *micros;
  const std::int64_t steady = steady_ns();
  server_minus_steady_us_ = server_us - steady / 1000;
  server_minus_ours_ = server_us * 1000 - clock_.unix_ns();
  due_at_ns_ = steady + kInterval;
  known_.store(true, std::memory_order_release);
}

std::int64_t RedisTime::to_server(std::int64_t ours) const {
  return plus(ours, server_minus_ours_);
}

std::int64_t RedisTime::to_ours(std::int64_t server) const {
  return plus(server, -server_minus_ours_);
}

std::int64_t RedisTime::stamp_us() {
  const std::int64_t now = steady_ns() / 1000 + server_minus_steady_us_;
  std::int64_t last = last_stamp_us_;
  std::int64_t next = 0;
  do {
    next = std::max(now, last + 1);
  } while (!last_stamp_us_.compare_exchange_weak(last, next));
  return next;
}

}  // namespace satchel::prompt_cache
