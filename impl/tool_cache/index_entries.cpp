#include "tool_cache/index_entries.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "core/sha256.hpp"
#include "tool_cache/index_lost.hpp"
#include "tool_cache/index_paths.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::size_t kEdgesBytes = 16;

void append(std::string& out, std::string_view part) {
  const std::uint64_t size = part.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += part;
}

std::string edges_of(const Meta& meta) {
  std::string text;
  append(text, meta.tool_kind);
  text.append(reinterpret_cast<const char*>(&meta.bytes), sizeof meta.bytes);
  const std::uint64_t roots = meta.file_roots.size();
  text.append(reinterpret_cast<const char*>(&roots), sizeof roots);
  for (const Root& root : meta.file_roots) {
    append(text, root.path);
    append(text, root.expected_hash);
  }
  for (const std::string& upstream : meta.upstream_keys) append(text, upstream);
  const core::Hash256 hash = core::sha256(text);
  return {reinterpret_cast<const char*>(hash.data()), kEdgesBytes};
}

std::int64_t bounded(std::uint64_t bytes) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(bytes, kMost));
}

// Columns: id, key, kind, disk_bytes, written_ns, used_ns, has_meta, doubtful, meta, edges.
std::optional<EntryRow> row_in(Query& query) {
  const std::optional<Key> key = query.key(1);
  if (!key) return std::nullopt;
  EntryRow row;
  row.id = query.integer(0);
  row.key = *key;
  row.kind = query.text(2);
  row.disk_bytes = query.integer(3);
  row.written_ns = query.integer(4);
  row.used_ns = query.integer(5);
  row.has_meta = query.integer(6) != 0;
  row.doubt = static_cast<Doubt>(query.integer(7));
  if (!query.is_null(8)) {
    row.meta = query.stamp(8);
    if (!row.meta) return std::nullopt;
  }
  row.edges = query.text(9);
  return row;
}

