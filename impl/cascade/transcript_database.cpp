// How the store's database is opened, made and made anew; the tables themselves.
#include <algorithm>
#include <string>
#include <utility>

#include "cascade/transcript_row.hpp"
#include "cascade/transcript_store.hpp"
#include "core/clock.hpp"

namespace satchel::cascade {
namespace {

using core::SqliteFailure;
using core::SqliteTrouble;

constexpr std::int64_t kApplicationId = 0x73617475;  // "satu", shown by file(1)
constexpr std::int64_t kVersion = 1;
constexpr int kCacheKib = 8192;
// Whoever writes needs milliseconds, but for the first time; that one is not waited for.
constexpr int kBusyMillis = 150;
constexpr std::int64_t kOpenPatienceNs = 150 * core::kNanosPerMilli;
// Whoever opens a database first reads the WAL, all of it.
constexpr int kCheckpointPages = 256;

constexpr const char* kTables =
    "CREATE TABLE facts(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE transcripts(id INTEGER PRIMARY KEY, name BLOB NOT NULL, device INTEGER NOT NULL, "
    "inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "ctime_ns INTEGER NOT NULL, settled INTEGER NOT NULL, read_to INTEGER NOT NULL, "
    "head INTEGER NOT NULL, tail INTEGER NOT NULL, records INTEGER NOT NULL, "
    "seal INTEGER NOT NULL);"
    "CREATE TABLE activity(transcript INTEGER PRIMARY KEY, parts BLOB NOT NULL);"
    "CREATE TABLE records(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE buckets(id INTEGER PRIMARY KEY, sums BLOB NOT NULL);"
    "CREATE TABLE entries(bucket INTEGER PRIMARY KEY, bytes BLOB NOT NULL);";
constexpr const char* kSchemaText =
    "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL "
    "ORDER BY name)";

SqliteFailure refused(core::Error error) {
  return {SqliteTrouble::kRefused, std::move(error.message)};
}

int remember_wal_pages(void* pages, sqlite3* /*connection*/, const char* /*name*/, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

}  // namespace

TranscriptStore::Row::Row(TranscriptStore& store, const char* sql)
    : store_(store), sql_(sql), statement_(nullptr) {
  if (store_.failed()) return;
  const auto [at, added] = store_.statements_.try_emplace(sql);
  if (added) {
    SqliteFailure failure = store_.connection_.prepare(sql, at->second);
    if (failure.failed()) {
      store_.statements_.erase(at);
      store_.failure_ = std::move(failure);
      return;
    }
  }
  statement_ = &at->second;
}

TranscriptStore::Row& TranscriptStore::Row::bind(int at, std::string_view bytes) {
  // An empty blob needs an address: SQLite takes null for NULL.
  static constexpr std::uint8_t kNothing = 0;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (statement_ != nullptr) {
    statement_->bind(at, std::span(data == nullptr ? &kNothing : data, bytes.size()));
  }
  return *this;
}

bool TranscriptStore::Row::next() {
  if (statement_ == nullptr || store_.failed()) return false;
  const int rc = statement_->step();
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) store_.fail(rc, sql_);
  return false;
}

TranscriptStore::Opened TranscriptStore::open_file(
    const core::SqliteFiles& files, std::string_view settings,
    const std::optional<core::FileIdentity>& damaged) {
  if (core::Result<void> made = files.make_directory(); !made) {
    return {refused(made.take_error()), nullptr, {}};
  }
  auto lock = files.lock(core::DatabaseLock::Purpose::kOpen, kOpenPatienceNs);
  if (!lock) return {refused(lock.take_error()), nullptr, {}};
  if (*lock == nullptr) {
    return {{SqliteTrouble::kBusy, "another process is opening " + files.database()}, nullptr, {}};
  }
  Opened opened;
  if (damaged && files.look().database.identity == *damaged) opened.set_aside = "it was damaged";
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!opened.set_aside.empty()) {
      if (core::Result<void> done = files.set_aside(); !done) {
        return {refused(done.take_error()), nullptr, {}};
      }
    }
    if (core::Result<void> made = files.make_database(); !made) {
      return {refused(made.take_error()), nullptr, {}};
    }
    opened.failure = {};
    opened.store = connect(files, settings, opened.failure);
    if (opened.failure.trouble != SqliteTrouble::kDamaged) break;
    opened.store.reset();
    opened.set_aside = opened.failure.message;
  }
  return opened;
}

