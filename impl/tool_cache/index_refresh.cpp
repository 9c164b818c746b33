#include "tool_cache/index_refresh.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <string>
#include <utility>

#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

using core::Result;

constexpr const char* kComponent = "tool_cache.index";
// One transaction holds the write lock for some milliseconds: one full shard of a large store, or
// many of a small one.
constexpr std::size_t kBatchEntries = 256;
constexpr std::uint64_t kReportEvery = 10'000;

std::int64_t bounded(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 52;  // sums of them are no overflow
  return static_cast<std::int64_t>(std::min(std::min(a, kMost) + std::min(b, kMost), kMost));
}

// The meta is there and will not be understood, however often one asks. Whatever else went wrong
// may be right the next moment, and an entry must not lose its roots over it.
bool is_unreadable(const core::Error& error) {
  if (error.status == core::Status::kMeta) return true;
  switch (error.os_errno) {
    case EACCES:
    case EPERM:
    case ELOOP:
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
      return true;
    default:
      return false;
  }
}

IndexTrouble trouble_of(IndexConnection& connection) { return {connection.take_failure(), {}}; }

IndexTrouble trouble_of(IndexConnection& connection, core::Error error) {
  IndexTrouble trouble = trouble_of(connection);
  if (!trouble.any()) trouble.store = std::move(error);
  return trouble;
}

core::Error cancelled_error() {
  return {core::Status::kState, "the tool cache is being closed", 0, 0};
}

}  // namespace

IndexRefresh::IndexRefresh(IndexDatabase& database, IndexSource& source, core::Log& log,
                           const std::atomic<bool>& cancelled, Options options)
    : database_(database),
      source_(source),
      log_(log),
      cancelled_(cancelled),
      options_(options),
      looked_at_(kShards, false) {}

bool IndexRefresh::believed(const Shard& shard, const std::optional<core::FileStamp>& now) const {
  return !options_.everything && shard.settled && now && shard.stamp == now;
}

std::optional<IndexRefresh::Shard> IndexRefresh::row_of_shard(IndexConnection& connection,
                                                              int shard) {
  Query query(connection, "SELECT stamp, settled, entries FROM shards WHERE shard = ?1");
  query.bind(1, std::int64_t{shard});
  if (!query.row()) return std::nullopt;
  return Shard{query.stamp(0), query.integer(1) != 0, query.integer(2)};
}

IndexTrouble IndexRefresh::survey() {
  std::array<std::optional<Shard>, kShards> rows;
  {
    const IndexDatabase::Access writer = database_.writer();
    Query query(*writer, "SELECT shard, stamp, settled, entries FROM shards");
    while (query.row()) {
      const std::int64_t shard = query.integer(0);
      if (shard < 0 || shard >= kShards) continue;
      rows[static_cast<std::size_t>(shard)] =
          Shard{query.stamp(1), query.integer(2) != 0, query.integer(3)};
    }
    if ((*writer).failed()) return trouble_of(*writer);
  }
  for (int shard = 0; shard < kShards; ++shard) {
    const std::optional<Shard>& row = rows[static_cast<std::size_t>(shard)];
    if (row) known_ += row->entries;
    const std::optional<core::FileStamp> now = source_.shard_stamp(shard);
    if (row ? believed(*row, now) : !now) continue;
    changed_.push_back(shard);
    if (row) known_in_changed_ += row->entries;
  }
  return {};
}

IndexTrouble IndexRefresh::look_at_changed(std::size_t most) {
  const std::uint64_t listed_before = listed_;
  while (!finished() && listed_ - listed_before < most) {
    if (cancelled_) return {{}, cancelled_error()};
    const IndexDatabase::Access access = database_.writer();
    IndexConnection& connection = *access;
    IndexTransaction transaction(connection, IndexTransaction::Kind::kWrite);
    if (connection.failed()) return trouble_of(connection);
    EntryWriter writer(connection, options_.everything);
    std::size_t in_batch = 0;
    while (!finished() && in_batch < kBatchEntries && !connection.failed()) {
      Result<std::size_t> count = look_at_shard(connection, writer, changed_[next_]);
      if (!count) return trouble_of(connection, count.take_error());
      in_batch += *count;
      ++next_;
    }
    writer.drop_loose_paths();
    if (!transaction.commit()) return trouble_of(connection);
    database_.checkpoint_if_due(connection);
    if (connection.failed()) return trouble_of(connection);
    listed_ += in_batch;
    report_progress();
  }
  return {};
}

