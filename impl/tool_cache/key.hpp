// The key of a tool call: BLAKE3 over its canonical input bytes, written as 64 lowercase
// hexadecimal digits. Never a hash of the result.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace satchel::tool_cache {

struct Key {
  std::array<std::uint8_t, 32> bytes{};

  friend auto operator<=>(const Key&, const Key&) = default;  // NOLINT(modernize-use-nullptr)

  [[nodiscard]] std::string hex() const;
  // kArgument, naming what is wrong, for anything but 64 lowercase hexadecimal digits.
  static core::Result<Key> parse(std::string_view hex);
  // The same without a message, for names of files; uppercase digits are refused too.
  static std::optional<Key> of_name(std::string_view hex);
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    std::size_t first = 0;  // already a hash
    std::memcpy(&first, key.bytes.data(), sizeof first);
    return first;
  }
};

Key key_of(std::string_view input);
// The key under which a result's own bytes are known: of "tool_result\0" + content.
Key tool_result_key(std::string_view content);

}  // namespace satchel::tool_cache
