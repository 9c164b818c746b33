// How long to wait before another attempt: 100 ms * 2^n, at most 3.2 s, and up to 20 % more, so
// that many processes do not come back all at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>

namespace satchel::prompt_cache {

// `failures`: before the one that it is for. Any thread.
inline std::chrono::milliseconds retry_pause(std::size_t failures) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  const std::int64_t whole = std::int64_t{100} << std::min<std::size_t>(failures, 5);
  return std::chrono::milliseconds(
      whole + std::uniform_int_distribution<std::int64_t>(0, whole / 5)(random));
}

}  // namespace satchel::prompt_cache
