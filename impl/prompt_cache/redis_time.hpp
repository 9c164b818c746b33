// The Redis server's clock, by which entries expire and are stamped: all processes see the same
// one, whatever their own say.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "core/clock.hpp"
#include "core/redis_reply.hpp"

namespace satchel::prompt_cache {

// Any thread. The nodes of a cluster are taken to agree: their clocks are to be kept in step.
class RedisTime {
 public:
  explicit RedisTime(core::Clock& clock) : clock_(clock) {}

  // It is unknown, or was not asked for in the last half minute.
  [[nodiscard]] bool due() const;
  [[nodiscard]] bool known() const { return known_.load(std::memory_order_acquire); }
  // The server may be another one by now.
  void doubt();
  // The answer to TIME. Changes nothing where it is not due: whoever asked at the same time was
  // first, and what was converted one way is to be converted back the same way.
  void learn(const core::RedisReply& time);

  // Both keep the greatest number: it stands for "never". Only where it is known.
  [[nodiscard]] std::int64_t to_server(std::int64_t ours) const;
  [[nodiscard]] std::int64_t to_ours(std::int64_t server) const;

  // The server's time in microseconds, and more than any stamp before. Only where it is known.
  std::int64_t stamp_us();

 private:
  core::Clock& clock_;
  std::mutex learning_;
  std::atomic<bool> known_{false};
  std::atomic<std::int64_t> due_at_ns_{0};          // of the steady clock
  std::atomic<std::int64_t> server_minus_ours_{0};  // nanoseconds, of clock_.unix_ns()
  std::atomic<std::int64_t> server_minus_steady_us_{0};
  std::atomic<std::int64_t> last_stamp_us_{0};
};

}  // namespace satchel::prompt_cache
