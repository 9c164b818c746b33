#include "prompt_cache/sqlite_writer.hpp"

#include <algorithm>
#include <utility>

#include "prompt_cache/sqlite_schema.hpp"

namespace satchel::prompt_cache {
namespace {

// Random keys touch a page an entry: a batch of upserts finds its pages here, not in the kernel.
constexpr int kCacheKib = 8192;
constexpr int kBusyMillis = 200;
// Rows of random keys are on as many pages, which all go through the WAL: 500 rows are 2 MB of it.
constexpr std::int64_t kSweepRows = 500;
constexpr std::int64_t kRoomRows = 2000;
constexpr std::int64_t kFewestPages = 64;
// SQLite's own measure of when to checkpoint. While that is refused, as on a full disk, the WAL
// grows up to kMostWalPages, then nothing more is written.
constexpr int kCheckpointPages = 1000;
constexpr int kMostWalPages = 16 * kCheckpointPages;

int page_limit(sqlite3* connection, std::int64_t most_pages) {
  const std::string sql = "PRAGMA max_page_count=" + std::to_string(most_pages);
  return sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr);
}

int remember_wal_pages(void* wal_pages, sqlite3* /*connection*/, const char* /*name*/, int pages) {
  *static_cast<int*>(wal_pages) = pages;
  return SQLITE_OK;
}

}  // namespace

// Rolls back when it goes without having been committed.
class SqliteWriter::Transaction {
 public:
  explicit Transaction(SqliteWriter& writer) : writer_(writer), code_(writer.begin_.run()) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { writer_.connection_.roll_back(); }

  [[nodiscard]] int begun() const { return code_; }
  int commit() { return writer_.commit_.run(); }

 private:
  SqliteWriter& writer_;
  int code_;
};

core::SqliteFailure SqliteWriter::open(const std::string& path, std::uint64_t max_bytes) {
  if (core::SqliteFailure failed = connection_.open(path, kCacheKib); failed.failed())
    return failed;
  sqlite3_busy_timeout(connection_.handle(), kBusyMillis);
  if (core::SqliteFailure failed = prepare_schema(connection_); failed.failed()) return failed;
  const std::pair<const char*, core::SqliteStatement*> statements[] = {
      {"BEGIN IMMEDIATE", &begin_},
      {"COMMIT", &commit_},
      {"INSERT INTO entries(key, scope, hash, tokens, tier, expires_at, seal) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(key) DO UPDATE SET scope = ?2, hash = ?3, "
       "tokens = ?4, tier = ?5, expires_at = ?6, seal = ?7",
       &upsert_},
      {kSelectRow, &select_},
      {"UPDATE entries SET expires_at = ?2, seal = ?3 WHERE key = ?1", &refresh_},
      {"DELETE FROM entries WHERE key IN "
       "(SELECT key FROM entries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
       &delete_expired_},
      {"DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY expires_at LIMIT ?1)",
       &delete_soonest_},
      {"PRAGMA page_count", &page_count_},
      {"PRAGMA freelist_count", &free_pages_}};
  for (const auto& [sql, statement] : statements) {
    if (core::SqliteFailure failed = connection_.prepare(sql, *statement); failed.failed())
      return failed;
  }
  core::SqliteStatement page_size;
  core::SqliteFailure failed = connection_.prepare("PRAGMA page_size", page_size);
  if (failed.failed()) return failed;
  if (const int rc = page_size.step(); rc != SQLITE_ROW) return failure(rc, "cannot read");
  const auto bound = static_cast<std::int64_t>(std::min<std::uint64_t>(max_bytes, 1ULL << 50));
  most_pages_ = std::max(bound / std::max<std::int64_t>(page_size.integer(0), 512), kFewestPages);
  enough_pages_ = most_pages_ - std::max<std::int64_t>(most_pages_ / 16, 8);
  if (const int rc = page_limit(connection_.handle(), most_pages_); rc != SQLITE_OK) {
    return failure(rc, "cannot bound the size");
  }
  // Checkpoints are made by checkpoint(), for SQLite's automatic ones fail without a word.
  sqlite3_wal_hook(connection_.handle(), remember_wal_pages, &wal_pages_);
  return {};
}

