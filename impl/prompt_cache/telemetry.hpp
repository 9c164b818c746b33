// Telemetry blocks: lines that a client's SDK puts into the system prompt and that change with
// every request ("x-anthropic-billing-header: cch=..."). Left in the prefix, nothing would ever be
// read again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/json_tape.hpp"

namespace satchel::prompt_cache {

struct TelemetryPolicy {
  std::vector<std::string> prefixes;  // empty ones are ignored
  bool strip = false;                 // also leave the blocks out of what is forwarded

  [[nodiscard]] bool applies_to(core::JsonValue role) const;
  // Whether an array block of a message to which this applies is left out: it is unmarked and its
  // text, white space before it aside, starts with a prefix.
  [[nodiscard]] bool excludes(core::JsonValue block) const;
};

}  // namespace satchel::prompt_cache
