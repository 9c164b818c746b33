#include "tool_cache/index_lost.hpp"

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kMostLost = 10'000;

void append(std::string& out, std::string_view part) {
  const auto size = static_cast<std::uint32_t>(part.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += part;
}

// The next part; false where the bytes are not what append() makes.
bool next(std::string_view& bytes, std::string& part) {
  std::uint32_t size = 0;
  if (bytes.size() < sizeof size) return false;
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (bytes.size() < size) return false;
  part = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

std::string packed(const std::vector<Root>& roots) {
  std::string bytes;
  for (const Root& root : roots) {
    append(bytes, root.path);
    append(bytes, root.expected_hash);
  }
  return bytes;
}

std::vector<Root> unpacked(std::string_view bytes) {
  std::vector<Root> roots;
  Root root;
  while (next(bytes, root.path) && next(bytes, root.expected_hash)) {
    roots.push_back(std::move(root));
  }
  return roots;
}

}  // namespace

Meta roots_in_index(IndexConnection& connection, std::int64_t entry, std::string kind) {
  Meta meta;
  meta.tool_kind = std::move(kind);
  Query query(connection,
              "SELECT p.written, r.expected FROM roots r JOIN paths p ON p.id = r.path "
              "WHERE r.entry = ?1 ORDER BY r.position");
  query.bind(1, entry);
  while (query.row()) meta.file_roots.push_back({query.text(0), query.text(1)});
  return meta;
}

void write_lost(IndexConnection& connection, const Key& key, std::int64_t sequence,
                const std::string& kind, std::int64_t by) {
  const std::string roots = packed(roots_in_index(connection, sequence, kind).file_roots);
  {
    Query query(connection,
                "INSERT INTO lost(key, sequence, kind, roots, by) VALUES(?1, ?2, ?3, ?4, ?5)");
    query.bind(1, key).bind(2, sequence).bind_text(3, kind).bind_blob(4, roots).bind(5, by).run();
  }
  Query(connection, "DELETE FROM lost WHERE id <= ?1")
      .bind(1, connection.last_id() - kMostLost)
      .run();
}

std::int64_t newest_lost(IndexConnection& connection) {
  Query query(connection, "SELECT max(id) FROM lost");
  return query.row() ? query.integer(0) : 0;
}

LostSince lost_since(IndexConnection& connection, std::int64_t id, std::int64_t by) {
  LostSince since;
  since.newest = id;
  Query query(connection,
              "SELECT id, key, sequence, kind, roots, by FROM lost WHERE id > ?1 ORDER BY id");
  query.bind(1, id);
  while (query.row()) {
    since.newest = query.integer(0);
    if (query.integer(5) == by) continue;
    const std::optional<Key> key = query.key(1);
    if (!key) break;
    LostEntry entry{query.integer(0), *key, query.integer(2), {}};
    entry.old.tool_kind = query.text(3);
    entry.old.file_roots = unpacked(query.text(4));
    since.entries.push_back(std::move(entry));
  }
  return since;
}

}  // namespace satchel::tool_cache
