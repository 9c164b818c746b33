// The embedded index: an SQLite database in a directory of its own, shared by any number of
// processes, readable with the sqlite3 shell.
//
// What can go wrong with it costs cached entries, never a request: lookups answer with an error at
// once, commits wait in memory up to their deadline and are then dropped and counted, the log says
// why once, and the database is opened again every second - made anew where what is there is no
// database, left alone where it is somebody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/index.hpp"

namespace satchel::prompt_cache {

struct SqliteIndexOptions {
  std::string path;  // the directory; made with mode 0700 where it is missing
  // Of the database file, about 120 bytes an entry; the WAL beside it adds 4 MB while all is well
  // and 64 MB at most. Over it, what expires soonest goes. Never smaller than 256 KiB.
  std::uint64_t max_bytes = std::uint64_t{1} << 30;
  std::int64_t sweep_interval_ns = 60 * core::kNanosPerSecond;
  std::int64_t commit_deadline_ns = 30 * core::kNanosPerSecond;
  std::size_t max_waiting_entries = 100'000;  // about 250 bytes each
  std::int64_t retry_interval_ns = core::kNanosPerSecond;
  // Lookups at the same time; each has a connection with three descriptors and 2 MiB of cache.
  std::size_t readers = 4;
};

// `clock` and `log` must outlive the index.
std::shared_ptr<Index> make_sqlite_index(const SqliteIndexOptions& options, core::Clock& clock,
                                         core::Log& log);

}  // namespace satchel::prompt_cache
