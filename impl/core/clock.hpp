// Time, replaceable by the host and by tests.
#pragma once

#include <cstdint>

namespace satchel::core {

constexpr std::int64_t kNanosPerMilli = 1'000'000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Nanoseconds since 1970-01-01 UTC. Any thread.
  virtual std::int64_t unix_ns() = 0;
  // Nanoseconds since a fixed point, never going back. Any thread.
  virtual std::int64_t monotonic_ns() = 0;
};

// The system's clocks. Lives as long as the library.
Clock& system_clock();

}  // namespace satchel::core
