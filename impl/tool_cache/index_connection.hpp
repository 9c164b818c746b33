// A connection to the index's database, used in the style "do it all, then ask whether it worked":
// the first failure is kept, and everything after it does nothing until it is taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/file_stamp.hpp"
#include "core/sqlite_connection.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

// One thread at a time.
class IndexConnection {
 public:
  IndexConnection() = default;
  IndexConnection(const IndexConnection&) = delete;
  IndexConnection& operator=(const IndexConnection&) = delete;

  core::SqliteFailure open(const std::string& path, int cache_kib);
  core::SqliteFailure open_in_memory();

  [[nodiscard]] bool failed() const { return failure_.failed(); }
  // What failed since the last time, and a connection without a transaction.
  core::SqliteFailure take_failure();
  void fail(int sqlite_code, const char* doing);
  void fail(core::SqliteFailure failure);

  void execute(const char* sql);
  [[nodiscard]] std::int64_t last_id() const;
  [[nodiscard]] std::int64_t changes() const;

  // Pages in the WAL after the last commit of this connection.
  [[nodiscard]] int wal_pages() const { return wal_pages_; }
  core::SqliteConnection& raw() { return connection_; }

 private:
  friend class Query;
  // Prepared at its first use and kept. `sql` must be a literal: its address is the key.
  core::SqliteStatement* prepared(const char* sql);

  core::SqliteConnection connection_;
  std::unordered_map<const char*, core::SqliteStatement> statements_;
  core::SqliteFailure failure_;
  int wal_pages_ = 0;
};

// One use of a statement. The same literal must not be in use twice at a time; what is bound must
// live as long as this.
class Query {
 public:
  Query(IndexConnection& connection, const char* sql)
      : connection_(connection), sql_(sql), statement_(connection.prepared(sql)) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  Query& bind(int at, std::int64_t value);
  Query& bind(int at, const Key& key);
  Query& bind_blob(int at, std::string_view bytes);
  Query& bind_text(int at, std::string_view text);
  Query& bind_null(int at);

  // The next row, if there is one.
  bool row();
  void run() {
    while (row()) {
    }
  }

  [[nodiscard]] bool is_null(int column) const { return statement_->is_null(column); }
  [[nodiscard]] std::int64_t integer(int column) const { return statement_->integer(column); }
  [[nodiscard]] std::string text(int column) const { return statement_->text(column); }
  // Nothing where the column has not the form: then the database is damaged, and row() will not go
  // on.
  std::optional<Key> key(int column);
  std::optional<core::FileStamp> stamp(int column);

 private:
  IndexConnection& connection_;
  const char* sql_;
  core::SqliteStatement* statement_;  // nullptr after a failure
};

// A stamp as the bytes of a column.
std::string stamp_bytes(const core::FileStamp& stamp);

// Rolls back when it goes without having been committed.
class IndexTransaction {
 public:
  enum class Kind : std::uint8_t { kRead, kWrite };
  IndexTransaction(IndexConnection& connection, Kind kind);
  IndexTransaction(const IndexTransaction&) = delete;
  IndexTransaction& operator=(const IndexTransaction&) = delete;
  ~IndexTransaction();

  // False, with the failure kept by the connection, where nothing was written.
  bool commit();

 private:
  IndexConnection& connection_;
};

}  // namespace satchel::tool_cache
