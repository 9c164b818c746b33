// The one connection of a process that writes: whole batches, sweeping, and the size bound.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/sqlite_connection.hpp"
#include "prompt_cache/pending_commits.hpp"

namespace satchel::prompt_cache {

// One thread at a time.
class SqliteWriter {
 public:
  // Opens the database and makes or checks its schema.
  core::SqliteFailure open(const std::string& path, std::uint64_t max_bytes);

  struct Written {
    core::SqliteFailure failure;  // nothing was written
    std::uint64_t written = 0;
    std::uint64_t refreshed = 0;
    std::uint64_t evicted = 0;
  };
  // All of it in one transaction, or nothing.
  Written write(std::span<const PendingCommit* const> commits);

  struct Swept {
    core::SqliteFailure failure;
    std::uint64_t rows = 0;
    bool more = false;  // there may be more to do
  };
  // Drops one batch of what has expired, then of what is over the bound: the write lock is free for
  // others between two batches.
  Swept sweep(std::int64_t now);

  // Drops every entry.
  core::SqliteFailure clear();

  // Moves what the WAL holds into the database. `whole`: also empties the WAL, if nobody reads.
  core::SqliteFailure checkpoint(bool whole);

  [[nodiscard]] const core::WalIndex& wal_index() const { return connection_.wal_index(); }

 private:
  class Transaction;

  Written write_once(std::span<const PendingCommit* const> commits, int* code);
  int upsert(const ScopeId& scope, const Entry& entry);
  int refresh(const ScopeId& scope, const Refresh& refresh, std::uint64_t* refreshed);
  int evict(std::int64_t rows, std::uint64_t* evicted);
  bool make_room();
  int pages_in_use(std::int64_t* pages);
  [[nodiscard]] core::SqliteFailure failure(int code, const char* doing) const;

  core::SqliteConnection connection_;
  core::SqliteStatement begin_;
  core::SqliteStatement commit_;
  core::SqliteStatement upsert_;
  core::SqliteStatement select_;
  core::SqliteStatement refresh_;
  core::SqliteStatement delete_expired_;
  core::SqliteStatement delete_soonest_;
  core::SqliteStatement page_count_;
  core::SqliteStatement free_pages_;
  std::int64_t most_pages_ = 0;
  std::int64_t enough_pages_ = 0;  // from here on what comes in pushes others out
  int wal_pages_ = 0;
};

}  // namespace satchel::prompt_cache