std::unique_ptr<TranscriptStore> TranscriptStore::connect(const core::SqliteFiles& files,
                                                          std::string_view settings,
                                                          SqliteFailure& failure) {
  auto store = std::make_unique<TranscriptStore>(&files);
  const core::FilesAtPath before = files.look();
  failure = store->connection_.open(files.database(), kCacheKib);
  if (failure.failed()) return nullptr;
  sqlite3* const connection = store->connection_.handle();
  sqlite3_busy_timeout(connection, kBusyMillis);
  sqlite3_wal_hook(connection, remember_wal_pages, &store->wal_pages_);
  {
    const core::BoundedWaits waits(kBusyMillis * 1'000);
    store->prepare_tables(settings);
  }
  failure = store->take_failure();
  if (failure.failed()) return nullptr;
  store->opened_ = files.look();
  const std::optional<core::FileIdentity> shm = store->opened_.shm.identity;
  // Whoever keeps to the lock cannot have changed the files meanwhile; a person can.
  if (store->opened_.database.identity != before.database.identity ||
      store->connection_.wal_index().identity() != shm) {
    failure = {SqliteTrouble::kReplaced, "the files were replaced while they were opened"};
    return nullptr;
  }
  return store;
}

TranscriptStore::Opened TranscriptStore::open_memory(std::string_view settings) {
  Opened opened;
  opened.store = std::make_unique<TranscriptStore>(nullptr);
  opened.failure = opened.store->connection_.open_in_memory();
  if (!opened.failure.failed()) {
    opened.store->make_tables(settings);
    opened.failure = opened.store->take_failure();
  }
  if (opened.failure.failed()) opened.store.reset();
  return opened;
}

void TranscriptStore::prepare_tables(std::string_view settings) {
  const auto number = [&](const char* sql) {
    Row row(*this, sql);
    return row.next() ? row.number(0) : 0;
  };
  const auto text = [&](const char* sql) {
    Row row(*this, sql);
    return row.next() ? std::string(row.bytes(0)) : std::string();
  };
  const std::int64_t application = number("PRAGMA application_id");
  const std::int64_t version = number("PRAGMA user_version");
  const std::int64_t objects = number("SELECT count(*) FROM sqlite_schema");
  if (failed()) return;
  if (application == 0 && version == 0 && objects == 0) {
    use_wal();
    make_tables(settings);
    return;
  }
  if (application != kApplicationId) {
    failure_ = {SqliteTrouble::kForeign,
                "the database belongs to another application, left as it is"};
    return;
  }
  if (version > kVersion) {
    failure_ = {SqliteTrouble::kForeign,
                "the database has schema version " + std::to_string(version) +
                    ", this library knows up to " + std::to_string(kVersion) + ", left as it is"};
    return;
  }
  if (text("SELECT value FROM facts WHERE name = 'schema'") != text(kSchemaText)) {
    damaged("the tables");
  } else if (text("SELECT value FROM facts WHERE name = 'settings'") != settings) {
    damaged("the settings it was made for");
  }
  use_wal();
}

void TranscriptStore::make_tables(std::string_view settings) {
  execute("BEGIN IMMEDIATE");
  execute(kTables);
  // The text of the schema, so that a table that somebody altered is noticed.
  execute(("INSERT INTO facts SELECT 'schema', (" + std::string(kSchemaText) + ")").c_str());
  Row(*this, "INSERT INTO facts VALUES('settings', ?1)").bind(1, settings).run();
  put_models(std::string());
  totals_ = {};
  saved_totals_.first_free_id = 0;
  save_totals();
  execute(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
  execute(("PRAGMA user_version=" + std::to_string(kVersion)).c_str());
  execute("COMMIT");
  if (failed()) roll_back();
}

void TranscriptStore::use_wal() {
  Row row(*this, "PRAGMA journal_mode=WAL");
  if (row.next() && row.bytes(0) != "wal") {
    failure_ = {SqliteTrouble::kRefused, "this file system cannot hold a database in WAL mode"};
  }
}

SqliteFailure TranscriptStore::in_place() const {
  if (in_memory()) return {};
  return core::still_in_place(opened_, files_->look());
}

SqliteFailure TranscriptStore::take_failure() {
  if (failed()) roll_back();
  return std::exchange(failure_, {});
}

void TranscriptStore::damaged(const char* what) {
  if (!failed()) failure_ = {SqliteTrouble::kDamaged, std::string(what) + " is not as it was made"};
}

void TranscriptStore::fail(int sqlite_code, const char* doing) {
  if (!failed()) failure_ = connection_.failure(sqlite_code, std::string("cannot do ") + doing);
}

void TranscriptStore::execute(const char* sql) {
  if (failed()) return;
  if (const int rc = connection_.execute(sql); rc != SQLITE_OK) fail(rc, sql);
}

void TranscriptStore::begin_read() {
  const core::BoundedWaits waits(kBusyMillis * 1'000);
  execute("BEGIN");
  load_totals();
}

void TranscriptStore::begin_write() {
  const core::BoundedWaits waits(kBusyMillis * 1'000);
  execute("BEGIN IMMEDIATE");
  load_totals();
}

void TranscriptStore::commit() {
  save_totals();
  execute("COMMIT");
  if (!failed() && !in_memory() && wal_pages_ >= kCheckpointPages) checkpoint();
}

void TranscriptStore::checkpoint() {
  if (in_place().failed()) return;
  sqlite3* const connection = connection_.handle();
  // Where somebody reads or writes, another time.
  sqlite3_busy_timeout(connection, 0);
  const int rc =
      sqlite3_wal_checkpoint_v2(connection, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(connection, kBusyMillis);
  if (rc == SQLITE_OK) {
    wal_pages_ = 0;
  } else if (core::trouble_of(rc) != SqliteTrouble::kBusy) {
    fail(rc, "a checkpoint");
  }
}

}  // namespace satchel::cascade
