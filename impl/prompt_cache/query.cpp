#include "prompt_cache/query.hpp"

#include "prompt_cache/marker.hpp"

namespace satchel::prompt_cache {

using core::JsonCursor;
using core::JsonEdits;
using core::JsonValue;

namespace {

constexpr std::string_view kLastUserMessage = "lastUserMessage";
constexpr char kMarker[] = R"({"type":"ephemeral","ttl":"1h"})";

std::string_view pair_name(std::string_view pair) { return pair.substr(0, pair.find('=')); }

// Calls `use(pair)` for every pair of the query until it returns false.
template <class Use>
void for_each_pair(std::string_view query, Use use) {
  for (;;) {
    const std::size_t end = query.find('&');
    if (!use(query.substr(0, end)) || end == std::string_view::npos) return;
    query.remove_prefix(end + 1);
  }
}

}  // namespace

QueryBreakpoint read_query_breakpoint(std::string_view target) {
  QueryBreakpoint found;
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return found;
  for_each_pair(target.substr(mark + 1), [&](std::string_view pair) {
    if (pair_name(pair) != kBreakpointParameter) return true;
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos) found.value = pair.substr(equals + 1);
    found.kind = found.value == kLastUserMessage ? QueryBreakpoint::Kind::kMarker
                                                 : QueryBreakpoint::Kind::kInvalid;
    return false;
  });
  return found;
}

std::optional<std::string> strip_query_breakpoint(std::string_view target) {
  if (read_query_breakpoint(target).kind == QueryBreakpoint::Kind::kAbsent) return std::nullopt;
  const std::size_t mark = target.find('?');
  std::string kept(target.substr(0, mark));
  char separator = '?';
  for_each_pair(target.substr(mark + 1), [&](std::string_view pair) {
    if (pair_name(pair) == kBreakpointParameter) return true;
    kept.push_back(separator);
    kept.append(pair);
    separator = '&';
    return true;
  });
  return kept;
}

bool edit_query_marker(JsonValue body, JsonEdits& edits) {
  if (!body.is_object()) return false;
  const JsonValue present = body.member(kMarkerName);
  if (present.exists()) {
    if (!present.is_null()) return false;
    edits.replace(present.begin(), present.end(), kMarker);
    return true;
  }
  edits.append_member(body, "\"" + std::string(kMarkerName) + "\":" + kMarker,
                      !JsonCursor(body).valid());
  return true;
}

}  // namespace satchel::prompt_cache
