#include "tool_cache/index_database.hpp"

#include <utility>

#include "core/clock.hpp"
#include "tool_cache/index_schema.hpp"

namespace satchel::tool_cache {
namespace {

using core::SqliteFailure;
using core::SqliteTrouble;

constexpr int kWriterCacheKib = 8192;
constexpr int kReaderCacheKib = 2048;
constexpr int kBusyMillis = 500;
constexpr int kCheckpointPages = 1000;
// Opening and checkpoints take milliseconds; whoever holds the lock for longer is stopped.
constexpr std::int64_t kPatienceNs = core::kNanosPerSecond;

SqliteFailure refused(core::Error error) {
  return {SqliteTrouble::kRefused, std::move(error.message)};
}

}  // namespace

IndexDatabase::Opened IndexDatabase::open_file(const core::SqliteFiles& files,
                                               const std::string& store,
                                               const std::optional<core::FileIdentity>& damaged) {
  using Purpose = core::DatabaseLock::Purpose;
  if (core::Result<void> made = files.make_directory(); !made) {
    return {refused(made.take_error()), nullptr, {}};
  }
  // The first against others that open, the second against those that make a checkpoint.
  auto opening = files.lock(Purpose::kOpen, kPatienceNs);
  if (!opening) return {refused(opening.take_error()), nullptr, {}};
  auto sealing = files.lock(Purpose::kSweep, kPatienceNs);
  if (!sealing) return {refused(sealing.take_error()), nullptr, {}};
  if (*opening == nullptr || *sealing == nullptr) {
    return {{SqliteTrouble::kBusy, "another process is opening " + files.database()}, nullptr, {}};
  }

  Opened opened;
  const IndexSeal seal(files.database());
  const core::FileFacts found = files.look().database;
  bool fresh = found.kind == core::FileKind::kAbsent;
  std::string unsound;
  if (damaged && found.identity == *damaged) {
    unsound = "it was damaged";
  } else if (found.kind == core::FileKind::kRegular && seal.read() != seal.database_now()) {
    unsound = "it was written to by others, or a process died while it wrote";
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!unsound.empty()) {
      if (core::Result<void> done = files.set_aside(); !done) {
        return {refused(done.take_error()), nullptr, {}};
      }
      opened.set_aside = unsound;
      fresh = true;
    }
    if (core::Result<void> made = files.make_database(); !made) {
      return {refused(made.take_error()), nullptr, {}};
    }
    opened.failure = {};
    opened.database = connect(files, store, fresh, opened.failure);
    if (opened.database != nullptr || opened.failure.trouble != SqliteTrouble::kDamaged) break;
    unsound = opened.failure.message;
  }
  return opened;
}

std::shared_ptr<IndexDatabase> IndexDatabase::connect(const core::SqliteFiles& files,
                                                      const std::string& store, bool fresh,
                                                      SqliteFailure& failure) {
  auto database = std::make_shared<IndexDatabase>(&files);
  const core::FilesAtPath before = files.look();
  failure = database->writer_.open(files.database(), kWriterCacheKib);
  if (failure.failed()) return nullptr;
  sqlite3_busy_timeout(database->writer_.raw().handle(), kBusyMillis);
  failure = fresh ? make_index_schema(database->writer_, store)
                  : prepare_index_schema(database->writer_, store);
  if (failure.failed()) return nullptr;
  const IndexSeal seal(files.database());
  if (fresh) {
    if (core::Result<void> written = seal.write(); !written) {
      failure = refused(written.take_error());
      return nullptr;
    }
  }
  failure = database->reader_.open(files.database(), kReaderCacheKib);
  if (failure.failed()) return nullptr;
  sqlite3_busy_timeout(database->reader_.raw().handle(), kBusyMillis);
  // The first transaction opens WAL and wal-index: now, while nobody replaces them.
  database->generation_ = index_generation(database->reader_);
  failure = database->reader_.take_failure();
  if (failure.failed()) return nullptr;
  database->opened_ = files.look();
  database->trusted_ = seal.database_now();
  // Whoever keeps to the lock cannot have changed the files meanwhile; a person can.
  const std::optional<core::FileIdentity> shm = database->opened_.shm.identity;
  if (database->opened_.database.identity != before.database.identity ||
      database->writer_.raw().wal_index().identity() != shm ||
      database->reader_.raw().wal_index().identity() != shm) {
    failure = {SqliteTrouble::kReplaced, "the files were replaced while they were opened"};
    return nullptr;
  }
  return database;
}

