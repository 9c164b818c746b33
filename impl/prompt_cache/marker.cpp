#include "prompt_cache/marker.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace satchel::prompt_cache {

using core::Error;
using core::JsonValue;
using core::Result;
using core::Status;

bool TierPolicy::is_enabled(Tier tier) const {
  return std::find(enabled.begin(), enabled.end(), tier) != enabled.end();
}

Error marker_error(MarkerFault fault, std::string_view detail) {
  const auto rejected = [&](std::string message) {
    return Error{Status::kRejected, std::move(message), 0, static_cast<int>(fault)};
  };
  switch (fault) {
    case MarkerFault::kTooManyBreakpoints:
      return rejected("too many cache_control breakpoints (max 4)");
    case MarkerFault::kInvalidTtl:
      return rejected("invalid cache_control ttl: " + core::quoted(detail));
    case MarkerFault::kUnsupportedType:
      return rejected("unsupported cache_control type: " + core::quoted(detail) +
                      " (only \"ephemeral\")");
    case MarkerFault::kDisabledTier:
      return rejected("cache_control ttl tier '" + std::string(detail) +
                      "' is not currently available");
    case MarkerFault::kMalformed:
      return rejected(
          "cache_control must be an object with a string \"type\": \"ephemeral\" (and an optional "
          "string \"ttl\")");
    case MarkerFault::kAutomaticTtlConflict:
      return rejected(
          "top-level cache_control ttl conflicts with the explicit cache_control on the last "
          "block");
    case MarkerFault::kNoAutomaticSlot:
      return rejected(
          "no breakpoint slot left for automatic caching (all 4 used by explicit markers)");
    case MarkerFault::kNone:
    case MarkerFault::kJson:
      break;
  }
  return Error{Status::kJson, "request body is not valid JSON: " + std::string(detail), 0,
               static_cast<int>(MarkerFault::kJson)};
}

Result<Tier> read_marker(JsonValue marker, const TierPolicy& policy) {
  if (!marker.is_object()) return marker_error(MarkerFault::kMalformed);
  std::string storage;
  const JsonValue type = marker.member("type");
  if (!type.is_string()) return marker_error(MarkerFault::kMalformed);
  if (!type.text_equals("ephemeral")) {
    return marker_error(MarkerFault::kUnsupportedType, type.text(storage));
  }
  Tier tier = policy.fallback;
  const JsonValue ttl = marker.member("ttl");
  if (ttl.exists()) {
    if (!ttl.is_string()) return marker_error(MarkerFault::kMalformed);
    const std::string_view name = ttl.text(storage);
    const std::optional<Tier> named = tier_from_name(name);
    if (!named) return marker_error(MarkerFault::kInvalidTtl, name);
    tier = *named;
  }
  if (!policy.is_enabled(tier)) return marker_error(MarkerFault::kDisabledTier, tier_name(tier));
  return tier;
}

std::string rejection_message(const Error& error, const TierPolicy& policy) {
  std::string message = error.message;
  if (error.reason != static_cast<int>(MarkerFault::kDisabledTier)) return message;
  message.append("; available tiers: ");
  for (std::size_t i = 0; i < policy.enabled.size(); ++i) {
    message.append(i == 0 ? "" : ", ").append(tier_name(policy.enabled[i]));
  }
  return message;
}

}  // namespace satchel::prompt_cache
