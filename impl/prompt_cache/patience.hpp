// How long somebody waits for an answer, and whether anybody still does.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include "core/clock.hpp"

namespace satchel::prompt_cache {

struct Patience {
  std::int64_t until_ns = std::numeric_limits<std::int64_t>::max();  // of Clock::monotonic_ns()
  const std::atomic<bool>* given_up = nullptr;  // set by another thread, never cleared

  // Nanoseconds that are left, 0 if none.
  [[nodiscard]] std::int64_t left_ns(core::Clock& clock) const {
    if (given_up != nullptr && given_up->load(std::memory_order_relaxed)) return 0;
    if (until_ns == std::numeric_limits<std::int64_t>::max()) return until_ns;
    return std::max<std::int64_t>(until_ns - clock.monotonic_ns(), 0);
  }
  [[nodiscard]] bool over(core::Clock& clock) const { return left_ns(clock) == 0; }
};

}  // namespace satchel::prompt_cache