IndexDatabase::Opened IndexDatabase::open_memory(const std::string& store) {
  Opened opened;
  auto database = std::make_shared<IndexDatabase>(nullptr);
  opened.failure = database->writer_.open_in_memory();
  if (opened.failure.failed()) return opened;
  opened.failure = make_index_schema(database->writer_, store);
  if (opened.failure.failed()) return opened;
  database->generation_ = index_generation(database->writer_);
  opened.failure = database->writer_.take_failure();
  if (!opened.failure.failed()) opened.database = std::move(database);
  return opened;
}

IndexDatabase::~IndexDatabase() {
  // One that never came to be open, or without anything in the WAL that is ours.
  if (in_memory() || generation_.empty() || writer_.wal_pages() == 0) return;
  writer_.take_failure();
  sqlite3_busy_timeout(writer_.raw().handle(), 0);
  checkpoint(writer_, SQLITE_CHECKPOINT_TRUNCATE);
}

SqliteFailure IndexDatabase::in_place() {
  if (in_memory()) return {};
  if (SqliteFailure failure = core::still_in_place(opened_, files_->look()); failure.failed()) {
    return failure;
  }
  return sealed();
}

SqliteFailure IndexDatabase::sealed() {
  const IndexSeal seal(files_->database());
  const auto sound = [&] {
    const std::optional<core::FileStamp> now = seal.database_now();
    if (!now) return false;
    {
      const std::lock_guard lock(trusted_mutex_);
      if (now == trusted_) return true;
    }
    if (now != seal.read()) return false;
    const std::lock_guard lock(trusted_mutex_);
    trusted_ = now;
    return true;
  };
  if (sound()) return {};
  // A checkpoint of another process may be between its writing and its sealing.
  auto sealing = files_->lock(core::DatabaseLock::Purpose::kSweep, kPatienceNs);
  if (!sealing) return refused(sealing.take_error());
  if (*sealing == nullptr) {
    return {SqliteTrouble::kBusy, "another process is busy with " + files_->database()};
  }
  if (sound()) return {};
  return {SqliteTrouble::kDamaged, "others wrote to the database"};
}

void IndexDatabase::checkpoint_if_due(IndexConnection& writer) {
  if (in_memory() || writer.failed() || writer.wal_pages() < kCheckpointPages) return;
  checkpoint(writer, SQLITE_CHECKPOINT_PASSIVE);
}

void IndexDatabase::checkpoint(IndexConnection& writer, int mode) {
  // Where another process is at it, it does it for both.
  auto sealing = files_->lock(core::DatabaseLock::Purpose::kSweep, 0);
  if (!sealing || *sealing == nullptr) return;
  if (SqliteFailure failure = core::still_in_place(opened_, files_->look()); failure.failed()) {
    writer.fail(std::move(failure));
    return;
  }
  // Noise must not be sealed.
  const IndexSeal seal(files_->database());
  if (seal.database_now() != seal.read()) {
    writer.fail({SqliteTrouble::kDamaged, "others wrote to the database"});
    return;
  }
  const int rc = sqlite3_wal_checkpoint_v2(writer.raw().handle(), "main", mode, nullptr, nullptr);
  core::Result<void> written = seal.write();
  if (!written) {
    writer.fail(refused(written.take_error()));
  } else if (rc != SQLITE_OK && core::trouble_of(rc) != SqliteTrouble::kBusy) {
    writer.fail(rc, "a checkpoint");
  }
  const std::lock_guard lock(trusted_mutex_);
  trusted_ = seal.read();
}

}  // namespace satchel::tool_cache