SqliteWriter::Written SqliteWriter::write(std::span<const PendingCommit* const> commits) {
  if (wal_pages_ > kMostWalPages) {
    core::SqliteFailure failed = checkpoint(false);
    if (!failed.failed() && wal_pages_ > kMostWalPages) {
      failed = {core::SqliteTrouble::kRefused,
                "the WAL cannot be emptied: somebody has been reading for long"};
    }
    if (failed.failed()) return {std::move(failed), 0, 0, 0};
  }
  int code = SQLITE_OK;
  Written written = write_once(commits, &code);
  if ((code & 0xff) == SQLITE_FULL && make_room()) written = write_once(commits, &code);
  if (!written.failure.failed() && wal_pages_ >= kCheckpointPages) {
    // Written is written; what hinders the checkpoint is said when it hinders writing.
    checkpoint(false);
  }
  return written;
}

SqliteWriter::Written SqliteWriter::write_once(std::span<const PendingCommit* const> commits,
                                               int* code) {
  Transaction transaction(*this);
  Written done;
  *code = transaction.begun();
  if (*code == SQLITE_DONE) {
    for (const PendingCommit* commit : commits) {
      for (const Entry& entry : commit->writes) {
        *code = upsert(commit->scope_id, entry);
        if (*code != SQLITE_DONE) break;
        ++done.written;
      }
      if (*code != SQLITE_DONE) break;
      if (commit->refresh) {
        *code = refresh(commit->scope_id, *commit->refresh, &done.refreshed);
        if (*code != SQLITE_DONE) break;
      }
    }
  }
  if (*code == SQLITE_DONE) {
    std::int64_t pages = 0;
    *code = pages_in_use(&pages);
    // Deleted rows leave their pages half empty rather than free: what comes in fills them up. Two
    // out for each one in, so that the pages in use come down slowly, not all entries at once.
    if (*code == SQLITE_DONE && pages > enough_pages_ && done.written > 0) {
      *code = evict(static_cast<std::int64_t>(2 * done.written), &done.evicted);
    }
  }
  if (*code == SQLITE_DONE) *code = transaction.commit();
  if (*code == SQLITE_DONE && !connection_.wal_index().broken()) return done;
  Written nothing;
  nothing.failure = failure(*code, "cannot write");
  return nothing;
}

int SqliteWriter::upsert(const ScopeId& scope, const Entry& entry) {
  const EntryKey key{scope, entry.hash};
  upsert_.bind(1, row_key(key));
  upsert_.bind(2, key.scope);
  upsert_.bind(3, key.hash);
  upsert_.bind(4, std::int64_t{entry.cumulative_token_count});
  upsert_.bind(5, static_cast<std::int64_t>(entry.tier));
  upsert_.bind(6, entry.expires_at);
  upsert_.bind(
      7, std::int64_t{seal_of(key, entry.cumulative_token_count, entry.tier, entry.expires_at)});
  return upsert_.run();
}

int SqliteWriter::refresh(const ScopeId& scope, const Refresh& refresh, std::uint64_t* refreshed) {
  const EntryKey key{scope, refresh.hash};
  select_.bind(1, row_key(key));
  const int found = select_.step();
  std::optional<Entry> entry;
  if (found == SQLITE_ROW) entry = entry_of_row(select_, key);
  select_.reset();
  if (found != SQLITE_ROW || !entry) return found == SQLITE_ROW ? SQLITE_DONE : found;
  refresh_.bind(1, row_key(key));
  refresh_.bind(2, refresh.expires_at);
  refresh_.bind(3, std::int64_t{seal_of(key, entry->cumulative_token_count, entry->tier,
                                        refresh.expires_at)});
  ++*refreshed;
  return refresh_.run();
}

