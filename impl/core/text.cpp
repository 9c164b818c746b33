#include "core/text.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <system_error>
#include <utility>

namespace satchel::core {
namespace {

// The code point at `at` of well-formed UTF-8, and its length. Malformed bytes count one each.
std::pair<std::uint32_t, std::size_t> code_point(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 1 || lead < 0xc2 || at + length > text.size()) return {lead, 1};
  std::uint32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
  }
  return {code, length};
}

bool is_white_space(std::uint32_t code) {
  return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
         code == 0x202f || code == 0x205f || code == 0x3000;
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// What Rust prints as \u{...}: controls, formats, spaces but the common one, combining marks,
// surrogates and private use. The blocks that occur in practice; assigned letters are not listed.
constexpr std::array<Range, 26> kUnprintable{{
    {0x7f, 0xa0},        {0xad, 0xad},     {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},
    {0x600, 0x605},      {0x610, 0x61a},   {0x61c, 0x61c},   {0x64b, 0x65f},   {0x6dd, 0x6dd},
    {0x70f, 0x70f},      {0x1680, 0x1680}, {0x180b, 0x180f}, {0x1ab0, 0x1ace}, {0x1dc0, 0x1dff},
    {0x2000, 0x200f},    {0x2028, 0x202f}, {0x205f, 0x206f}, {0x20d0, 0x20f0}, {0x3000, 0x3000},
    {0xe000, 0xf8ff},    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
    {0xe0000, 0x10ffff},
}};

bool is_printable(std::uint32_t code) {
  if (code < 0x20) return false;
  return std::none_of(kUnprintable.begin(), kUnprintable.end(), [&](const Range& range) {
    return code >= range.first && code <= range.last;
  });
}

}  // namespace

std::string_view trim_start(std::string_view text) {
  while (!text.empty()) {
    const auto [code, length] = code_point(text, 0);
    if (!is_white_space(code)) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_start(text);
  while (!text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U) --at;
    if (!is_white_space(code_point(text, at).first)) break;
    text = text.substr(0, at);
  }
  return text;
}

std::string quoted(std::string_view text) {
  // What is no UTF-8 (a target off the wire) is printed byte by byte: messages always are.
  const bool utf8 = simdjson::validate_utf8(text.data(), text.size());
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto [code, length] =
        utf8 ? code_point(text, at) : std::pair(std::uint32_t{byte}, std::size_t{1});
    if (code == '"' || code == '\\') {
      out.append("\\").push_back(static_cast<char>(code));
    } else if (code == '\n') {
      out.append("\\n");
    } else if (code == '\r') {
      out.append("\\r");
    } else if (code == '\t') {
      out.append("\\t");
    } else if (code == 0) {
      out.append("\\0");
    } else if (is_printable(code) && (utf8 || byte < 0x80)) {
      out.append(text, at, length);
    } else {
      std::array<char, 16> escape{};
      const int written = std::snprintf(escape.data(), escape.size(), "\\u{%x}", code);
      out.append(escape.data(), static_cast<std::size_t>(written));
    }
    at += length;
  }
  out.push_back('"');
  return out;
}

std::string_view cut_at_character(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0U) == 0x80U) --max;
  return text.substr(0, max);
}

std::optional<std::uint64_t> parse_rust_u64(std::string_view text) {
  if (text.size() > 1 && text.front() == '+') text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool equals_ignoring_ascii_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace satchel::core
