// Compresses a payload on its way into the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace satchel::tool_cache {

// Up to `capacity` bytes at `offset`; 0 where it fails.
using ReadPiece = std::function<std::size_t(std::uint64_t offset, char* out, std::size_t capacity)>;
// False where it fails.
using WritePiece = std::function<bool(std::string_view bytes)>;

// Writes the `size` bytes as one zlib stream. False, with some of it written, where that fails or
// is not shorter.
bool deflate_payload(std::uint64_t size, const ReadPiece& read, const WritePiece& write);

}  // namespace satchel::tool_cache
