// Rows of entries, with their roots and upstreams, as the refresh writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tool_cache/index_connection.hpp"
#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {

// How far a row may be believed while the stamp of its meta file is the same.
enum class Doubt : std::uint8_t {
  kNone = 0,
  kUnsettled = 1,   // the file may have changed since without another stamp: read with each refresh
  kUnreadable = 2,  // it could not be understood; its stamp is looked at with each refresh, for
                    // whoever mends it in place does not change the directory
};

struct EntryRow {
  std::int64_t id = 0;
  Key key;
  std::string kind;
  std::int64_t disk_bytes = 0;
  std::int64_t written_ns = 0;
  std::int64_t used_ns = 0;
  bool has_meta = false;
  Doubt doubt = Doubt::kNone;
  std::optional<core::FileStamp> meta;  // nothing where there was no meta file
  std::string edges;
};

std::vector<EntryRow> rows_of_shard(IndexConnection& connection, int shard);
std::optional<EntryRow> row_of(IndexConnection& connection, const Key& key);
std::vector<EntryRow> doubtful_rows(IndexConnection& connection);

// An entry as the store has it now.
struct SeenEntry {
  Key key;
  std::int64_t disk_bytes = 0;
  std::int64_t written_ns = 0;
  std::optional<core::FileStamp> stamp;  // of the meta file
  const Meta* meta = nullptr;            // nullptr: there is none that can be understood
  Doubt doubt = Doubt::kNone;
};

// Of one transaction.
class EntryWriter {
 public:
  // `rewrite`: rows are written again even where they seem to be right.
  EntryWriter(IndexConnection& connection, bool rewrite)
      : connection_(connection), rewrite_(rewrite) {}

  // Brings the row, if there is one, in line with what was seen.
  void put(const std::optional<EntryRow>& row, const SeenEntry& seen);
  // The meta is known to be the same.
  void put_sizes(const EntryRow& row, std::int64_t disk_bytes, std::int64_t written_ns);
  // `by`: see write_lost().
  void remove(const EntryRow& row, std::int64_t by = 0);
  // At the end: paths that no entry has any more go.
  void drop_loose_paths();

  // Whether roots or upstreams of any entry are others than before.
  [[nodiscard]] bool changed_edges() const { return changed_edges_; }

 private:
  void insert(const SeenEntry& seen, std::int64_t used_ns, const std::string& edges);
  void update(const EntryRow& row, const SeenEntry& seen, const std::string& edges);
  void insert_edges(std::int64_t entry, const Meta& meta);
  void remove_edges(std::int64_t entry);
  std::int64_t path_id(const std::string& written);

  IndexConnection& connection_;
  const bool rewrite_;
  bool changed_edges_ = false;
  std::unordered_map<std::string, std::int64_t> path_ids_;
  std::unordered_set<std::int64_t> loosened_;
};

}  // namespace satchel::tool_cache
