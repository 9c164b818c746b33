#include "tool_cache/index_queries.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "tool_cache/index_lost.hpp"

namespace satchel::tool_cache {
namespace {

// Columns: key, id, kind, bytes, disk_bytes, written_ns, used_ns.
std::optional<IndexedEntry> entry_in(Query& query) {
  const std::optional<Key> key = query.key(0);
  if (!key) return std::nullopt;
  IndexedEntry entry;
  entry.key = *key;
  entry.sequence = query.integer(1);
  entry.tool_kind = query.text(2);
  entry.bytes = static_cast<std::uint64_t>(query.integer(3));
  entry.disk_bytes = static_cast<std::uint64_t>(query.integer(4));
  entry.written_ns = query.integer(5);
  entry.used_ns = query.integer(6);
  return entry;
}

std::int64_t bounded(std::uint64_t number) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(number, kMost));
}

}  // namespace

std::optional<IndexedEntry> find_entry(IndexConnection& connection, const Key& key) {
  Query query(connection,
              "SELECT key, id, kind, bytes, disk_bytes, written_ns, used_ns FROM entries "
              "WHERE key = ?1 AND has_meta = 1");
  query.bind(1, key);
  if (!query.row()) return std::nullopt;
  return entry_in(query);
}

std::optional<Meta> roots_of_entry(IndexConnection& connection, const Key& key) {
  const std::optional<IndexedEntry> entry = find_entry(connection, key);
  if (!entry) return std::nullopt;
  Meta meta = roots_in_index(connection, entry->sequence, entry->tool_kind);
  if (connection.failed()) return std::nullopt;
  return meta;
}

