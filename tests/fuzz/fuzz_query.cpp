// The query parameter over any target, with a second reader written from the specification: split
// at '&', compare names byte by byte, the first one counts, all are removed.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "canonical.hpp"

namespace {

using fuzz::require;
using Kind = satchel::QueryBreakpoint::Kind;

struct Expected {
  Kind kind = Kind::kAbsent;
  std::string value;
  std::string target;
};

std::vector<std::string> split(const std::string& query) {
  std::vector<std::string> pairs(1);
  for (const char c : query) {
    if (c == '&') {
      pairs.emplace_back();
    } else {
      pairs.back() += c;
    }
  }
  return pairs;
}

Expected read(const std::string& target) {
  Expected expected;
  const std::size_t mark = target.find('?');
  if (mark == std::string::npos) {
    expected.target = target;
    return expected;
  }
  std::vector<std::string> kept;
  for (const std::string& pair : split(target.substr(mark + 1))) {
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != "cacheBreakpoint") {
      kept.push_back(pair);
      continue;
    }
    if (expected.kind != Kind::kAbsent) continue;
    expected.value = equals == std::string::npos ? "" : pair.substr(equals + 1);
    expected.kind = expected.value == "lastUserMessage" ? Kind::kMarker : Kind::kInvalid;
  }
  expected.target = target.substr(0, mark);
  for (std::size_t i = 0; i < kept.size(); ++i) expected.target += (i == 0 ? "?" : "&") + kept[i];
  return expected;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string target(reinterpret_cast<const char*>(data), size);
  const Expected expected = read(target);
  const satchel::QueryBreakpoint found = satchel::query_breakpoint(target);
  require(found.kind == expected.kind, "absent, marker or invalid");
  require(found.value == expected.value, "the value as the client wrote it");
  require(found.value.empty() || (found.value.data() >= target.data() &&
                                  found.value.end() <= target.data() + target.size()),
          "the value is a view into the target");
  require(found.target.view() == expected.target, "the target without the parameter");

  const satchel::QueryBreakpoint again = satchel::query_breakpoint(found.target.view());
  require(again.kind == Kind::kAbsent, "nothing is left of the parameter");
  require(again.target.view() == found.target.view(), "a target without it stays as it is");

  // Where the caller does not ask for them, nothing else changes.
  const satchel_status status = satchel_query_breakpoint(satchel::detail::data(target),
                                                         target.size(), nullptr, nullptr, nullptr);
  require(status == (expected.kind == Kind::kMarker    ? SATCHEL_OK
                     : expected.kind == Kind::kInvalid ? SATCHEL_REJECTED
                                                       : SATCHEL_UNCHANGED),
          "the same answer without outputs");
  return 0;
}
