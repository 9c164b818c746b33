#include "tool_cache/index_connection.hpp"

#include <array>
#include <cstring>
#include <utility>

namespace satchel::tool_cache {
namespace {

int remember_wal_pages(void* wal_pages, sqlite3* /*connection*/, const char* /*name*/, int pages) {
  *static_cast<int*>(wal_pages) = pages;
  return SQLITE_OK;
}

constexpr std::size_t kStampWords = 6;

std::span<const std::uint8_t> span_of(std::string_view bytes) {
  // An empty blob needs an address: SQLite takes null for NULL.
  static constexpr std::uint8_t kNothing = 0;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  return {data == nullptr ? &kNothing : data, bytes.size()};
}

}  // namespace

core::SqliteFailure IndexConnection::open(const std::string& path, int cache_kib) {
  core::SqliteFailure failure = connection_.open(path, cache_kib);
  // Checkpoints are made by IndexDatabase, which must know of each; a hook of one's own replaces
  // SQLite's automatic ones.
  if (!failure.failed()) sqlite3_wal_hook(connection_.handle(), remember_wal_pages, &wal_pages_);
  return failure;
}

core::SqliteFailure IndexConnection::open_in_memory() { return connection_.open_in_memory(); }

core::SqliteFailure IndexConnection::take_failure() {
  if (failure_.failed()) connection_.roll_back();
  return std::exchange(failure_, {});
}

void IndexConnection::fail(int sqlite_code, const char* doing) {
  if (!failed()) failure_ = connection_.failure(sqlite_code, std::string("cannot do ") + doing);
}

void IndexConnection::fail(core::SqliteFailure failure) {
  if (!failed()) failure_ = std::move(failure);
}

void IndexConnection::execute(const char* sql) {
  if (failed()) return;
  if (const int rc = connection_.execute(sql); rc != SQLITE_OK) fail(rc, sql);
}

std::int64_t IndexConnection::last_id() const {
  return sqlite3_last_insert_rowid(connection_.handle());
}

std::int64_t IndexConnection::changes() const { return sqlite3_changes(connection_.handle()); }

core::SqliteStatement* IndexConnection::prepared(const char* sql) {
  if (failed()) return nullptr;
  const auto [at, added] = statements_.try_emplace(sql);
  if (added) {
    core::SqliteFailure failure = connection_.prepare(sql, at->second);
    if (failure.failed()) {
      statements_.erase(at);
      fail(std::move(failure));
      return nullptr;
    }
  }
  return &at->second;
}

Query::~Query() {
  if (statement_ != nullptr) statement_->reset();
}

Query& Query::bind(int at, std::int64_t value) {
  if (statement_ != nullptr) statement_->bind(at, value);
  return *this;
}

Query& Query::bind(int at, const Key& key) {
  if (statement_ != nullptr) statement_->bind(at, std::span<const std::uint8_t>(key.bytes));
  return *this;
}

Query& Query::bind_blob(int at, std::string_view bytes) {
  if (statement_ != nullptr) statement_->bind(at, span_of(bytes));
  return *this;
}

Query& Query::bind_text(int at, std::string_view text) {
  if (statement_ != nullptr) statement_->bind_text(at, text.data() == nullptr ? "" : text);
  return *this;
}

Query& Query::bind_null(int at) {
  if (statement_ != nullptr) statement_->bind_null(at);
  return *this;
}

bool Query::row() {
  if (statement_ == nullptr || connection_.failed()) return false;
  const int rc = statement_->step();
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) connection_.fail(rc, sql_);
  return false;
}

std::optional<Key> Query::key(int column) {
  const std::span<const std::uint8_t> bytes = statement_->bytes(column);
  Key key;
  if (bytes.size() == key.bytes.size()) {
    std::memcpy(key.bytes.data(), bytes.data(), bytes.size());
    return key;
  }
  connection_.fail(SQLITE_CORRUPT, sql_);
  return std::nullopt;
}

std::optional<core::FileStamp> Query::stamp(int column) {
  const std::span<const std::uint8_t> bytes = statement_->bytes(column);
  std::array<std::uint64_t, kStampWords> words;
  if (bytes.size() != sizeof words) {
    connection_.fail(SQLITE_CORRUPT, sql_);
    return std::nullopt;
  }
  std::memcpy(words.data(), bytes.data(), sizeof words);
  core::FileStamp stamp;
  stamp.device = words[0];
  stamp.inode = words[1];
  stamp.size = words[2];
  stamp.mtime_ns = static_cast<std::int64_t>(words[3]);
  stamp.ctime_ns = static_cast<std::int64_t>(words[4]);
  stamp.mode = static_cast<std::uint32_t>(words[5]);
  return stamp;
}

std::string stamp_bytes(const core::FileStamp& stamp) {
  const std::array<std::uint64_t, kStampWords> words = {stamp.device,
                                                        stamp.inode,
                                                        stamp.size,
                                                        static_cast<std::uint64_t>(stamp.mtime_ns),
                                                        static_cast<std::uint64_t>(stamp.ctime_ns),
                                                        stamp.mode};
  return {reinterpret_cast<const char*>(words.data()), sizeof words};
}

IndexTransaction::IndexTransaction(IndexConnection& connection, Kind kind)
    : connection_(connection) {
  Query(connection, kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN").run();
}

IndexTransaction::~IndexTransaction() { connection_.raw().roll_back(); }

bool IndexTransaction::commit() {
  Query(connection_, "COMMIT").run();
  return !connection_.failed();
}

}  // namespace satchel::tool_cache
