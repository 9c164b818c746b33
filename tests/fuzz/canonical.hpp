// What the fuzzers of JSON share.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "satchel/satchel.hpp"

namespace fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

// The canonical form, nothing for what is not JSON. No other error may come of a text this short.
inline std::optional<std::string> canonical(std::string_view text) {
  satchel::Buffer out;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status =
      satchel_json_canonical(satchel::detail::data(text), text.size(), out.raw(), &error);
  require(status == SATCHEL_OK || status == SATCHEL_ERR_JSON, "canonical: OK or ERR_JSON");
  if (status == SATCHEL_OK) return out.str();
  require(error.status == status && error.message[0] != '\0', "an error says what is wrong");
  return std::nullopt;
}

// Whether every number of a canonical text reads back as the double that it was written from. A
// double is written as the shortest text that an exact reader takes back, but it is read as
// serde_json without float_roundtrip reads it, with one rounding too many where the digits exceed
// 2^53 or the power of ten 22. Such a number may move by a bit each time it is read and written.
inline bool numbers_are_stable(std::string_view canonical) {
  bool in_string = false;
  for (std::size_t i = 0; i < canonical.size(); ++i) {
    const char c = canonical[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) continue;
    const std::size_t end =
        std::min(canonical.find_first_not_of("0123456789.eE+-", i), canonical.size());
    const std::string number(canonical.substr(i, end - i));
    i = end - 1;
    if (number.find_first_of(".e") == std::string::npos) continue;
    const std::size_t exponent_at = number.find('e');
    std::string digits = number.substr(0, exponent_at);
    long exponent =
        exponent_at == std::string::npos ? 0 : std::strtol(&number[exponent_at + 1], nullptr, 10);
    if (const std::size_t point = digits.find('.'); point != std::string::npos) {
      exponent -= static_cast<long>(digits.size() - point - 1);
      digits.erase(point, 1);
    }
    if (digits.size() > 16 || std::strtoull(digits.c_str(), nullptr, 10) > (1ULL << 53) ||
        exponent < -22 || exponent > 22) {
      return false;
    }
  }
  return true;
}

}  // namespace fuzz
