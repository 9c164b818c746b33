// Canonical JSON over any bytes, with simdjson's DOM as the second opinion: both must agree on what
// is JSON, and the canonical text must hold the same document.
//
// Known differences, and what is asked instead:
// - nesting: we stop at 127 containers as serde_json does; simdjson is given more room, so that
//   where only it accepts, there must be more than 127;
// - numbers: simdjson refuses integers beyond 64 bits, which we read as doubles: where it complains
//   of a number, nothing is asked. Both refuse what is infinite, but our reader rounds once more
//   and overflows slightly earlier: where only simdjson accepts, there must be a number
//   of 1.79e308;
// - doubles may differ by that rounding, and -0 is the integer 0 to simdjson and -0.0 to us.
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "canonical.hpp"

namespace {

using fuzz::require;
using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr std::size_t kMaxInput = std::size_t{64} * 1024;
constexpr std::size_t kDepth = 127;

bool is_number(element value) {
  return value.type() == element_type::DOUBLE || value.type() == element_type::INT64 ||
         value.type() == element_type::UINT64;
}

double as_double(element value) {
  switch (value.type()) {
    case element_type::DOUBLE:
      return value.get_double().value();
    case element_type::INT64:
      return static_cast<double>(value.get_int64().value());
    default:
      return static_cast<double>(value.get_uint64().value());
  }
}

bool close(double a, double b) {
  // Denormals have few bits: a rounding there is a large share of the number.
  return std::fabs(a - b) <= std::fabs(a) * 1e-15 + 1e-320;
}

bool same_number(element source, element canonical) {
  if (source.type() == canonical.type() && source.type() != element_type::DOUBLE) {
    return as_double(source) == as_double(canonical) &&
           simdjson::minify(source) == simdjson::minify(canonical);
  }
  if (source.type() != element_type::DOUBLE && as_double(source) != 0) return false;
  return close(as_double(source), as_double(canonical));
}

bool same_document(element source, element canonical);

bool same_array(simdjson::dom::array source, simdjson::dom::array canonical) {
  auto other = canonical.begin();
  for (const element value : source) {
    if (!(other != canonical.end()) || !same_document(value, *other)) return false;
    ++other;
  }
  return !(other != canonical.end());
}

// Keys in the order of their bytes, the last of equal ones.
bool same_object(simdjson::dom::object source, simdjson::dom::object canonical) {
  std::map<std::string_view, element> members;
  for (const auto [key, value] : source) members[key] = value;
  auto other = canonical.begin();
  for (const auto& [key, value] : members) {
    if (!(other != canonical.end()) || other.key() != key || !same_document(value, other.value())) {
      return false;
    }
    ++other;
  }
  return !(other != canonical.end());
}

bool same_document(element source, element canonical) {
  if (is_number(source)) return is_number(canonical) && same_number(source, canonical);
  if (source.type() != canonical.type()) return false;
  switch (source.type()) {
    case element_type::ARRAY:
      return same_array(source.get_array().value(), canonical.get_array().value());
    case element_type::OBJECT:
      return same_object(source.get_object().value(), canonical.get_object().value());
    case element_type::STRING:
      return source.get_string().value() == canonical.get_string().value();
    case element_type::BOOL:
      return source.get_bool().value() == canonical.get_bool().value();
    default:
      return true;
  }
}

std::size_t depth(element value) {
  std::size_t deepest = 0;
  if (value.is_array()) {
    const simdjson::dom::array array = value.get_array().value();
    for (const element inner : array) deepest = std::max(deepest, depth(inner));
    return deepest + 1;
  }
  if (value.is_object()) {
    const simdjson::dom::object object = value.get_object().value();
    for (const auto [key, inner] : object) deepest = std::max(deepest, depth(inner));
    return deepest + 1;
  }
  return 0;
}

bool has_huge_number(element value) {
  if (value.is_array()) {
    const simdjson::dom::array array = value.get_array().value();
    for (const element inner : array) {
      if (has_huge_number(inner)) return true;
    }
  } else if (value.is_object()) {
    const simdjson::dom::object object = value.get_object().value();
    for (const auto [key, inner] : object) {
      if (has_huge_number(inner)) return true;
    }
  } else if (value.type() == element_type::DOUBLE) {
    return std::fabs(value.get_double().value()) > 1.79e308;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kMaxInput) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<std::string> ours = fuzz::canonical(text);

  static simdjson::dom::parser parser;
  static const auto allocated = parser.allocate(2 * kMaxInput, 2 * kMaxInput);
  require(allocated == simdjson::SUCCESS, "simdjson allocates");
  const auto theirs = parser.parse(simdjson::padded_string(text));

  if (!ours) {
    if (theirs.error() != simdjson::SUCCESS) return 0;
    const element document = theirs.value_unsafe();
    require(depth(document) > kDepth || has_huge_number(document), "simdjson takes what we refuse");
    return 0;
  }
  require(theirs.error() == simdjson::SUCCESS || theirs.error() == simdjson::NUMBER_ERROR,
          "we take what simdjson refuses");

  const std::optional<std::string> again = fuzz::canonical(*ours);
  require(again.has_value(), "the canonical text is JSON");
  if (fuzz::numbers_are_stable(*ours)) require(*again == *ours, "canonical text stays as it is");

  if (theirs.error() != simdjson::SUCCESS) return 0;
  static simdjson::dom::parser canonical_parser;
  const auto canonical = canonical_parser.parse(*ours);
  require(canonical.error() == simdjson::SUCCESS, "simdjson takes the canonical text");
  require(same_document(theirs.value_unsafe(), canonical.value_unsafe()),
          "the canonical text holds the same document");
  return 0;
}
