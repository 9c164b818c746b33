// The table prompt_cache_entries, which other systems may share: made where it is missing, looked
// at before it is used.
#pragma once

#include <chrono>
#include <mutex>

#include "core/log.hpp"
#include "core/result.hpp"
#include "prompt_cache/postgres_connection.hpp"

namespace satchel::prompt_cache {

// Any thread; any number of processes at once.
class PostgresTable {
 public:
  using Steady = PostgresConnection::Steady;

  explicit PostgresTable(core::Log& log) : log_(log) {}

  // An error says what is wrong with the table, or why it cannot be made.
  core::Result<void> prepare(PostgresConnection& connection, std::chrono::seconds patience);

 private:
  static core::Result<void> add_key(PostgresConnection& connection, bool repair,
                                    Steady::time_point until);
  core::Result<void> add_expiry_index(PostgresConnection& connection, Steady::time_point until);

  core::Log& log_;
  std::mutex one_at_a_time_;
  bool repaired_ = false;  // or found beyond repair
};

}  // namespace satchel::prompt_cache
