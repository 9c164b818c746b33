// What the index's database looks like, and how to know that it is ours and for this store.
#pragma once

#include <string>

#include "tool_cache/index_connection.hpp"

namespace satchel::tool_cache {

// entries      what stands in the store. A row without `has_meta` is half-written: payload only, or
//              a meta that cannot be understood; it has no roots and no upstreams, and counts for
//              eviction only. `meta`: stamp of the meta file that was read; `edges`: hash of what
//              it says. `doubtful`: see Doubt in index_entries.hpp
// roots        by position; `expected` is what the result depends on
// paths        roots' paths as written, one row each, however many entries have them
// upstreams    those that are keys
// shards       the stamp of a directory when it was listed; `settled`: believed while it is equal
// lost         what other processes must know of entries that went: see index_lost.hpp
// workspaces, directories, resolved: see index_paths.hpp
// fingerprints see fingerprints.hpp
//
// Ids are never used again (AUTOINCREMENT), so that a sequence means one entry.

// kForeign: a later version of this schema, whose users shall not lose it to us. kDamaged: anything
// else that is not as it should be; it is a cache, and made anew.
core::SqliteFailure prepare_index_schema(IndexConnection& connection, const std::string& store);

// Makes the tables in an empty database.
core::SqliteFailure make_index_schema(IndexConnection& connection, const std::string& store);

// Random, new with every database.
std::string index_generation(IndexConnection& connection);

}  // namespace satchel::tool_cache
