// Fingerprints of files and directories, as the reference writes them:
//   content    64 hexadecimal digits: BLAKE3 of the bytes
//   directory  "dir:" + BLAKE3 over the sorted entry names, each preceded by its length as 8
//              little-endian bytes
//   stat       "stat:<size>:<mtime s>:<mtime ns>"
// Symbolic links are followed. Everything here looks at the disk; what need not be looked at again
// is fingerprints.hpp's affair.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/file.hpp"
#include "core/result.hpp"

namespace satchel::tool_cache {

enum class Form : std::uint8_t { kContent = 0, kDirectory = 1, kStat = 2 };

// By the prefix; anything without one is content.
Form form_of(std::string_view expected);

// Errors are kIo, with errno: missing, unreadable, not a file.
core::Result<std::string> fingerprint(const std::string& path, Form form);

// The same in two steps, for who looks at the open file in between. Content opens regular files
// only, and a FIFO or a device is refused without being opened.
core::Result<core::UniqueFd> open_for_fingerprint(const std::string& path, Form form);
// Of an open regular file or directory, from its beginning.
core::Result<std::string> fingerprint_content(int fd);
core::Result<std::string> fingerprint_directory(int fd);

// The ceiling for content, in bytes: $VERDANT_HASH_MAX_BYTES where it is a number, else 100 MiB.
std::uint64_t content_ceiling();

}  // namespace satchel::tool_cache