void IndexRefresh::report_progress() {
  const bool due = read_ >= reported_ + kReportEvery;
  const bool last = finished() && reported_ > 0;
  if (!due && !last) return;
  reported_ = read_;
  log_.write(core::LogLevel::kInfo, kComponent,
             "reading the store into the index: " + std::to_string(read_) + " entries, " +
                 std::to_string(next_) + " of " + std::to_string(changed_.size()) + " shards" +
                 (finished() ? ", done" : ""));
}

// How many entries were listed.
Result<std::size_t> IndexRefresh::look_at_shard(IndexConnection& connection, EntryWriter& writer,
                                                int shard) {
  const std::int64_t now = source_.now_ns();
  const std::optional<core::FileStamp> stamp = source_.shard_stamp(shard);
  // Another process may have been faster.
  const std::optional<Shard> row = row_of_shard(connection, shard);
  if (row ? believed(*row, stamp) : !stamp) return std::size_t{0};

  std::vector<EntryFiles> files;
  if (stamp) {
    Result<void> listed =
        source_.list_shard(shard, [&](const EntryFiles& entry) { files.push_back(entry); });
    if (!listed) return listed.take_error();
    std::sort(files.begin(), files.end(),
              [](const EntryFiles& a, const EntryFiles& b) { return a.key < b.key; });
  }
  const std::vector<EntryRow> rows = rows_of_shard(connection, shard);
  if (connection.failed()) return std::size_t{0};
  if (Result<void> merged = merge(writer, rows, files, now); !merged) return merged.take_error();
  looked_at_[static_cast<std::size_t>(shard)] = true;

  if (!stamp) {
    Query(connection, "DELETE FROM shards WHERE shard = ?1").bind(1, std::int64_t{shard}).run();
    return files.size();
  }
  const std::string bytes = stamp_bytes(*stamp);
  Query query(connection,
              "INSERT OR REPLACE INTO shards(shard, stamp, settled, entries) "
              "VALUES(?1, ?2, ?3, ?4)");
  query.bind(1, std::int64_t{shard})
      .bind_blob(2, bytes)
      .bind(3, std::int64_t{source_.settled(*stamp, now)})
      .bind(4, static_cast<std::int64_t>(files.size()))
      .run();
  return files.size();
}

// Both by ascending key.
Result<void> IndexRefresh::merge(EntryWriter& writer, const std::vector<EntryRow>& rows,
                                 const std::vector<EntryFiles>& files, std::int64_t now) {
  auto row = rows.begin();
  for (const EntryFiles& entry : files) {
    while (row != rows.end() && row->key < entry.key) writer.remove(*row++);
    std::optional<EntryRow> known;
    if (row != rows.end() && row->key == entry.key) known = *row++;

    SeenEntry seen;
    seen.key = entry.key;
    seen.disk_bytes =
        bounded(entry.payload ? entry.payload->size : 0, entry.meta ? entry.meta->size : 0);
    seen.written_ns = entry.payload ? entry.payload->mtime_ns
                      : entry.meta  ? entry.meta->mtime_ns
                                    : 0;
    seen.stamp = entry.meta;
    const bool same_meta = known && known->meta == entry.meta && known->doubt == Doubt::kNone;
    if (same_meta && !options_.everything) {
      writer.put_sizes(*known, seen.disk_bytes, seen.written_ns);
      continue;
    }
    if (Result<void> looked = look_at_meta(writer, known, seen, now); !looked) return looked;
  }
  while (row != rows.end()) writer.remove(*row++);
  return {};
}

