// SQLite connections and prepared statements, closed when they go, and what its error codes mean
// for those to whom a database must never be in the way.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/sqlite_vfs.hpp"

namespace satchel::core {

enum class SqliteTrouble : std::uint8_t {
  kNone,
  kBusy,      // another connection is in the way: again soon
  kRefused,   // the system says no - disk full, no permission, no memory: again later
  kDamaged,   // what is on the disk is no sound database: make it anew
  kReplaced,  // other files stand at the path, or none: open again
  kForeign,   // a sound database that is not ours to touch, or of a later version
};

SqliteTrouble trouble_of(int sqlite_code);

struct SqliteFailure {
  SqliteTrouble trouble = SqliteTrouble::kNone;
  std::string message;

  [[nodiscard]] bool failed() const { return trouble != SqliteTrouble::kNone; }
};

class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  // Bytes are not copied: they must live until reset().
  void bind(int at, std::span<const std::uint8_t> bytes) {
    sqlite3_bind_blob(statement_.get(), at, bytes.data(), static_cast<int>(bytes.size()),
                      SQLITE_STATIC);
  }
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_.get(), at, value); }
  void bind_text(int at, std::string_view text) {
    sqlite3_bind_text64(statement_.get(), at, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void bind_null(int at) { sqlite3_bind_null(statement_.get(), at); }

  int step() { return sqlite3_step(statement_.get()); }
  void reset() { sqlite3_reset(statement_.get()); }
  // step() and reset() for statements without rows: SQLITE_DONE or why not.
  int run() {
    const int rc = step();
    reset();
    return rc;
  }

  [[nodiscard]] std::int64_t integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
  }
  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  [[nodiscard]] std::span<const std::uint8_t> bytes(int column) const {
    const void* data = sqlite3_column_blob(statement_.get(), column);
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return {static_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)};
  }
  [[nodiscard]] std::string text(int column) const {
    const std::span<const std::uint8_t> view = bytes(column);
    return {reinterpret_cast<const char*>(view.data()), view.size()};
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One thread at a time. Statements must go before their connection.
class SqliteConnection {
 public:
  SqliteConnection() = default;
  SqliteConnection(SqliteConnection&&) = default;
  SqliteConnection& operator=(SqliteConnection&&) = default;

  // Opens the existing file `path`, with a page cache of `cache_kib`.
  SqliteFailure open(const std::string& path, int cache_kib);
  // A database of its own, gone with the connection; it has no wal-index.
  SqliteFailure open_in_memory();

  int execute(const char* sql);
  SqliteFailure prepare(const char* sql, SqliteStatement& out);
  // Leaves whatever transaction is open.
  void roll_back();

  // "<doing>: <SQLite's message>", with the trouble that `code` means.
  [[nodiscard]] SqliteFailure failure(int code, const std::string& doing) const;

  [[nodiscard]] sqlite3* handle() const { return connection_.get(); }
  [[nodiscard]] WalIndex& wal_index() const { return *wal_index_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
  WalIndex* wal_index_ = nullptr;
};

}  // namespace satchel::core
