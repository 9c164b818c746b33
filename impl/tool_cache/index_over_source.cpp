#include "tool_cache/index_over_source.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "core/sqlite_vfs.hpp"
#include "tool_cache/index_lost.hpp"
#include "tool_cache/index_paths.hpp"
#include "tool_cache/index_queries.hpp"

namespace satchel::tool_cache {
namespace {

using core::Result;
using core::SqliteFailure;
using core::SqliteTrouble;

// Opening looks at this many entries and no more.
constexpr std::size_t kFewEntries = 512;
// In a store of this many it also looks at the stamp of every meta.
constexpr std::int64_t kSmallStore = 1000;
// While another process writes. Then memory takes the place of the database for this call.
constexpr std::chrono::seconds kBusyPatience{3};
constexpr std::int64_t kWaitMicros = 3'000'000;
constexpr std::int64_t kReaderWaitMicros = 50'000;
constexpr int kAttempts = 4;
// Somebody who rewrites metas in place as fast as they are read must not keep a call for ever.
constexpr int kRounds = 16;
constexpr std::size_t kBatch = 500;
constexpr std::int64_t kMostFingerprints = 1'000'000;
constexpr std::int64_t kPruneEvery = 4096;
constexpr std::int64_t kNanosPerDay = 86'400 * core::kNanosPerSecond;

std::int64_t random_number() {
  std::uint32_t number = 0;
  sqlite3_randomness(sizeof number, &number);
  return std::int64_t{number} + 1;
}

core::Error index_error(const std::string& why) {
  return {core::Status::kIo, "the index of the tool cache has no memory: " + why, 0, 0};
}

}  // namespace

IndexOverSource::IndexOverSource(std::unique_ptr<IndexSource> source, IndexSlot::Place place,
                                 std::string workspace, OnLost on_lost, core::Clock& clock,
                                 core::Log& log)
    : workspace_(std::move(workspace)),
      on_lost_(std::move(on_lost)),
      clock_(clock),
      log_(log),
      self_(random_number()),
      source_(std::move(source)),
      slot_(std::move(place), clock, log) {}

Result<void> IndexOverSource::run(const Work& work) {
  const auto give_up = std::chrono::steady_clock::now() + kBusyPatience;
  std::string why;
  for (int attempt = 0; attempt < kAttempts;) {
    const DatabasePtr database = slot_.get_in_place();
    if (database == nullptr) return index_error(slot_.why());
    IndexTrouble trouble;
    {
      const core::BoundedWaits bounded(kWaitMicros);
      trouble = work(*database);
    }
    if (!trouble.any()) return {};
    if (trouble.store) return std::move(*trouble.store);
    why = trouble.database.message;
    if (trouble.database.trouble == SqliteTrouble::kBusy) {
      if (std::chrono::steady_clock::now() >= give_up) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    ++attempt;
    slot_.drop(database, trouble.database);
  }
  return run_in_spare(work, why);
}

Result<void> IndexOverSource::run_in_spare(const Work& work, const std::string& why) {
  log_.write(core::LogLevel::kWarn, "tool_cache.index",
             "the index cannot be used now, this call reads the whole store: " + why);
  const DatabasePtr spare = slot_.spare();
  if (spare == nullptr) return index_error(why);
  in_spare_ = true;
  IndexTrouble trouble = work(*spare);
  in_spare_ = false;
  if (trouble.store) return std::move(*trouble.store);
  if (trouble.any()) return index_error(trouble.database.message);
  return {};
}

IndexTrouble IndexOverSource::refresh_in(IndexDatabase& database, bool everything) {
  const bool unknown = in_spare_ || !sequences_.is_complete(database.generation());
  if (Result<void> looked = source_->look(everything || unknown); !looked) {
    return {{}, looked.take_error()};
  }
  IndexRefresh refresh(database, *source_, log_, cancelled_, {everything});
  if (IndexTrouble trouble = refresh.survey(); trouble.any()) return trouble;
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  if (IndexTrouble trouble = refresh.look_at_changed(kAll); trouble.any()) return trouble;
  if (IndexTrouble trouble = refresh.look_at_doubtful(false); trouble.any()) return trouble;
  return complete(database);
}

IndexTrouble IndexOverSource::complete(IndexDatabase& database) {
  if (in_spare_) return {};
  source_->looked();
  const IndexDatabase::Access writer = database.writer();
  if (!sequences_.is_complete(database.generation())) {
    const std::int64_t newest = newest_entry(*writer);
    if (!(*writer).failed()) sequences_.complete(database.generation(), newest);
  }
  deliver_lost(*writer, database.generation());
  return {(*writer).take_failure(), {}};
}

IndexTrouble IndexOverSource::open_in(IndexDatabase& database) {
  if (in_spare_) return {};
  {
    const IndexDatabase::Access writer = database.writer();
    skip_lost(*writer, database.generation());
    if ((*writer).failed()) return {(*writer).take_failure(), {}};
  }
  if (Result<void> looked = source_->look(true); !looked) return {{}, looked.take_error()};
  IndexRefresh refresh(database, *source_, log_, cancelled_, {});
  if (IndexTrouble trouble = refresh.survey(); trouble.any()) return trouble;
  if (refresh.known_in_changed() > static_cast<std::int64_t>(kFewEntries)) return {};
  if (IndexTrouble trouble = refresh.look_at_changed(kFewEntries); trouble.any()) return trouble;
  if (!refresh.finished()) return {};
  const bool small = refresh.known() <= kSmallStore;
  if (IndexTrouble trouble = refresh.look_at_doubtful(small); trouble.any()) return trouble;
  if (IndexTrouble trouble = complete(database); trouble.any()) return trouble;
  const IndexDatabase::Access writer = database.writer();
  const std::int64_t newest = newest_entry(*writer);
  if ((*writer).failed()) return {(*writer).take_failure(), {}};
  sequences_.open(database.generation(), newest);
  return {};
}

// A store that cannot be read now is one that needs a long look: whoever asks is told why.
std::int64_t IndexOverSource::open() {
  const std::lock_guard lock(refresh_mutex_);
  const Result<void> opened = run([this](IndexDatabase& database) { return open_in(database); });
  if (!opened) log_.write(core::LogLevel::kWarn, "tool_cache.index", opened.error().message);
  return sequences_.opening();
}

Result<std::int64_t> IndexOverSource::settle_opening() {
  const std::lock_guard lock(refresh_mutex_);
  if (const std::int64_t known = sequences_.opening(); known != IndexSequences::kOutstanding) {
    return known;
  }
  Result<void> settled = run([this](IndexDatabase& database) -> IndexTrouble {
    if (IndexTrouble trouble = refresh_in(database, false); trouble.any()) return trouble;
    const IndexDatabase::Access writer = database.writer();
    const std::int64_t newest = newest_entry(*writer);
    if ((*writer).failed()) return {(*writer).take_failure(), {}};
    if (!in_spare_) sequences_.open(database.generation(), newest);
    return {};
  });
  if (!settled) return settled.take_error();
  if (sequences_.opening() == IndexSequences::kOutstanding) {
    return core::Error{core::Status::kBusy, "the index is busy: " + slot_.why(), 0, 0};
  }
  return sequences_.opening();
}

Result<void> IndexOverSource::refresh() {
  const std::lock_guard lock(refresh_mutex_);
  return run([this](IndexDatabase& database) { return refresh_in(database, false); });
}

Result<void> IndexOverSource::rebuild() {
  const std::lock_guard lock(refresh_mutex_);
  return run([this](IndexDatabase& database) { return refresh_in(database, true); });
}

IndexTrouble IndexOverSource::find_sound(IndexDatabase& database, const Work& find,
                                         std::vector<Key>& found) {
  IndexRefresh refresh(database, *source_, log_, cancelled_, {});
  for (int round = 0; round < kRounds; ++round) {
    if (IndexTrouble trouble = find(database); trouble.any()) return trouble;
    bool changed = false;
    if (IndexTrouble trouble = refresh.recheck(found, &changed); trouble.any()) return trouble;
    if (!changed) break;
  }
  return {};
}

Result<std::vector<Key>> IndexOverSource::with_root(std::string_view given) {
  const std::lock_guard lock(refresh_mutex_);
  std::vector<Key> found;
  Result<void> done = run([&](IndexDatabase& database) -> IndexTrouble {
    if (IndexTrouble trouble = refresh_in(database, false); trouble.any()) return trouble;
    const auto match = [&](IndexDatabase& in) -> IndexTrouble {
      const IndexDatabase::Access writer = in.writer();
      found = entries_with_root(*writer, workspace_, given, clock_.unix_ns() / kNanosPerDay);
      return {(*writer).take_failure(), {}};
    };
    return find_sound(database, match, found);
  });
  if (!done) return done.take_error();
  return found;
}

Result<std::vector<Key>> IndexOverSource::dependents(std::span<const Key> keys, bool fresh) {
  const std::lock_guard lock(refresh_mutex_);
  std::vector<Key> found;
  Result<void> done = run([&](IndexDatabase& database) -> IndexTrouble {
    // A database that another took the place of since the last look knows nothing yet.
    if (fresh || in_spare_ || !sequences_.is_complete(database.generation())) {
      if (IndexTrouble trouble = refresh_in(database, false); trouble.any()) return trouble;
    }
    const auto walk = [&](IndexDatabase& in) -> IndexTrouble {
      const IndexDatabase::Access writer = in.writer();
      found = dependents_of(*writer, keys);
      return {(*writer).take_failure(), {}};
    };
    return find_sound(database, walk, found);
  });
  if (!done) return done.take_error();
  return found;
}

Result<std::vector<Key>> IndexOverSource::over_bounds(const Bounds& bounds) {
  const std::lock_guard lock(refresh_mutex_);
  std::vector<Key> over;
  Result<void> done = run([&](IndexDatabase& database) -> IndexTrouble {
    if (IndexTrouble trouble = refresh_in(database, false); trouble.any()) return trouble;
    const IndexDatabase::Access writer = database.writer();
    over = entries_over(*writer, bounds, clock_.unix_ns());
    return {(*writer).take_failure(), {}};
  });
  if (!done) return done.take_error();
  return over;
}

// ------------------------------------------------------------------ without looking at the store

bool IndexOverSource::read(const DatabasePtr& database, const Reading& reading) {
  const core::BoundedWaits bounded(kReaderWaitMicros);
  SqliteFailure failure;
  {
    const IndexDatabase::Access reader = database->reader();
    IndexTransaction transaction(*reader, IndexTransaction::Kind::kRead);
    reading(*reader, *database);
    failure = (*reader).take_failure();
  }
  if (failure.trouble == SqliteTrouble::kDamaged) slot_.drop(database, failure);
  return !failure.failed();
}

Result<void> IndexOverSource::read_complete(const Reading& reading) {
  std::string why;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const DatabasePtr database = slot_.get_in_place();
    if (database == nullptr) return index_error(slot_.why());
    if (!sequences_.is_complete(database->generation())) {
      if (Result<void> refreshed = refresh(); !refreshed) return refreshed;
      continue;
    }
    if (read(database, reading)) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return core::Error{core::Status::kBusy, "the index is busy: " + slot_.describe(), 0, 0};
}

std::optional<IndexedEntry> IndexOverSource::find(const Key& key) {
  const DatabasePtr database = slot_.get();
  if (database == nullptr) return std::nullopt;
  std::optional<IndexedEntry> found;
  const bool read_it = read(database, [&](IndexConnection& connection, IndexDatabase& in) {
    found = find_entry(connection, key);
    deliver_lost(connection, in.generation());
  });
  if (!read_it || !found) return std::nullopt;
  found->sequence = sequences_.sequence_of(found->sequence, database->generation());
  return found;
}

std::optional<Meta> IndexOverSource::roots_of(const Key& key) {
  const DatabasePtr database = slot_.get();
  if (database == nullptr) return std::nullopt;
  std::optional<Meta> found;
  const bool read_it = read(database, [&](IndexConnection& connection, IndexDatabase& in) {
    found = roots_of_entry(connection, key);
    deliver_lost(connection, in.generation());
  });
  return read_it ? found : std::nullopt;
}

Result<std::map<std::string, KindTotals>> IndexOverSource::totals(std::int64_t sequence) {
  std::map<std::string, KindTotals> totals;
  Result<void> done = read_complete([&](IndexConnection& connection, IndexDatabase& in) {
    totals = totals_by_kind(connection, sequences_.id_of(sequence, in.generation()));
    // In the same snapshot: an entry that went is either counted or told of.
    deliver_lost(connection, in.generation());
  });
  if (!done) return done.take_error();
  return totals;
}

Result<std::vector<IndexedEntry>> IndexOverSource::page(std::optional<Key> after,
                                                        std::string_view kind, std::size_t limit) {
  std::vector<IndexedEntry> page;
  Result<void> done = read_complete([&](IndexConnection& connection, IndexDatabase& in) {
    page = page_of_entries(connection, after, kind, limit);
    for (IndexedEntry& entry : page) {
      entry.sequence = sequences_.sequence_of(entry.sequence, in.generation());
    }
  });
  if (!done) return done.take_error();
  return page;
}

Result<std::int64_t> IndexOverSource::oldest_written_ns() {
  std::int64_t oldest = 0;
  Result<void> done = read_complete(
      [&](IndexConnection& connection, IndexDatabase&) { oldest = oldest_entry_ns(connection); });
  if (!done) return done.take_error();
  return oldest;
}

std::optional<RememberedFingerprint> IndexOverSource::find(const std::string& path, Form form) {
  const DatabasePtr database = slot_.get();
  if (database == nullptr) return std::nullopt;
  std::optional<RememberedFingerprint> found;
  const bool read_it = read(database, [&](IndexConnection& connection, IndexDatabase&) {
    found = find_fingerprint(connection, path, form);
  });
  return read_it ? found : std::nullopt;
}

// ------------------------------------------------------------------ what is only remembered

void IndexOverSource::write(const Writing& writing) {
  const DatabasePtr database = slot_.get();
  if (database == nullptr) return;
  const core::BoundedWaits bounded(kWaitMicros);
  SqliteFailure failure;
  {
    const IndexDatabase::Access writer = database->writer();
    IndexTransaction transaction(*writer, IndexTransaction::Kind::kWrite);
    writing(*writer);
    if (!(*writer).failed() && transaction.commit()) database->checkpoint_if_due(*writer);
    failure = (*writer).take_failure();
  }
  if (failure.trouble == SqliteTrouble::kDamaged) slot_.drop(database, failure);
}

// Somebody may have stored one of them anew before this is written, and a refresh may have seen it:
// the shards are not believed any more, so that the next refresh finds it again.
void IndexOverSource::removed(std::span<const Key> keys) {
  while (!keys.empty()) {
    const std::size_t count = std::min(keys.size(), kBatch);
    write([&](IndexConnection& connection) {
      EntryWriter writer(connection, false);
      for (const Key& key : keys.first(count)) {
        const std::optional<EntryRow> row = row_of(connection, key);
        if (!row || connection.failed()) continue;
        writer.remove(*row, self_);
        Query(connection, "UPDATE shards SET settled = 0 WHERE shard = ?1")
            .bind(1, std::int64_t{key.bytes[0]})
            .run();
      }
      writer.drop_loose_paths();
    });
    keys = keys.subspan(count);
  }
}

void IndexOverSource::used(std::span<const std::pair<Key, std::int64_t>> uses) {
  while (!uses.empty()) {
    const std::size_t count = std::min(uses.size(), kBatch);
    write([&](IndexConnection& connection) { write_uses(connection, uses.first(count)); });
    uses = uses.subspan(count);
  }
}

void IndexOverSource::keep(std::span<const RememberedFingerprint> remembered) {
  if (remembered.empty()) return;
  const auto count = static_cast<std::int64_t>(remembered.size());
  const std::int64_t before = kept_.fetch_add(count);
  const bool prune = before / kPruneEvery != (before + count) / kPruneEvery;
  write([&](IndexConnection& connection) {
    write_fingerprints(connection, remembered);
    if (prune) drop_oldest_fingerprints(connection, kMostFingerprints);
  });
}

// ------------------------------------------------------------------ what others took out

void IndexOverSource::deliver_lost(IndexConnection& connection, const std::string& generation) {
  if (connection.failed()) return;
  const std::lock_guard lock(lost_mutex_);
  const auto [seen, unknown] = lost_seen_.try_emplace(generation, 0);
  if (unknown) {
    seen->second = newest_lost(connection);
    return;
  }
  LostSince since = lost_since(connection, seen->second, self_);
  if (connection.failed()) return;
  seen->second = std::max(seen->second, since.newest);
  if (!on_lost_) return;
  for (LostEntry& entry : since.entries) {
    on_lost_(entry.key, sequences_.sequence_of(entry.sequence, generation), std::move(entry.old));
  }
}

void IndexOverSource::skip_lost(IndexConnection& connection, const std::string& generation) {
  const std::int64_t newest = newest_lost(connection);
  const std::lock_guard lock(lost_mutex_);
  lost_seen_.insert_or_assign(generation, newest);
}

}  // namespace satchel::tool_cache
