// Tokens by kind. Sums saturate, as the reference's do (linesmith-core, jsonl/mod.rs).
#pragma once

#include <cstdint>
#include <limits>

namespace satchel::cascade {

constexpr std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t sum = a + b;
  return sum < a ? std::numeric_limits<std::uint64_t>::max() : sum;
}

struct TokenCounts {
  std::uint64_t input = 0;
  std::uint64_t output = 0;
  std::uint64_t cache_creation = 0;
  std::uint64_t cache_read = 0;

  TokenCounts& operator+=(const TokenCounts& other) {
    input = saturating_add(input, other.input);
    output = saturating_add(output, other.output);
    cache_creation = saturating_add(cache_creation, other.cache_creation);
    cache_read = saturating_add(cache_read, other.cache_read);
    return *this;
  }
  friend bool operator==(const TokenCounts&, const TokenCounts&) = default;
};

}  // namespace satchel::cascade
