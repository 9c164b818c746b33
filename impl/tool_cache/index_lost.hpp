// What each process must know of entries that went from the index, or were replaced in it: the
// reference lets a process remember the roots of every entry that it saw at opening, and here they
// are in the index, which all processes share and any of them brings up to date. So whoever takes
// an entry out writes down what was known of it, and every process reads what is new there.
// The oldest go when there are too many: a process that slept through them takes a lost entry for
// one it never knew.
#pragma once

#include <cstdint>
#include <vector>

#include "tool_cache/index_connection.hpp"
#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {

struct LostEntry {
  std::int64_t id = 0;
  Key key;
  std::int64_t sequence = 0;
  Meta old;  // tool_kind and file_roots only
};

// tool_kind and file_roots of an entry. `kind` is its kind.
Meta roots_in_index(IndexConnection& connection, std::int64_t entry, std::string kind);

// Within a transaction that takes the entry out. `by`: who need not be told, 0 for nobody.
void write_lost(IndexConnection& connection, const Key& key, std::int64_t sequence,
                const std::string& kind, std::int64_t by);

std::int64_t newest_lost(IndexConnection& connection);
// Those after `id` that were not written by `by`, oldest first, and the newest id of all.
struct LostSince {
  std::vector<LostEntry> entries;
  std::int64_t newest = 0;
};
LostSince lost_since(IndexConnection& connection, std::int64_t id, std::int64_t by);

}  // namespace satchel::tool_cache
