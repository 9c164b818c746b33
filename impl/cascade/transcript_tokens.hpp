// Tokens as the transcripts have them: finer than the cascade's counts, and in sums that cannot
// overflow, so that what was added can be taken out again. Saturated only when they are told.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

#include "cascade/token_counts.hpp"

namespace satchel::cascade {

__extension__ typedef unsigned __int128 WideCount;

inline std::uint64_t saturated(WideCount wide) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  return wide > kMost ? kMost : static_cast<std::uint64_t>(wide);
}

// Of one message.
struct MessageTokens {
  std::uint64_t input = 0;
  std::uint64_t output = 0;
  std::uint64_t cache_creation = 0;
  std::uint64_t cache_creation_1h = 0;  // the part of it that was written for one hour
  std::uint64_t cache_read = 0;

  // NOLINTNEXTLINE(modernize-use-nullptr): of code that the compiler makes
  friend auto operator<=>(const MessageTokens&, const MessageTokens&) = default;
};

struct TokenSums {
  WideCount input = 0;
  WideCount output = 0;
  WideCount cache_creation = 0;
  WideCount cache_creation_1h = 0;
  WideCount cache_read = 0;
  std::uint64_t messages = 0;

  void add(const MessageTokens& tokens) {
    input += tokens.input;
    output += tokens.output;
    cache_creation += tokens.cache_creation;
    cache_creation_1h += tokens.cache_creation_1h;
    cache_read += tokens.cache_read;
    ++messages;
  }
  TokenSums& operator+=(const TokenSums& other) {
    input += other.input;
    output += other.output;
    cache_creation += other.cache_creation;
    cache_creation_1h += other.cache_creation_1h;
    cache_read += other.cache_read;
    messages += other.messages;
    return *this;
  }
  [[nodiscard]] TokenCounts counts() const {
    return {saturated(input), saturated(output), saturated(cache_creation), saturated(cache_read)};
  }
  friend bool operator==(const TokenSums&, const TokenSums&) = default;
};

}  // namespace satchel::cascade