std::int64_t newest_entry(IndexConnection& connection) {
  // The highest that was ever given, so that an entry that comes after one that went is newer.
  Query query(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'entries'");
  return query.row() ? query.integer(0) : 0;
}

// Sums must not overflow, which SQLite takes for an error, whatever a meta claims of its payload.
std::map<std::string, KindTotals> totals_by_kind(IndexConnection& connection, std::int64_t until) {
  std::map<std::string, KindTotals> totals;
  Query query(connection,
              "SELECT kind, count(*), sum(min(bytes, 1 << 40)), sum(min(disk_bytes, 1 << 40)) "
              "FROM entries WHERE has_meta = 1 AND id <= ?1 GROUP BY kind");
  query.bind(1, until);
  while (query.row()) {
    KindTotals& of_kind = totals[query.text(0)];
    of_kind.entries = static_cast<std::uint64_t>(query.integer(1));
    of_kind.bytes = static_cast<std::uint64_t>(query.integer(2));
    of_kind.disk_bytes = static_cast<std::uint64_t>(query.integer(3));
  }
  return totals;
}

std::vector<IndexedEntry> page_of_entries(IndexConnection& connection, std::optional<Key> after,
                                          std::string_view kind, std::size_t limit) {
  std::vector<IndexedEntry> page;
  Query query(connection,
              "SELECT key, id, kind, bytes, disk_bytes, written_ns, used_ns FROM entries "
              "WHERE key > ?1 AND has_meta = 1 AND (?2 = '' OR kind = ?2) ORDER BY key LIMIT ?3");
  // An empty blob is before all others.
  after ? query.bind(1, *after) : query.bind_blob(1, {});
  query.bind_text(2, kind).bind(3, bounded(limit));
  while (query.row()) {
    std::optional<IndexedEntry> entry = entry_in(query);
    if (!entry) break;
    page.push_back(std::move(*entry));
  }
  return page;
}

std::int64_t oldest_entry_ns(IndexConnection& connection) {
  Query query(connection, "SELECT min(written_ns) FROM entries");
  return query.row() ? query.integer(0) : 0;
}

std::vector<Key> dependents_of(IndexConnection& connection, std::span<const Key> keys) {
  connection.execute("CREATE TEMP TABLE IF NOT EXISTS asked(key BLOB PRIMARY KEY) WITHOUT ROWID");
  IndexTransaction transaction(connection, IndexTransaction::Kind::kRead);
  Query(connection, "DELETE FROM temp.asked").run();
  for (const Key& key : keys) {
    Query query(connection, "INSERT OR IGNORE INTO temp.asked VALUES(?1)");
    query.bind(1, key).run();
  }
  std::vector<Key> reached;
  // CROSS JOIN: in this order, whatever SQLite believes of the sizes.
  Query query(connection,
              "WITH RECURSIVE downstream(id, key) AS ("
              "SELECT e.id, e.key FROM temp.asked a CROSS JOIN upstreams u ON u.upstream = a.key "
              "CROSS JOIN entries e ON e.id = u.entry "
              "UNION "
              "SELECT e.id, e.key FROM downstream d CROSS JOIN upstreams u ON u.upstream = d.key "
              "CROSS JOIN entries e ON e.id = u.entry) "
              "SELECT key FROM downstream");
  while (query.row()) {
    const std::optional<Key> key = query.key(0);
    if (!key) break;
    reached.push_back(*key);
  }
  std::sort(reached.begin(), reached.end());
  return reached;
}

std::vector<Key> entries_over(IndexConnection& connection, const Bounds& bounds,
                              std::int64_t now_ns) {
  IndexTransaction transaction(connection, IndexTransaction::Kind::kRead);
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  {
    Query query(connection, "SELECT count(*), sum(disk_bytes) FROM entries");
    if (query.row()) {
      entries = static_cast<std::uint64_t>(query.integer(0));
      bytes = static_cast<std::uint64_t>(query.integer(1));
    }
  }
  std::vector<Key> over;
  Query query(connection, "SELECT key, used_ns, disk_bytes FROM entries ORDER BY used_ns, key");
  while (query.row()) {
    const bool too_old = bounds.max_age_ns > 0 && query.integer(1) < now_ns - bounds.max_age_ns;
    const bool too_many = bounds.max_entries > 0 && entries > bounds.max_entries;
    const bool too_large = bounds.max_bytes > 0 && bytes > bounds.max_bytes;
    if (!too_old && !too_many && !too_large) break;
    const std::optional<Key> key = query.key(0);
    if (!key) break;
    over.push_back(*key);
    --entries;
    bytes -= std::min(bytes, static_cast<std::uint64_t>(query.integer(2)));
  }
  return over;
}

void write_uses(IndexConnection& connection, std::span<const std::pair<Key, std::int64_t>> uses) {
  for (const auto& [key, used_ns] : uses) {
    Query query(connection, "UPDATE entries SET used_ns = ?2 WHERE key = ?1 AND used_ns < ?2");
    query.bind(1, key).bind(2, used_ns).run();
  }
}

std::optional<RememberedFingerprint> find_fingerprint(IndexConnection& connection,
                                                      const std::string& path, Form form) {
  Query query(connection,
              "SELECT stamp, boot, clock_offset, fingerprint FROM fingerprints "
              "WHERE path = ?1 AND form = ?2");
  query.bind_blob(1, path).bind(2, static_cast<std::int64_t>(form));
  if (!query.row()) return std::nullopt;
  const std::optional<core::FileStamp> stamp = query.stamp(0);
  const std::string boot = query.text(1);
  RememberedFingerprint found{path, form, {}, {}, query.text(3)};
  if (!stamp || boot.size() != found.epoch.boot.size()) return std::nullopt;
  found.stamp = *stamp;
  std::memcpy(found.epoch.boot.data(), boot.data(), boot.size());
  found.epoch.offset_ns = query.integer(2);
  return found;
}

// A row that is replaced gets a new id: the oldest are those with the lowest.
void write_fingerprints(IndexConnection& connection,
                        std::span<const RememberedFingerprint> remembered) {
  for (const RememberedFingerprint& one : remembered) {
    const std::string stamp = stamp_bytes(one.stamp);
    const std::string_view boot(reinterpret_cast<const char*>(one.epoch.boot.data()),
                                one.epoch.boot.size());
    Query query(connection,
                "INSERT OR REPLACE INTO fingerprints(path, form, stamp, boot, clock_offset, "
                "fingerprint) VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    query.bind_blob(1, one.path)
        .bind(2, static_cast<std::int64_t>(one.form))
        .bind_blob(3, stamp)
        .bind_blob(4, boot)
        .bind(5, one.epoch.offset_ns)
        .bind_text(6, one.fingerprint)
        .run();
  }
}

void drop_oldest_fingerprints(IndexConnection& connection, std::int64_t most) {
  std::int64_t rows = 0;
  {
    Query query(connection, "SELECT count(*) FROM fingerprints");
    if (query.row()) rows = query.integer(0);
  }
  if (rows <= most) return;
  // Some more than needed, so that this is not done each time.
  Query query(connection,
              "DELETE FROM fingerprints WHERE id IN "
              "(SELECT id FROM fingerprints ORDER BY id LIMIT ?1)");
  query.bind(1, rows - most + most / 16).run();
}

}  // namespace satchel::tool_cache
