// Sizes and ages of what is in a store, by the walk that the reference makes: every directory
// directly under the root, whatever its name, and the files directly in it. .satchel holds only
// directories and counts nothing. Unlike the reference the walk does not go through a directory
// that is a symbolic link: what is behind one is not the store's to count or remove.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

// Of every regular file. 0 where the root is missing.
core::Result<std::uint64_t> count_bytes(const std::string& root);

struct EntryAge {
  std::int64_t mtime_ns = 0;  // of the payload; of the meta where there is no payload
  Key key;
  std::uint64_t bytes = 0;  // of both files
};
// Oldest first, ties by key. As in the reference an entry is a file with a key's name in any of the
// directories, and its other file is looked for in the shard of the key. Names with uppercase
// digits, which are keys for the reference, are none for us.
core::Result<std::vector<EntryAge>> entries_by_age(const std::string& root);

}  // namespace satchel::tool_cache