int SqliteWriter::evict(std::int64_t rows, std::uint64_t* evicted) {
  delete_soonest_.bind(1, rows);
  const int rc = delete_soonest_.run();
  if (rc == SQLITE_DONE) {
    *evicted += static_cast<std::uint64_t>(sqlite3_changes(connection_.handle()));
  }
  return rc;
}

// The database said that it is full: true if that was our own bound and there is room now.
bool SqliteWriter::make_room() {
  Transaction transaction(*this);
  if (transaction.begun() != SQLITE_DONE) return false;
  page_count_.reset();
  const bool read = page_count_.step() == SQLITE_ROW;
  const std::int64_t pages = page_count_.integer(0);
  page_count_.reset();
  if (!read || pages < most_pages_ - 1) return false;
  std::uint64_t evicted = 0;
  if (evict(kRoomRows, &evicted) != SQLITE_DONE) return false;
  return transaction.commit() == SQLITE_DONE && evicted > 0;
}

int SqliteWriter::pages_in_use(std::int64_t* pages) {
  std::int64_t counts[2] = {0, 0};
  core::SqliteStatement* const statements[2] = {&page_count_, &free_pages_};
  for (int i = 0; i < 2; ++i) {
    const int rc = statements[i]->step();
    if (rc == SQLITE_ROW) counts[i] = statements[i]->integer(0);
    statements[i]->reset();
    if (rc != SQLITE_ROW) return rc;
  }
  *pages = counts[0] - counts[1];
  return SQLITE_DONE;
}

SqliteWriter::Swept SqliteWriter::sweep(std::int64_t now) {
  Transaction transaction(*this);
  int rc = transaction.begun();
  Swept swept;
  if (rc == SQLITE_DONE) {
    delete_expired_.bind(1, now);
    delete_expired_.bind(2, kSweepRows);
    rc = delete_expired_.run();
  }
  if (rc == SQLITE_DONE) {
    swept.rows = static_cast<std::uint64_t>(sqlite3_changes(connection_.handle()));
    swept.more = swept.rows == static_cast<std::uint64_t>(kSweepRows);
    std::int64_t pages = 0;
    if (!swept.more) rc = pages_in_use(&pages);
    // Over the bound itself only a database that was made under a higher one.
    if (rc == SQLITE_DONE && pages > most_pages_) {
      std::uint64_t evicted = 0;
      rc = evict(kSweepRows, &evicted);
      swept.rows += evicted;
      swept.more = evicted > 0;
    }
  }
  if (rc == SQLITE_DONE && swept.rows > 0) {
    rc = transaction.commit();
    if (rc == SQLITE_DONE && wal_pages_ >= kCheckpointPages) checkpoint(false);
  }
  if (rc != SQLITE_DONE) return {failure(rc, "cannot sweep"), 0, false};
  return swept;
}

core::SqliteFailure SqliteWriter::clear() {
  {
    Transaction transaction(*this);
    int rc = transaction.begun();
    if (rc == SQLITE_DONE) rc = connection_.execute("DELETE FROM entries");
    if (rc == SQLITE_OK) rc = transaction.commit();
    if (rc != SQLITE_DONE) return failure(rc, "cannot drop the entries");
  }
  checkpoint(false);
  return {};
}

core::SqliteFailure SqliteWriter::checkpoint(bool whole) {
  int wal_pages = 0;
  int moved = 0;
  const int rc = sqlite3_wal_checkpoint_v2(
      connection_.handle(), "main", whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
      &wal_pages, &moved);
  if (rc == SQLITE_OK && moved == wal_pages) wal_pages_ = 0;
  return rc == SQLITE_OK ? core::SqliteFailure{} : failure(rc, "cannot checkpoint");
}

core::SqliteFailure SqliteWriter::failure(int code, const char* doing) const {
  if (connection_.wal_index().broken()) {
    return {core::SqliteTrouble::kReplaced, "the -shm file was cut short or cannot be written"};
  }
  return connection_.failure(code, doing);
}

}  // namespace satchel::prompt_cache
