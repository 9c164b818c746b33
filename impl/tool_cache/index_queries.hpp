// Questions to the index that do not look at the store. Failures are the connection's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tool_cache/index_connection.hpp"
#include "tool_cache/store_index.hpp"

namespace satchel::tool_cache {

// Sequences here are ids of rows.
std::optional<IndexedEntry> find_entry(IndexConnection& connection, const Key& key);
std::optional<Meta> roots_of_entry(IndexConnection& connection, const Key& key);
std::int64_t newest_entry(IndexConnection& connection);
std::map<std::string, KindTotals> totals_by_kind(IndexConnection& connection, std::int64_t until);
std::vector<IndexedEntry> page_of_entries(IndexConnection& connection, std::optional<Key> after,
                                          std::string_view kind, std::size_t limit);
std::int64_t oldest_entry_ns(IndexConnection& connection);

// Everything downstream of `keys`, by ascending key.
std::vector<Key> dependents_of(IndexConnection& connection, std::span<const Key> keys);

// What must go to keep the bounds, least recently used first, ties by key; half-written entries
// count.
std::vector<Key> entries_over(IndexConnection& connection, const Bounds& bounds,
                              std::int64_t now_ns);

// Within a transaction that writes.
void write_uses(IndexConnection& connection, std::span<const std::pair<Key, std::int64_t>> uses);

std::optional<RememberedFingerprint> find_fingerprint(IndexConnection& connection,
                                                      const std::string& path, Form form);
// Within a transaction that writes. When there are more than `most`, the oldest go.
void write_fingerprints(IndexConnection& connection,
                        std::span<const RememberedFingerprint> remembered);
void drop_oldest_fingerprints(IndexConnection& connection, std::int64_t most);

}  // namespace satchel::tool_cache
