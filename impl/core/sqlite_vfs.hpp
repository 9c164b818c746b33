// SQLite's "unix" VFS with two things changed: the wal-index is ours (wal_index.hpp), and database
// files are never mapped. Without mapped files nobody can make the process die of SIGBUS by cutting
// a file short.
#pragma once

#include <sqlite3.h>

#include <cstdint>

#include "core/wal_index.hpp"

namespace satchel::core {

// The name to open databases with; nullptr where SQLite has no "unix" VFS. Any thread.
const char* sqlite_vfs_name();

// The wal-index of a connection opened so; lives until the connection is closed.
WalIndex* wal_index_of(sqlite3* connection);

// While one lives, the waits that SQLite makes on this thread for a lock to be free add up to
// `micros` at most: it would go on for ten seconds.
class BoundedWaits {
 public:
  explicit BoundedWaits(std::int64_t micros);
  BoundedWaits(const BoundedWaits&) = delete;
  BoundedWaits& operator=(const BoundedWaits&) = delete;
  ~BoundedWaits();
};

}  // namespace satchel::core