// `seen` with all but what the meta says. `now`: a time before anything in it was looked at.
Result<void> IndexRefresh::look_at_meta(EntryWriter& writer, const std::optional<EntryRow>& row,
                                        SeenEntry seen, std::int64_t now) {
  if (!seen.stamp) {
    writer.put(row, seen);
    return {};
  }
  Result<std::optional<IndexSource::StampedMeta>> meta = source_.read_meta(seen.key);
  if (!meta && !is_unreadable(meta.error())) return meta.take_error();
  ++read_;
  if (!meta) {
    // The file may be a newer one than that of the stamp, which is then looked at again.
    seen.doubt = source_.settled(*seen.stamp, now) ? Doubt::kUnreadable : Doubt::kUnsettled;
  } else if (!*meta) {
    seen.stamp.reset();  // it went meanwhile, and the directory shows that
  } else {
    seen.meta = &(*meta)->meta;
    seen.stamp = (*meta)->stamp;
    if (!source_.settled(*seen.stamp, now)) seen.doubt = Doubt::kUnsettled;
  }
  writer.put(row, seen);
  return {};
}

bool IndexRefresh::needs_look(const EntryRow& row) {
  return row.doubt == Doubt::kUnsettled || source_.meta_stamp(row.key) != row.meta;
}

IndexTrouble IndexRefresh::look_again(std::span<const EntryRow> rows, bool* changed) {
  if (rows.empty()) return {};
  const IndexDatabase::Access access = database_.writer();
  IndexConnection& connection = *access;
  IndexTransaction transaction(connection, IndexTransaction::Kind::kWrite);
  if (connection.failed()) return trouble_of(connection);
  EntryWriter writer(connection, false);
  for (const EntryRow& asked : rows) {
    if (cancelled_) return {{}, cancelled_error()};
    const std::int64_t now = source_.now_ns();
    // Another process may have been faster.
    const std::optional<EntryRow> row = row_of(connection, asked.key);
    if (!row || connection.failed()) continue;
    SeenEntry seen;
    seen.key = row->key;
    seen.stamp = source_.meta_stamp(row->key);
    // What changed besides shows in the directory.
    seen.disk_bytes = row->disk_bytes;
    seen.written_ns = row->written_ns;
    if (Result<void> looked = look_at_meta(writer, row, seen, now); !looked) {
      return trouble_of(connection, looked.take_error());
    }
  }
  writer.drop_loose_paths();
  if (changed != nullptr) *changed = *changed || writer.changed_edges();
  if (!transaction.commit()) return trouble_of(connection);
  return {};
}

IndexTrouble IndexRefresh::look_at_doubtful(bool all) {
  std::vector<EntryRow> rows;
  {
    const IndexDatabase::Access writer = database_.writer();
    if (all) {
      for (int shard = 0; shard < kShards; ++shard) {
        if (looked_at_[static_cast<std::size_t>(shard)]) continue;
        std::vector<EntryRow> of_shard = rows_of_shard(*writer, shard);
        std::move(of_shard.begin(), of_shard.end(), std::back_inserter(rows));
      }
    } else {
      rows = doubtful_rows(*writer);
    }
    if ((*writer).failed()) return trouble_of(*writer);
  }
  std::erase_if(
      rows, [&](const EntryRow& row) { return looked_at_[row.key.bytes[0]] || !needs_look(row); });
  return look_again(rows, nullptr);
}

IndexTrouble IndexRefresh::recheck(std::span<const Key> keys, bool* changed) {
  *changed = false;
  std::vector<EntryRow> rows;
  {
    const IndexDatabase::Access writer = database_.writer();
    for (const Key& key : keys) {
      std::optional<EntryRow> row = row_of(*writer, key);
      if (row) rows.push_back(std::move(*row));
    }
    if ((*writer).failed()) return trouble_of(*writer);
  }
  std::erase_if(rows, [&](const EntryRow& row) { return !needs_look(row); });
  return look_again(rows, changed);
}

}  // namespace satchel::tool_cache