std::vector<EntryRow> rows_in(Query& query) {
  std::vector<EntryRow> rows;
  while (query.row()) {
    std::optional<EntryRow> row = row_in(query);
    if (!row) break;
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace

std::vector<EntryRow> rows_of_shard(IndexConnection& connection, int shard) {
  Key first;
  Key last;
  first.bytes[0] = last.bytes[0] = static_cast<std::uint8_t>(shard);
  std::fill(last.bytes.begin() + 1, last.bytes.end(), 0xff);
  Query query(connection,
              "SELECT id, key, kind, disk_bytes, written_ns, used_ns, has_meta, doubtful, meta, "
              "edges FROM entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key");
  query.bind(1, first).bind(2, last);
  return rows_in(query);
}

std::optional<EntryRow> row_of(IndexConnection& connection, const Key& key) {
  Query query(connection,
              "SELECT id, key, kind, disk_bytes, written_ns, used_ns, has_meta, doubtful, meta, "
              "edges FROM entries WHERE key = ?1");
  query.bind(1, key);
  if (!query.row()) return std::nullopt;
  return row_in(query);
}

std::vector<EntryRow> doubtful_rows(IndexConnection& connection) {
  Query query(connection,
              "SELECT id, key, kind, disk_bytes, written_ns, used_ns, has_meta, doubtful, meta, "
              "edges FROM entries WHERE doubtful > 0");
  return rows_in(query);
}

void EntryWriter::put(const std::optional<EntryRow>& row, const SeenEntry& seen) {
  const std::string edges = seen.meta == nullptr ? std::string() : edges_of(*seen.meta);
  const bool had_meta = row && row->has_meta;
  if (!row) {
    insert(seen, seen.written_ns, edges);
  } else if (had_meta != (seen.meta != nullptr)) {
    // A new sequence: who knew the entry with its meta does not know it without, or as it comes
    // back.
    remove(*row);
    insert(seen, std::max(row->used_ns, seen.written_ns), edges);
  } else {
    update(*row, seen, edges);
  }
}

void EntryWriter::put_sizes(const EntryRow& row, std::int64_t disk_bytes, std::int64_t written_ns) {
  if (row.disk_bytes == disk_bytes && row.written_ns == written_ns) return;
  Query query(connection_,
              "UPDATE entries SET disk_bytes = ?2, written_ns = ?3, used_ns = max(used_ns, ?3) "
              "WHERE id = ?1");
  query.bind(1, row.id).bind(2, disk_bytes).bind(3, written_ns).run();
}

void EntryWriter::insert(const SeenEntry& seen, std::int64_t used_ns, const std::string& edges) {
  const std::string stamp = seen.stamp ? stamp_bytes(*seen.stamp) : std::string();
  {
    Query query(connection_,
                "INSERT INTO entries(key, kind, bytes, disk_bytes, written_ns, used_ns, has_meta, "
                "doubtful, meta, edges) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    query.bind(1, seen.key)
        .bind_text(2, seen.meta == nullptr ? "" : std::string_view(seen.meta->tool_kind))
        .bind(3, seen.meta == nullptr ? 0 : bounded(seen.meta->bytes))
        .bind(4, seen.disk_bytes)
        .bind(5, seen.written_ns)
        .bind(6, used_ns)
        .bind(7, std::int64_t{seen.meta != nullptr})
        .bind(8, static_cast<std::int64_t>(seen.doubt))
        .bind_blob(10, edges);
    seen.stamp ? query.bind_blob(9, stamp) : query.bind_null(9);
    query.run();
  }
  if (seen.meta == nullptr) return;
  insert_edges(connection_.last_id(), *seen.meta);
  changed_edges_ = true;
}

void EntryWriter::update(const EntryRow& row, const SeenEntry& seen, const std::string& edges) {
  const bool other = edges != row.edges;
  if (seen.meta != nullptr && (other || rewrite_)) {
    if (other) write_lost(connection_, row.key, row.id, row.kind, 0);
    remove_edges(row.id);
    insert_edges(row.id, *seen.meta);
    changed_edges_ = true;
  }
  const std::string stamp = seen.stamp ? stamp_bytes(*seen.stamp) : std::string();
  Query query(connection_,
              "UPDATE entries SET kind = ?2, bytes = ?3, disk_bytes = ?4, written_ns = ?5, "
              "used_ns = max(used_ns, ?5), doubtful = ?6, meta = ?7, edges = ?8 WHERE id = ?1");
  query.bind(1, row.id)
      .bind_text(2, seen.meta == nullptr ? "" : std::string_view(seen.meta->tool_kind))
      .bind(3, seen.meta == nullptr ? 0 : bounded(seen.meta->bytes))
      .bind(4, seen.disk_bytes)
      .bind(5, seen.written_ns)
      .bind(6, static_cast<std::int64_t>(seen.doubt))
      .bind_blob(8, edges);
  seen.stamp ? query.bind_blob(7, stamp) : query.bind_null(7);
  query.run();
}

void EntryWriter::remove(const EntryRow& row, std::int64_t by) {
  if (row.has_meta) {
    write_lost(connection_, row.key, row.id, row.kind, by);
    remove_edges(row.id);
    changed_edges_ = true;
  }
  Query(connection_, "DELETE FROM entries WHERE id = ?1").bind(1, row.id).run();
}

void EntryWriter::insert_edges(std::int64_t entry, const Meta& meta) {
  std::int64_t position = 0;
  for (const Root& root : meta.file_roots) {
    const std::int64_t path = path_id(root.path);
    Query query(connection_,
                "INSERT INTO roots(entry, position, path, expected) VALUES(?1, ?2, ?3, ?4)");
    query.bind(1, entry).bind(2, position++).bind(3, path).bind_text(4, root.expected_hash).run();
  }
  for (const std::string& text : meta.upstream_keys) {
    // What is no key is nobody's dependent.
    const std::optional<Key> upstream = Key::of_name(text);
    if (!upstream) continue;
    Query query(connection_, "INSERT OR IGNORE INTO upstreams(entry, upstream) VALUES(?1, ?2)");
    query.bind(1, entry).bind(2, *upstream).run();
  }
}

void EntryWriter::remove_edges(std::int64_t entry) {
  {
    Query query(connection_, "SELECT path FROM roots WHERE entry = ?1");
    query.bind(1, entry);
    while (query.row()) loosened_.insert(query.integer(0));
  }
  Query(connection_, "DELETE FROM roots WHERE entry = ?1").bind(1, entry).run();
  Query(connection_, "DELETE FROM upstreams WHERE entry = ?1").bind(1, entry).run();
}

std::int64_t EntryWriter::path_id(const std::string& written) {
  const auto [at, added] = path_ids_.try_emplace(written, 0);
  if (!added) return at->second;
  {
    Query query(connection_, "SELECT id FROM paths WHERE written = ?1");
    query.bind_blob(1, written);
    if (query.row()) return at->second = query.integer(0);
  }
  Query query(connection_, "INSERT INTO paths(written) VALUES(?1)");
  query.bind_blob(1, written).run();
  return at->second = connection_.last_id();
}

void EntryWriter::drop_loose_paths() {
  for (const std::int64_t path : loosened_) {
    bool used = false;
    {
      Query query(connection_, "SELECT 1 FROM roots WHERE path = ?1 LIMIT 1");
      query.bind(1, path);
      used = query.row();
    }
    if (connection_.failed()) return;
    if (used) continue;
    forget_path(connection_, path);
    Query(connection_, "DELETE FROM paths WHERE id = ?1").bind(1, path).run();
  }
  loosened_.clear();
  path_ids_.clear();
}

}  // namespace satchel::tool_cache
