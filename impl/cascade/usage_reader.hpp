// Reads what the endpoint answered, and the same out of usage.json, by the wire rules of the
// reference (linesmith-core, usage.rs and cache.rs).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/usage_data.hpp"
#include "core/json_tape.hpp"

namespace satchel::cascade {

struct ReadUsage {
  std::optional<EndpointUsage> usage;  // none: it cannot be read as a whole
  std::vector<std::string> dropped;    // what was left out of a body's `limits`, for the log
};

// The body of an answer: unknown members stand at the top level.
ReadUsage read_endpoint_body(std::string_view body);
// The member `data` of usage.json: unknown members stand in `unknown_buckets`.
std::optional<EndpointUsage> read_cached_data(core::JsonValue data);

// A string. nullopt: it is none.
std::optional<std::string> read_text(core::JsonValue value);
// An i64 as serde reads it: no fraction, no exponent.
std::optional<std::int64_t> read_integer(core::JsonValue value);
// A jiff Timestamp.
std::optional<core::Timestamp> read_time(core::JsonValue value);

}  // namespace satchel::cascade
