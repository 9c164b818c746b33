// cache_control markers: what one says, and what is wrong with it. Kinds and messages agree with
// the reference (dwctl prompt_cache/parse.rs), so that clients see the same texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json_tape.hpp"
#include "core/result.hpp"
#include "prompt_cache/tier.hpp"

namespace satchel::prompt_cache {

constexpr std::string_view kMarkerName = "cache_control";
constexpr std::size_t kMaxBreakpoints = 4;

// Numbers equal SATCHEL_MARKER_*; abi/ asserts it.
enum class MarkerFault : std::int32_t {
  kNone = 0,
  kJson = 1,
  kTooManyBreakpoints = 2,
  kInvalidTtl = 3,
  kUnsupportedType = 4,
  kDisabledTier = 5,
  kMalformed = 6,
  kAutomaticTtlConflict = 7,
  kNoAutomaticSlot = 8,
};

// Which tiers a client may ask for, and which one a marker without a ttl means.
struct TierPolicy {
  std::vector<Tier> enabled{Tier::k5m, Tier::k1h, Tier::k24h};  // in the order configured
  Tier fallback = Tier::k5m;

  [[nodiscard]] bool is_enabled(Tier tier) const;
};

// An error {kRejected, message, reason} of this kind; `detail` goes into those that name a value.
core::Error marker_error(MarkerFault fault, std::string_view detail = {});

// The tier of a marker that is not null.
core::Result<Tier> read_marker(core::JsonValue marker, const TierPolicy& policy);

// The message for the client: the error's own, and for a tier that is off the ones that are on.
std::string rejection_message(const core::Error& error, const TierPolicy& policy);

}  // namespace satchel::prompt_cache
