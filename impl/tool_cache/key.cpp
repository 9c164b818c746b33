#include "tool_cache/key.hpp"

#include "core/blake3.hpp"
#include "core/text.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::size_t kDigits = 64;
constexpr std::size_t kShownInError = 80;

int lowercase_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string Key::hex() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(kDigits, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    text[2 * i] = kHex[bytes[i] >> 4];
    text[2 * i + 1] = kHex[bytes[i] & 15];
  }
  return text;
}

std::optional<Key> Key::of_name(std::string_view hex) {
  if (hex.size() != kDigits) return std::nullopt;
  Key key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) {
    const int high = lowercase_digit(hex[2 * i]);
    const int low = lowercase_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    key.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return key;
}

core::Result<Key> Key::parse(std::string_view hex) {
  if (std::optional<Key> key = of_name(hex)) return *key;
  std::string message = "a key is 64 lowercase hexadecimal digits, not ";
  if (hex.size() != kDigits) message += std::to_string(hex.size()) + " bytes: ";
  message += core::quoted(core::cut_at_character(hex, kShownInError));
  return core::Error{core::Status::kArgument, std::move(message)};
}

Key key_of(std::string_view input) { return Key{core::blake3(input)}; }

Key tool_result_key(std::string_view content) {
  constexpr std::string_view kPrefix("tool_result\0", 12);
  core::Blake3 hash;
  hash.update(kPrefix);
  hash.update(content);
  return Key{hash.digest()};
}

}  // namespace satchel::tool_cache
