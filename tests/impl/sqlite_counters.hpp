// A table of counters that every transaction counts up together, so that a snapshot in which they
// differ, or have gone back, shows that the wal-index lied.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/sqlite_vfs.hpp"
#include "sqlite_shell.hpp"

namespace satchel::prompt_cache {

// A connection of either kind.
class CounterConnection {
 public:
  CounterConnection(const std::string& path, bool ours) {
    const int rc = sqlite3_open_v2(path.c_str(), &connection_, SQLITE_OPEN_READWRITE,
                                   ours ? core::sqlite_vfs_name() : "unix");
    if (rc != SQLITE_OK) throw std::runtime_error("cannot open " + path);
    sqlite3_busy_timeout(connection_, 60'000);
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  CounterConnection(const CounterConnection&) = delete;
  CounterConnection& operator=(const CounterConnection&) = delete;
  ~CounterConnection() { sqlite3_close(connection_); }

  bool execute(const std::string& sql) {
    int rc = SQLITE_OK;
    do {
      rc = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
    } while (rc == SQLITE_PROTOCOL);  // nothing was begun: others were in the way all the time
    error_ = sqlite3_errmsg(connection_);
    return rc == SQLITE_OK;
  }
  // Columns of the first row.
  std::vector<std::int64_t> row(const std::string& sql) {
    std::vector<std::int64_t> values;
    sqlite3_stmt* statement = nullptr;
    int rc = SQLITE_PROTOCOL;
    while (rc == SQLITE_PROTOCOL) {
      sqlite3_finalize(std::exchange(statement, nullptr));
      rc = sqlite3_prepare_v2(connection_, sql.c_str(), -1, &statement, nullptr);
      if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        values.push_back(sqlite3_column_int64(statement, i));
      }
    } else {
      error_ = sqlite3_errmsg(connection_);
    }
    sqlite3_finalize(statement);
    return values;
  }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  sqlite3* connection_ = nullptr;
  std::string error_;
};

constexpr int kCounters = 40;

inline void make_counters(const std::string& path, int count = kCounters) {
  SqliteShell shell(path);
  ASSERT_EQ(shell.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                          "CREATE TABLE counters(id INTEGER PRIMARY KEY, n INTEGER, pad BLOB)"),
            SQLITE_OK);
  // Each on a page of its own, so that one transaction makes many frames.
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(
        shell.execute("INSERT INTO counters VALUES(" + std::to_string(i) + ", 0, zeroblob(3000))"),
        SQLITE_OK);
  }
}

}  // namespace satchel::prompt_cache
