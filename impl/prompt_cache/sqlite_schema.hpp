// What the embedded index's database looks like, and how to know that it is ours.
#pragma once

#include <cstdint>
#include <optional>

#include "core/sqlite_connection.hpp"
#include "prompt_cache/entry_key.hpp"

namespace satchel::prompt_cache {

// The row's key is made of eight bytes of the scope and of the hash, and the row names both in
// full. Measured over 1,000,000 entries against PRIMARY KEY(scope, hash) WITHOUT ROWID, which is
// the obvious table: 121 bytes an entry instead of 150 (the index by expiry then repeats 8 bytes of
// key instead of 48), one hit 5.4 us instead of 7.1, 80 misses the same, three upserts 5 % cheaper.
// Two entries that share a key - one chance in 30 million at a million entries - replace each
// other, and the loser is a miss.
//
// No auto_vacuum: the file stays as large as it once was, at most max_bytes, and its free pages are
// used again. A cache that was full will be full again; giving pages back means moving others.
constexpr const char* kSelectRow =
    "SELECT scope, hash, tokens, tier, expires_at, seal FROM entries WHERE key = ?1";

// Makes the schema in an empty database, and checks that of any other. kForeign: not ours.
core::SqliteFailure prepare_schema(core::SqliteConnection& connection);

// SQLite does not notice bytes that changed inside a row, and these bytes are money.
std::uint32_t seal_of(const EntryKey& key, std::uint32_t tokens, Tier tier,
                      std::int64_t expires_at);

inline std::int64_t row_key(const EntryKey& key) {
  return static_cast<std::int64_t>(key.condensed());
}

// The entry that the row of kSelectRow holds for `key`, if it does and its seal is right.
std::optional<Entry> entry_of_row(const core::SqliteStatement& row, const EntryKey& key);

}  // namespace satchel::prompt_cache
