// Structs in JSON as Rust's serde reads them where `derive(Deserialize)` is all that is said: an
// object, of which each known member may stand once, or an array of the members in their order.
// Files that we share are read and written by such code.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "core/json_tape.hpp"

namespace satchel::cascade {

// What is done with a member that stands twice: a reader of text refuses it, one that goes through
// serde_json's Value never sees the first.
enum class Repeated : std::uint8_t { kRefused, kLastCounts };

// The values of `names`; one that is absent does not exist(). nullopt: not such a struct.
template <std::size_t N>
std::optional<std::array<core::JsonValue, N>> serde_members(
    core::JsonValue value, const std::array<std::string_view, N>& names,
    Repeated repeated = Repeated::kRefused) {
  std::array<core::JsonValue, N> members;
  if (value.is_array()) {
    std::size_t at = 0;
    for (core::JsonCursor cursor(value); cursor.valid(); cursor.next(), ++at) {
      if (at == N) return std::nullopt;
      members[at] = cursor.value();
    }
    return members;
  }
  if (!value.is_object()) return std::nullopt;
  for (core::JsonCursor cursor(value); cursor.valid(); cursor.next()) {
    for (std::size_t i = 0; i < N; ++i) {
      if (!cursor.key().text_equals(names[i])) continue;
      if (members[i].exists() && repeated == Repeated::kRefused) return std::nullopt;
      members[i] = cursor.value();
    }
  }
  return members;
}

// Option<T>: absent and null are none.
inline bool is_none(core::JsonValue value) { return !value.exists() || value.is_null(); }

}  // namespace satchel::cascade
