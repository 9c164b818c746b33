// UUIDs as RFC 4122 has them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace satchel::core {

using Uuid = std::array<std::uint8_t, 16>;

// 8-4-4-4-12 hexadecimal digits in either case, and no other spelling.
std::optional<Uuid> parse_uuid(std::string_view text);

// Version 5: of SHA-1 over the namespace and the name.
Uuid uuid_v5(const Uuid& name_space, std::string_view name);

}  // namespace satchel::core
