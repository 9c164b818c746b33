#include "core/sqlite_connection.hpp"

#include <system_error>

#include "core/sqlite_fork.hpp"

namespace satchel::core {
namespace {

constexpr int kOpenFlags =
    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;

// The host may have told its SQLite to take names as URIs (sqlite3_config); one that starts with a
// slash is none in any case.
bool is_absolute(const std::string& path) { return !path.empty() && path.front() == '/'; }

}  // namespace

SqliteTrouble trouble_of(int sqlite_code) {
  // A page that should be there is not: the file was cut short.
  if (sqlite_code == SQLITE_IOERR_SHORT_READ) return SqliteTrouble::kDamaged;
  if (sqlite_code == SQLITE_READONLY_DBMOVED) return SqliteTrouble::kReplaced;
  switch (sqlite_code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return SqliteTrouble::kNone;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
      return SqliteTrouble::kBusy;
    // Our statements are right for our schema: where they fail for other reasons than the system's,
    // the schema is no longer what it was.
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_FORMAT:
    case SQLITE_RANGE:
      return SqliteTrouble::kDamaged;
    default:
      return SqliteTrouble::kRefused;
  }
}

SqliteFailure SqliteConnection::open(const std::string& path, int cache_kib) {
  const char* vfs = sqlite_vfs_name();
  if (vfs == nullptr) return {SqliteTrouble::kRefused, "this SQLite has no VFS named \"unix\""};
  if (sqlite3_threadsafe() == 0) return {SqliteTrouble::kRefused, "this SQLite knows no threads"};
  if (!is_absolute(path)) return {SqliteTrouble::kRefused, "not an absolute path: " + path};
  sqlite3* connection = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &connection, kOpenFlags, vfs);
  connection_.reset(connection);
  if (rc != SQLITE_OK) return failure(rc, "cannot open " + path);
  wal_index_ = wal_index_of(connection);
  if (wal_index_ == nullptr) return {SqliteTrouble::kRefused, "another VFS took over " + path};

  // Closing must not tidy up: it deletes the WAL by its name, and when the database was replaced
  // meanwhile that is the WAL of another database. A WAL that stays is read at the next opening.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Whatever schema somebody may have put there, it shall run nothing.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  const std::string pragmas =
      "PRAGMA synchronous=NORMAL; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
      "PRAGMA secure_delete=OFF; PRAGMA cache_size=-" +
      std::to_string(cache_kib);
  const int configured = execute(pragmas.c_str());
  if (configured != SQLITE_OK) return failure(configured, "cannot read " + path);
  return {};
}

SqliteFailure SqliteConnection::open_in_memory() {
  if (sqlite3_threadsafe() == 0) return {SqliteTrouble::kRefused, "this SQLite knows no threads"};
  keep_sqlite_usable_after_fork();
  sqlite3* connection = nullptr;
  const int rc = sqlite3_open_v2(":memory:", &connection, kOpenFlags | SQLITE_OPEN_MEMORY, nullptr);
  connection_.reset(connection);
  if (rc != SQLITE_OK) return failure(rc, "cannot open a database in memory");
  wal_index_ = nullptr;
  execute("PRAGMA temp_store=MEMORY");
  return {};
}

int SqliteConnection::execute(const char* sql) {
  return sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
}

SqliteFailure SqliteConnection::prepare(const char* sql, SqliteStatement& out) {
  sqlite3_stmt* statement = nullptr;
  const int rc = sqlite3_prepare_v3(connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    &statement, nullptr);
  out = SqliteStatement(statement);
  if (rc != SQLITE_OK) return failure(rc, std::string("cannot prepare \"") + sql + '"');
  return {};
}

void SqliteConnection::roll_back() {
  if (sqlite3_get_autocommit(connection_.get()) == 0) execute("ROLLBACK");
}

SqliteFailure SqliteConnection::failure(int code, const std::string& doing) const {
  SqliteFailure failure{trouble_of(code), doing + ": " + sqlite3_errstr(code)};
  if (connection_ != nullptr) {
    const int os_errno = sqlite3_system_errno(connection_.get());
    const bool system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN ||
                        (code & 0xff) == SQLITE_FULL;
    if (system && os_errno != 0) {
      failure.message += " (" + std::generic_category().message(os_errno) + ')';
    } else if (sqlite3_errcode(connection_.get()) == (code & 0xff)) {
      failure.message += std::string(" (") + sqlite3_errmsg(connection_.get()) + ')';
    }
  }
  failure.message += ", SQLite code " + std::to_string(code);
  return failure;
}

}  // namespace satchel::core
