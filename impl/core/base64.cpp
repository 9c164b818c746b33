#include "core/base64.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace satchel::core {
namespace {

constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 0xff;

constexpr std::array<std::uint8_t, 256> values() {
  std::array<std::uint8_t, 256> table{};
  for (std::uint8_t& value : table) value = kNone;
  for (std::size_t i = 0; i < kLetters.size(); ++i) {
    table[static_cast<unsigned char>(kLetters[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr std::array<std::uint8_t, 256> kValues = values();

std::uint32_t byte(char c) { return static_cast<unsigned char>(c); }

// Four letters, the last `padding` of them being '='; nothing if they are not in order.
std::optional<std::uint32_t> group(std::string_view four, std::size_t padding) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint8_t value = i < 4 - padding ? kValues[byte(four[i])] : 0;
    if (value == kNone) return std::nullopt;
    bits = bits << 6 | value;
  }
  const std::uint32_t lost = padding == 2 ? 0xffff : padding == 1 ? 0xff : 0;
  if ((bits & lost) != 0) return std::nullopt;
  return bits;
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const std::uint32_t bits = byte(bytes[i]) << 16 | (left > 1 ? byte(bytes[i + 1]) << 8 : 0U) |
                               (left > 2 ? byte(bytes[i + 2]) : 0U);
    out += kLetters[bits >> 18];
    out += kLetters[bits >> 12 & 63];
    out += left > 1 ? kLetters[bits >> 6 & 63] : '=';
    out += left > 2 ? kLetters[bits & 63] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const std::string_view four = text.substr(i, 4);
    std::size_t padding = 0;
    if (i + 4 == text.size() && four[3] == '=') padding = four[2] == '=' ? 2 : 1;
    const std::optional<std::uint32_t> bits = group(four, padding);
    if (!bits) return std::nullopt;
    out += static_cast<char>(*bits >> 16);
    if (padding < 2) out += static_cast<char>(*bits >> 8 & 0xff);
    if (padding < 1) out += static_cast<char>(*bits & 0xff);
  }
  return out;
}

}  // namespace satchel::core
