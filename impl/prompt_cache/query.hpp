// ?cacheBreakpoint=lastUserMessage: automatic caching for clients that cannot touch the body. It
// stands for a top-level {"type":"ephemeral","ttl":"1h"}. Matched byte by byte, nothing decoded.
// Source: dwctl prompt_cache/query.rs; vectors prompt_query.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json_edit.hpp"
#include "core/json_tape.hpp"

namespace satchel::prompt_cache {

constexpr std::string_view kBreakpointParameter = "cacheBreakpoint";

struct QueryBreakpoint {
  enum class Kind : std::uint8_t { kAbsent, kMarker, kInvalid };
  Kind kind = Kind::kAbsent;
  std::string_view value;  // of the first such pair, inside the target
};

// What the first pair of this name in the target's query says.
QueryBreakpoint read_query_breakpoint(std::string_view target);

// The target without any pair of this name; nothing if there is none.
std::optional<std::string> strip_query_breakpoint(std::string_view target);

// Puts the marker into the body. False: it has one of its own that is not null, or is no object.
bool edit_query_marker(core::JsonValue body, core::JsonEdits& edits);

}  // namespace satchel::prompt_cache
