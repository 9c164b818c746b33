// One connection for lookups, with its statements prepared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/sqlite_connection.hpp"
#include "prompt_cache/pending_commits.hpp"

namespace satchel::prompt_cache {

// One thread at a time.
class SqliteReader {
 public:
  struct Found {
    core::SqliteFailure failure;
    std::optional<Entry> entry;
  };

  core::SqliteFailure open(const std::string& path);

  // The first of `candidates`, of which there is one at least, that is live at `now`, seen through
  // what is pending (by ascending position).
  Found find(const ScopeId& scope, std::span<const PrefixHash> candidates, std::int64_t now,
             std::span<const PendingCommits::State> pending);

  [[nodiscard]] const core::WalIndex& wal_index() const { return connection_.wal_index(); }

 private:
  class Reading;

  Found find_among(const ScopeId& scope, std::span<const PrefixHash> candidates, std::size_t from,
                   std::size_t to, std::int64_t now,
                   std::span<const PendingCommits::State> pending);

  core::SqliteConnection connection_;
  core::SqliteStatement begin_;
  core::SqliteStatement select_;
  core::SqliteStatement end_;
};

}  // namespace satchel::prompt_cache
