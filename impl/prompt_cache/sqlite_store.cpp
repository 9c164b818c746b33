#include "prompt_cache/sqlite_store.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/clock.hpp"

namespace satchel::prompt_cache {
namespace {

// Opening takes milliseconds; whoever holds the lock for longer is stopped or starved.
constexpr std::int64_t kLockPatienceNs = core::kNanosPerSecond;

core::SqliteFailure refused(core::Error error) {
  return {core::SqliteTrouble::kRefused, std::move(error.message)};
}

}  // namespace

SqliteStore::Opened SqliteStore::open(const core::SqliteFiles& files, std::uint64_t max_bytes,
                                      std::size_t readers,
                                      const std::optional<core::FileIdentity>& damaged) {
  if (core::Result<void> made = files.make_directory(); !made.ok()) {
    return {refused(made.take_error()), nullptr, {}};
  }
  auto lock = files.lock(core::DatabaseLock::Purpose::kOpen, kLockPatienceNs);
  if (!lock.ok()) return {refused(lock.take_error()), nullptr, {}};
  if (lock.value() == nullptr) {
    return {{core::SqliteTrouble::kBusy, "another process is opening " + files.database()},
            nullptr,
            {}};
  }

  Opened opened;
  if (damaged && files.look().database.identity == *damaged) {
    opened.set_aside = "it was damaged";
    if (core::Result<void> done = files.set_aside(); !done.ok()) {
      return {refused(done.take_error()), nullptr, {}};
    }
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (core::Result<void> made = files.make_database(); !made.ok()) {
      return {refused(made.take_error()), nullptr, {}};
    }
    opened.store = std::make_shared<SqliteStore>(files);
    opened.failure = opened.store->connect(max_bytes, readers);
    if (!opened.failure.failed()) return opened;
    opened.store.reset();
    if (opened.failure.trouble != core::SqliteTrouble::kDamaged) break;
    opened.set_aside = opened.failure.message;
    if (core::Result<void> done = files.set_aside(); !done.ok()) {
      return {refused(done.take_error()), nullptr, {}};
    }
  }
  return opened;
}

core::SqliteFailure SqliteStore::connect(std::uint64_t max_bytes, std::size_t readers) {
  const core::FilesAtPath before = files_.look();
  if (core::SqliteFailure failure = writer_.open(files_.database(), max_bytes); failure.failed()) {
    return failure;
  }
  for (std::size_t i = 0; i < std::max<std::size_t>(readers, 1); ++i) {
    readers_.push_back(std::make_unique<SqliteReader>());
    if (core::SqliteFailure failure = readers_.back()->open(files_.database()); failure.failed()) {
      return failure;
    }
    free_.push_back(readers_.back().get());
  }
  opened_ = files_.look();
  // Whoever keeps to the lock cannot have changed the files meanwhile; a person can.
  if (opened_.database.identity != before.database.identity || !shares_wal_index()) {
    return {core::SqliteTrouble::kReplaced, "the files were replaced while they were opened"};
  }
  largest_seen_ = opened_.database.size;
  return {};
}

bool SqliteStore::shares_wal_index() const {
  const std::optional<core::FileIdentity> expected = opened_.shm.identity;
  return writer_.wal_index().identity() == expected &&
         std::all_of(readers_.begin(), readers_.end(), [&](const auto& reader) {
           return reader->wal_index().identity() == expected;
         });
}

core::SqliteFailure SqliteStore::in_place() {
  const core::FilesAtPath now = files_.look();
  if (core::SqliteFailure failure = core::still_in_place(opened_, now); failure.failed()) {
    return failure;
  }
  std::uint64_t largest = largest_seen_.load(std::memory_order_relaxed);
  // Nothing that we do makes the file smaller. Opened again it shows whether it is still sound.
  if (now.database.size < largest)
    return {core::SqliteTrouble::kReplaced, "the database was cut short"};
  while (largest < now.database.size &&
         !largest_seen_.compare_exchange_weak(largest, now.database.size)) {
  }
  return {};
}

SqliteStore::Lease SqliteStore::borrow(const std::shared_ptr<SqliteStore>& store,
                                       std::int64_t patience_ns) {
  std::unique_lock lock(store->free_mutex_);
  if (store->free_.empty()) {
    store->free_changed_.wait_for(lock, std::chrono::nanoseconds(patience_ns),
                                  [&] { return !store->free_.empty(); });
  }
  if (store->free_.empty()) return {store, nullptr};
  SqliteReader* reader = store->free_.back();
  store->free_.pop_back();
  return {store, reader};
}

void SqliteStore::give_back(SqliteReader* reader) {
  {
    const std::lock_guard lock(free_mutex_);
    free_.push_back(reader);
  }
  free_changed_.notify_one();
}

}  // namespace satchel::prompt_cache
