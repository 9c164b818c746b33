// The body that goes upstream: markers removed exactly where parsing reads them, telemetry left
// out where that is configured, include_usage asked for in streams. All other bytes stay.
#pragma once

#include "core/json_edit.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/telemetry.hpp"

namespace satchel::prompt_cache {

// Adds the edits. Returns had_markers: a marker that is not null was removed, which is the client's
// wish to cache; the edits may be empty all the same, and may not be where it is false.
// Source: dwctl prompt_cache/inject.rs, strip_cache_control.
bool edit_forwarded_body(core::JsonValue body, const TelemetryPolicy& telemetry,
                         core::JsonEdits& edits);

}  // namespace satchel::prompt_cache
