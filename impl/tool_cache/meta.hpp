// What the store says of an entry beside its payload: <key>.meta.json. The text is what the
// reference writes (serde_json of PayloadMeta: compact, keys in this order) and what it reads
// (unknown keys ignored, file_roots and upstream_keys optional, anything else an error).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace satchel::tool_cache {

// A file or directory that the result depends on, and its fingerprint at that time.
struct Root {
  std::string path;  // bytes, as given: relative to the workspace, or absolute
  std::string expected_hash;

  friend bool operator==(const Root&, const Root&) = default;
};

enum class Encoding : std::uint8_t {
  kPlain,
  kZlib,  // the payload file is a zlib stream; only this library reads it
};

struct Meta {
  std::string payload_hash;  // of the payload as returned, whatever the encoding
  std::uint64_t bytes = 0;   // likewise
  std::string tool_kind;
  std::vector<Root> file_roots;
  std::vector<std::string> upstream_keys;  // verbatim; those that are no keys match nothing
  Encoding encoding = Encoding::kPlain;

  friend bool operator==(const Meta&, const Meta&) = default;
};

// A path that is not UTF-8 stands lossily under "path", as the reference writes it, and exactly
// under "path_hex" behind "expected_hash"; the reference ignores that key, finds no such file and
// computes anew. An encoding other than kPlain stands last, as "encoding". Text that is not UTF-8
// anywhere else is written lossily.
std::string write_meta(const Meta& meta);
// kMeta, saying what is wrong and where.
core::Result<Meta> read_meta(std::string_view text);

}  // namespace satchel::tool_cache
