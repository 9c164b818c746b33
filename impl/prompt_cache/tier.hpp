// TTL tiers. A tier is the longest gap between two uses, not a lifetime: every read extends the
// entry to now + tier. It also names what creating the entry costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/clock.hpp"

namespace satchel::prompt_cache {

enum class Tier : std::uint8_t { k5m = 0, k1h = 1, k24h = 2 };

constexpr int kTierCount = 3;

constexpr std::string_view tier_name(Tier tier) {
  switch (tier) {
    case Tier::k5m:
      return "5m";
    case Tier::k1h:
      return "1h";
    case Tier::k24h:
      return "24h";
  }
  return "5m";
}

constexpr std::optional<Tier> tier_from_name(std::string_view name) {
  if (name == "5m") return Tier::k5m;
  if (name == "1h") return Tier::k1h;
  if (name == "24h") return Tier::k24h;
  return std::nullopt;
}

constexpr std::int64_t tier_ns(Tier tier) {
  switch (tier) {
    case Tier::k5m:
      return 300 * core::kNanosPerSecond;
    case Tier::k1h:
      return 3600 * core::kNanosPerSecond;
    case Tier::k24h:
      return 86400 * core::kNanosPerSecond;
  }
  return 0;
}

}  // namespace satchel::prompt_cache
