// The table's times are the server's: hosts whose clocks disagree share it. How far this host's
// clock is off is measured, and every time is converted on its way in and out.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>

#include "core/clock.hpp"

namespace satchel::prompt_cache {

// Any thread.
class PostgresClock {
 public:
  using Steady = std::chrono::steady_clock;
  // Microseconds since 2000-01-01 UTC, as a timestamptz has them.
  using ServerTime = std::int64_t;

  explicit PostgresClock(core::Clock& clock) : clock_(clock) {}

  // One measurement serves all connections, so that what one writes another reads back unchanged;
  // clocks drift, so that it is taken anew now and then.
  [[nodiscard]] bool due() const {
    const std::int64_t at = measured_at_.load();
    return at == kNever || Steady::now().time_since_epoch().count() - at >= kLifetime.count();
  }
  // Another server may answer from now on.
  void expire() { measured_at_.store(kNever); }
  // The server's clock said `there` between `before` and `after` of ours: wrong by no more than
  // half the round trip. Of several threads that measured, the first one is believed.
  void measured(std::int64_t before_ns, ServerTime there, std::int64_t after_ns) {
    const std::lock_guard lock(measuring_);
    if (!due()) return;
    offset_.store(there - floor_micros(before_ns + (after_ns - before_ns) / 2));
    measured_at_.store(Steady::now().time_since_epoch().count());
  }
  [[nodiscard]] std::int64_t now_ns() const { return clock_.unix_ns(); }

  // An entry is live while now < expires_at: rounded so that this stays true to the nanosecond for
  // what was a whole microsecond, and for at most one microsecond more for all else.
  [[nodiscard]] ServerTime expiry(std::int64_t unix_ns) const {
    const std::int64_t part = unix_ns % kNanosPerMicro != 0 ? 1 : 0;
    return add(floor_micros(unix_ns) + part, offset_.load());
  }
  [[nodiscard]] ServerTime now(std::int64_t unix_ns) const {
    return add(floor_micros(unix_ns), offset_.load());
  }
  [[nodiscard]] std::int64_t unix_ns(ServerTime there) const {
    const std::int64_t micros = add(there, -offset_.load());
    if (micros > kMost / kNanosPerMicro) return kMost;
    if (micros < kLeast / kNanosPerMicro) return kLeast;
    return micros * kNanosPerMicro;
  }

 private:
  static constexpr std::int64_t kNanosPerMicro = 1'000;
  static constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kNever = kLeast;
  static constexpr Steady::duration kLifetime = std::chrono::minutes(10);

  static std::int64_t floor_micros(std::int64_t ns) {
    return ns / kNanosPerMicro - (ns % kNanosPerMicro < 0 ? 1 : 0);
  }
  // An infinite time stays infinite.
  static std::int64_t add(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return a < 0 ? kLeast : kMost;
  }

  core::Clock& clock_;
  std::mutex measuring_;
  std::atomic<std::int64_t> offset_{0};  // microseconds: server - ours, epochs included
  std::atomic<std::int64_t> measured_at_{kNever};
};

}  // namespace satchel::prompt_cache
