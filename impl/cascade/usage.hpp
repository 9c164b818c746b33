// What a resolve found, and where it comes from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cascade/observation.hpp"
#include "cascade/transcripts.hpp"
#include "cascade/usage_data.hpp"
#include "cascade/usage_error.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

// Numbers equal SATCHEL_USAGE_*; abi/ asserts it.
enum class UsageSource : std::int32_t {
  kNone = 0,
  kEndpoint = 1,
  kCache = 2,
  kStale = 3,
  kHeaders = 4,
  kJsonl = 5,
};

// "endpoint", "cache", "stale", "headers", "jsonl".
const char* usage_source_name(UsageSource source);

struct Usage {
  UsageSource source = UsageSource::kNone;        // kNone: nothing is known, `error` says why
  UsageError error = UsageError::kNone;           // why it is not fresher
  core::Timestamp now;                            // when it was asked for
  core::Timestamp as_of;                          // when the numbers were true
  std::shared_ptr<const EndpointUsage> endpoint;  // of every source but kJsonl
  // When the endpoint said what the headers do not: limits by model, extra usage.
  std::optional<core::Timestamp> endpoint_as_of;
  std::shared_ptr<const Observation> observation;  // of kHeaders, and of kStale with headers in it
  TranscriptWindows transcripts;                   // of kJsonl
};

// Nanoseconds from as_of to now, never below 0.
std::int64_t age_ns(const Usage& usage);
// All of it, as JSON.
std::string usage_json(const Usage& usage);

}  // namespace satchel::cascade
