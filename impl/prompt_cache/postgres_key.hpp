// How a scope is spelled in the table.
#pragma once

#include <string_view>

#include "core/uuid.hpp"
#include "prompt_cache/index.hpp"

namespace satchel::prompt_cache {

// The namespace 5efeec8f-aa8c-4291-b442-5b1643b13b0a, ours: fixed for ever, or entries are lost.
constexpr core::Uuid kPrincipalNamespace = {0x5e, 0xfe, 0xec, 0x8f, 0xaa, 0x8c, 0x42, 0x91,
                                            0xb4, 0x42, 0x5b, 0x16, 0x43, 0xb1, 0x3b, 0x0a};

// A principal that is a UUID as it is, any other as its UUIDv5.
core::Uuid principal_uuid(std::string_view principal);

// Whether the table's text columns and its key can hold the scope: no zero byte, UTF-8, not too
// long.
bool fits_table(const Scope& scope);

}  // namespace satchel::prompt_cache
