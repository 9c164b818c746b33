// Writes usage as JSON: into usage.json, and for the host.
#pragma once

#include "cascade/token_counts.hpp"
#include "cascade/usage_data.hpp"
#include "core/json_writer.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

// The members of an EndpointUsage, within an object that was begun.
void write_usage_members(core::JsonWriter& out, const EndpointUsage& usage);
// {"input": ...}
void write_tokens(core::JsonWriter& out, const TokenCounts& tokens);
void write_time(core::JsonWriter& out, core::Timestamp time);
void write_time_or_null(core::JsonWriter& out, const std::optional<core::Timestamp>& time);

}  // namespace satchel::cascade
