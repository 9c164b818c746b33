#include "prompt_cache/telemetry.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "prompt_cache/marker.hpp"

namespace satchel::prompt_cache {

using core::JsonValue;

bool TelemetryPolicy::applies_to(JsonValue role) const {
  const bool any = std::any_of(prefixes.begin(), prefixes.end(),
                               [](const std::string& prefix) { return !prefix.empty(); });
  return any && role.text_equals("system");
}

bool TelemetryPolicy::excludes(JsonValue block) const {
  const JsonValue marker = block.member(kMarkerName);
  if (marker.exists() && !marker.is_null()) return false;
  const JsonValue text = block.member("text");
  std::string storage;
  const std::string_view start = text.is_string() ? core::trim_start(text.text(storage)) : "";
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
    return !prefix.empty() && start.substr(0, prefix.size()) == prefix;
  });
}

}  // namespace satchel::prompt_cache
