#include "tool_cache/index_schema.hpp"

#include <cstdint>

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kApplicationId = 0x73617474;  // "satt", shown by file(1)
constexpr std::int64_t kVersion = 1;

constexpr const char* kTables =
    "CREATE TABLE facts(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"

    "CREATE TABLE entries(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, "
    "kind TEXT NOT NULL, bytes INTEGER NOT NULL, disk_bytes INTEGER NOT NULL, "
    "written_ns INTEGER NOT NULL, used_ns INTEGER NOT NULL, has_meta INTEGER NOT NULL, "
    "doubtful INTEGER NOT NULL, meta BLOB, edges BLOB);"
    "CREATE INDEX entries_by_kind ON entries(kind, id, bytes, disk_bytes) WHERE has_meta = 1;"
    "CREATE INDEX entries_by_use ON entries(used_ns, key, disk_bytes);"
    "CREATE INDEX entries_by_age ON entries(written_ns);"
    "CREATE INDEX entries_doubtful ON entries(key) WHERE doubtful > 0;"

    "CREATE TABLE roots(entry INTEGER NOT NULL, position INTEGER NOT NULL, path INTEGER NOT NULL, "
    "expected TEXT NOT NULL, PRIMARY KEY(entry, position)) WITHOUT ROWID;"
    "CREATE INDEX roots_by_path ON roots(path, entry);"
    "CREATE TABLE paths(id INTEGER PRIMARY KEY AUTOINCREMENT, written BLOB NOT NULL UNIQUE);"

    "CREATE TABLE upstreams(entry INTEGER NOT NULL, upstream BLOB NOT NULL, "
    "PRIMARY KEY(entry, upstream)) WITHOUT ROWID;"
    "CREATE INDEX upstreams_by_upstream ON upstreams(upstream, entry);"

    "CREATE TABLE shards(shard INTEGER PRIMARY KEY, stamp BLOB NOT NULL, settled INTEGER NOT NULL, "
    "entries INTEGER NOT NULL);"

    "CREATE TABLE lost(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, "
    "sequence INTEGER NOT NULL, kind TEXT NOT NULL, roots BLOB NOT NULL, by INTEGER NOT NULL);"

    "CREATE TABLE workspaces(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, "
    "used_day INTEGER NOT NULL, through INTEGER NOT NULL);"
    "CREATE TABLE directories(id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL, "
    "path BLOB NOT NULL, canonical BLOB, stamp BLOB NOT NULL, settled INTEGER NOT NULL, "
    "UNIQUE(workspace, path));"
    "CREATE TABLE resolved(path INTEGER NOT NULL, workspace INTEGER NOT NULL, "
    "directory INTEGER NOT NULL, anew INTEGER NOT NULL, canonical BLOB, joined BLOB NOT NULL, "
    "recorded BLOB NOT NULL, PRIMARY KEY(path, workspace)) WITHOUT ROWID;"
    "CREATE INDEX resolved_by_directory ON resolved(directory);"
    "CREATE INDEX resolved_anew ON resolved(workspace) WHERE anew = 1;"
    "CREATE INDEX resolved_by_canonical ON resolved(workspace, canonical) "
    "WHERE canonical IS NOT NULL;"
    "CREATE INDEX resolved_by_joined ON resolved(workspace, joined) "
    "WHERE canonical IS NULL AND anew = 0;"
    "CREATE INDEX resolved_by_recorded ON resolved(workspace, recorded) "
    "WHERE canonical IS NULL AND anew = 0;"

    "CREATE TABLE fingerprints(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, "
    "form INTEGER NOT NULL, stamp BLOB NOT NULL, boot BLOB NOT NULL, clock_offset INTEGER NOT "
    "NULL, "
    "fingerprint TEXT NOT NULL, UNIQUE(path, form));";

std::int64_t number(IndexConnection& connection, const char* sql) {
  Query query(connection, sql);
  return query.row() ? query.integer(0) : 0;
}

core::SqliteFailure use_wal(IndexConnection& connection) {
  std::string mode;
  {
    Query query(connection, "PRAGMA journal_mode=WAL");
    if (query.row()) mode = query.text(0);
  }
  if (connection.failed()) return connection.take_failure();
  if (mode != "wal" && mode != "memory") {
    return {core::SqliteTrouble::kRefused, "this file system cannot hold a database in WAL mode"};
  }
  return {};
}

std::string fact(IndexConnection& connection, const char* name) {
  Query query(connection, "SELECT value FROM facts WHERE name = ?1");
  query.bind_text(1, name);
  return query.row() ? query.text(0) : std::string();
}

}  // namespace

core::SqliteFailure make_index_schema(IndexConnection& connection, const std::string& store) {
  if (core::SqliteFailure failure = use_wal(connection); failure.failed()) return failure;
  IndexTransaction transaction(connection, IndexTransaction::Kind::kWrite);
  connection.execute(kTables);
  Query(connection, "INSERT INTO facts VALUES('generation', randomblob(16))").run();
  // The text of the schema, so that a table that somebody altered is noticed.
  Query(connection,
        "INSERT INTO facts SELECT 'schema', group_concat(sql, ';') FROM "
        "(SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name)")
      .run();
  {
    Query query(connection, "INSERT INTO facts VALUES('store', ?1)");
    query.bind_blob(1, store).run();
  }
  connection.execute(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
  connection.execute(("PRAGMA user_version=" + std::to_string(kVersion)).c_str());
  transaction.commit();
  return connection.take_failure();
}

core::SqliteFailure prepare_index_schema(IndexConnection& connection, const std::string& store) {
  const std::int64_t application = number(connection, "PRAGMA application_id");
  const std::int64_t version = number(connection, "PRAGMA user_version");
  if (connection.failed()) return connection.take_failure();
  if (application == kApplicationId && version > kVersion) {
    return {core::SqliteTrouble::kForeign,
            "the index has schema version " + std::to_string(version) +
                ", this library knows up to " + std::to_string(kVersion)};
  }
  if (application != kApplicationId || version != kVersion) {
    return {core::SqliteTrouble::kDamaged, "it is no index of this version"};
  }
  const std::int64_t unchanged =
      number(connection,
             "SELECT (SELECT value FROM facts WHERE name = 'schema') = "
             "(SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema WHERE sql IS NOT "
             "NULL ORDER BY name))");
  const bool same_store = fact(connection, "store") == store;
  if (connection.failed()) return connection.take_failure();
  if (unchanged != 1) {
    return {core::SqliteTrouble::kDamaged, "the index has not the tables it should have"};
  }
  if (!same_store) {
    return {core::SqliteTrouble::kDamaged, "the index was made for another directory"};
  }
  return use_wal(connection);
}

std::string index_generation(IndexConnection& connection) { return fact(connection, "generation"); }

}  // namespace satchel::tool_cache
