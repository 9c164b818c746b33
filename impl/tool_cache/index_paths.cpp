#include "tool_cache/index_paths.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/lowercase.hpp"
#include "core/sha256.hpp"
#include "tool_cache/root_paths.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kForgetAfterDays = 30;
constexpr std::int64_t kMostWorkspaces = 64;
constexpr std::size_t kFormBytes = 16;
constexpr std::size_t kMostViews = 32;  // each has a descriptor

// Paths that are the same but for case have the same form.
std::string form_of_path(std::string_view path) {
  const core::Hash256 hash = core::sha256(core::lowercase_lossy(path));
  return {reinterpret_cast<const char*>(hash.data()), kFormBytes};
}

// What is kept of a path.
struct ResolvedPath {
  std::int64_t path = 0;
  bool anew = false;
  std::optional<std::string> canonical;  // forms
  std::string joined;
  std::string recorded;

  friend bool operator==(const ResolvedPath&, const ResolvedPath&) = default;
};

struct KnownDirectory {
  std::int64_t id = 0;
  std::string path;
  std::optional<std::string> canonical;
  core::FileStamp stamp;
  bool settled = false;
};

struct WrittenPath {
  std::int64_t id = 0;
  std::string written;
};

// What a call looks for.
struct Wanted {
  std::string canonical;  // of the path, or as joined where there is none
  std::string joined;
  std::string recorded;
};

// One look, within one transaction. Where it only reads and finds that something must be written,
// it gives up: the look is repeated in a transaction that writes.
class PathLook {
 public:
  PathLook(IndexConnection& connection, const std::string& workspace, bool may_write)
      : connection_(connection), workspace_(workspace), may_write_(may_write) {}

  // False where it must be repeated.
  bool bring_up_to_date(std::int64_t day);
  [[nodiscard]] std::vector<std::int64_t> matching(const Wanted& wanted);

 private:
  bool find_workspace(std::int64_t day);
  void add_workspace(std::int64_t day);
  bool add_new_paths();
  void add_path(const WrittenPath& path);
  bool look_at_directories();
  bool look_at_directory(const KnownDirectory& directory);
  std::int64_t directory_id(const std::string& path);
  ResolvedPath resolve(const WrittenPath& path, const std::string& joined, const SplitPath& split,
                       const DirectoryView& view);
  void write(const ResolvedPath& resolved, std::int64_t directory);
  void collect(Query& query, std::vector<std::int64_t>& paths);

  IndexConnection& connection_;
  const std::string& workspace_;
  const bool may_write_;
  std::int64_t id_ = 0;
  std::int64_t through_ = 0;
  std::unordered_map<std::string, std::int64_t> directory_ids_;
  std::unordered_map<std::int64_t, DirectoryView> views_;
};

void forget_workspace(IndexConnection& connection, std::int64_t id) {
  Query(connection, "DELETE FROM resolved WHERE workspace = ?1").bind(1, id).run();
  Query(connection, "DELETE FROM directories WHERE workspace = ?1").bind(1, id).run();
  Query(connection, "DELETE FROM workspaces WHERE id = ?1").bind(1, id).run();
}

bool PathLook::bring_up_to_date(std::int64_t day) {
  // The directories that are known first: those of new paths are as new as can be.
  return find_workspace(day) && look_at_directories() && add_new_paths();
}

bool PathLook::find_workspace(std::int64_t day) {
  std::int64_t used_day = 0;
  {
    Query query(connection_, "SELECT id, through, used_day FROM workspaces WHERE path = ?1");
    query.bind_blob(1, workspace_);
    if (query.row()) {
      id_ = query.integer(0);
      through_ = query.integer(1);
      used_day = query.integer(2);
    }
  }
  if (id_ != 0 && used_day == day) return true;
  if (!may_write_) return false;
  if (id_ == 0) {
    add_workspace(day);
  } else {
    Query(connection_, "UPDATE workspaces SET used_day = ?2 WHERE id = ?1")
        .bind(1, id_)
        .bind(2, day)
        .run();
  }
  return true;
}

void PathLook::add_workspace(std::int64_t day) {
  std::vector<std::int64_t> unused;
  {
    Query query(connection_,
                "SELECT id FROM workspaces WHERE used_day < ?1 OR id NOT IN "
                "(SELECT id FROM workspaces ORDER BY used_day DESC, id DESC LIMIT ?2)");
    query.bind(1, day - kForgetAfterDays).bind(2, kMostWorkspaces - 1);
    while (query.row()) unused.push_back(query.integer(0));
  }
  for (const std::int64_t id : unused) forget_workspace(connection_, id);
  Query query(connection_, "INSERT INTO workspaces(path, used_day, through) VALUES(?1, ?2, 0)");
  query.bind_blob(1, workspace_).bind(2, day).run();
  id_ = connection_.last_id();
}

bool PathLook::look_at_directories() {
  std::vector<KnownDirectory> directories;
  {
    Query query(connection_,
                "SELECT id, path, canonical, stamp, settled FROM directories WHERE workspace = ?1");
    query.bind(1, id_);
    while (query.row()) {
      const std::optional<core::FileStamp> stamp = query.stamp(3);
      if (!stamp) return true;
      KnownDirectory directory{query.integer(0), query.text(1), std::nullopt, *stamp,
                               query.integer(4) != 0};
      if (!query.is_null(2)) directory.canonical = query.text(2);
      directories.push_back(std::move(directory));
    }
  }
  for (const KnownDirectory& directory : directories) {
    if (same_directory(directory.path, directory.canonical, directory.stamp, directory.settled)) {
      continue;
    }
    if (!look_at_directory(directory)) return false;
  }
  return true;
}

bool PathLook::look_at_directory(const KnownDirectory& directory) {
  std::vector<std::pair<WrittenPath, ResolvedPath>> before;
  {
    Query query(connection_,
                "SELECT p.id, p.written, r.anew, r.canonical, r.joined, r.recorded "
                "FROM resolved r JOIN paths p ON p.id = r.path WHERE r.directory = ?1");
    query.bind(1, directory.id);
    while (query.row()) {
      ResolvedPath old{query.integer(0), query.integer(2) != 0, std::nullopt, query.text(4),
                       query.text(5)};
      if (!query.is_null(3)) old.canonical = query.text(3);
      before.emplace_back(WrittenPath{query.integer(0), query.text(1)}, std::move(old));
    }
  }
  const DirectoryView view(directory.path);
  for (const auto& [path, old] : before) {
    const std::string joined = join_path(workspace_, path.written);
    const std::optional<SplitPath> split = split_path(joined);
    if (!split) continue;
    const ResolvedPath now = resolve(path, joined, *split, view);
    if (now == old) continue;
    if (!may_write_) return false;
    write(now, directory.id);
  }
  // While it is not settled it is looked at again in any case: there is nothing to remember.
  const bool same = view.canonical() == directory.canonical &&
                    (view.stamp() == directory.stamp || !view.settled()) &&
                    view.settled() == directory.settled;
  if (same) return true;
  if (!may_write_) return false;
  const std::string stamp = stamp_bytes(view.stamp());
  Query query(connection_,
              "UPDATE directories SET canonical = ?2, stamp = ?3, settled = ?4 WHERE id = ?1");
  query.bind(1, directory.id).bind_blob(3, stamp).bind(4, std::int64_t{view.settled()});
  view.canonical() ? query.bind_blob(2, *view.canonical()) : query.bind_null(2);
  query.run();
  return true;
}

bool PathLook::add_new_paths() {
  std::vector<WrittenPath> added;
  {
    Query query(connection_, "SELECT id, written FROM paths WHERE id > ?1 ORDER BY id");
    query.bind(1, through_);
    while (query.row()) added.push_back({query.integer(0), query.text(1)});
  }
  if (added.empty()) return true;
  if (!may_write_) return false;
  for (const WrittenPath& path : added) {
    if (connection_.failed()) return true;
    add_path(path);
  }
  Query(connection_, "UPDATE workspaces SET through = ?2 WHERE id = ?1")
      .bind(1, id_)
      .bind(2, added.back().id)
      .run();
  return true;
}

void PathLook::add_path(const WrittenPath& path) {
  const std::string joined = join_path(workspace_, path.written);
  const std::optional<SplitPath> split = split_path(joined);
  if (!split) {
    write({path.id, true, std::nullopt, form_of_path(joined), form_of_path(path.written)}, 0);
    return;
  }
  // A view that is later than the stamp that is kept of the directory: should anything have changed
  // in between, the stamp is no longer the directory's, and all is looked at again.
  const std::int64_t directory = directory_id(split->directory);
  if (views_.size() >= kMostViews) views_.clear();
  const DirectoryView& view = views_.try_emplace(directory, split->directory).first->second;
  write(resolve(path, joined, *split, view), directory);
}

// Of the known ones, or a new one.
std::int64_t PathLook::directory_id(const std::string& path) {
  const auto [at, unknown] = directory_ids_.try_emplace(path, 0);
  if (!unknown) return at->second;
  {
    Query query(connection_, "SELECT id FROM directories WHERE workspace = ?1 AND path = ?2");
    query.bind(1, id_).bind_blob(2, path);
    if (query.row()) return at->second = query.integer(0);
  }
  DirectoryView view(path);
  const std::string stamp = stamp_bytes(view.stamp());
  {
    Query query(connection_,
                "INSERT INTO directories(workspace, path, canonical, stamp, settled) "
                "VALUES(?1, ?2, ?3, ?4, ?5)");
    query.bind(1, id_).bind_blob(2, path).bind_blob(4, stamp);
    query.bind(5, std::int64_t{view.settled()});
    view.canonical() ? query.bind_blob(3, *view.canonical()) : query.bind_null(3);
    query.run();
  }
  at->second = connection_.last_id();
  if (views_.size() >= kMostViews) views_.clear();
  views_.emplace(at->second, std::move(view));
  return at->second;
}

ResolvedPath PathLook::resolve(const WrittenPath& path, const std::string& joined,
                               const SplitPath& split, const DirectoryView& view) {
  ResolvedPath resolved{path.id, false, std::nullopt, form_of_path(joined),
                        form_of_path(path.written)};
  switch (view.look(split.name)) {
    case LastComponent::kMissing:
      break;
    case LastComponent::kPlain:
      resolved.canonical = form_of_path(view.canonical_of(split.name));
      break;
    case LastComponent::kLink:
      resolved.anew = true;
      break;
  }
  return resolved;
}

void PathLook::write(const ResolvedPath& resolved, std::int64_t directory) {
  Query query(
      connection_,
      "INSERT OR REPLACE INTO resolved(path, workspace, directory, anew, canonical, joined, "
      "recorded) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
  query.bind(1, resolved.path)
      .bind(2, id_)
      .bind(3, directory)
      .bind(4, std::int64_t{resolved.anew})
      .bind_blob(6, resolved.joined)
      .bind_blob(7, resolved.recorded);
  resolved.canonical ? query.bind_blob(5, *resolved.canonical) : query.bind_null(5);
  query.run();
}

void PathLook::collect(Query& query, std::vector<std::int64_t>& paths) {
  while (query.row()) paths.push_back(query.integer(0));
}

std::vector<std::int64_t> PathLook::matching(const Wanted& wanted) {
  std::vector<std::int64_t> paths;
  {
    Query query(connection_, "SELECT path FROM resolved WHERE workspace = ?1 AND canonical = ?2");
    query.bind(1, id_).bind_blob(2, wanted.canonical);
    collect(query, paths);
  }
  {
    Query query(connection_,
                "SELECT path FROM resolved WHERE workspace = ?1 AND joined = ?2 "
                "AND canonical IS NULL AND anew = 0");
    query.bind(1, id_).bind_blob(2, wanted.joined);
    collect(query, paths);
  }
  {
    Query query(connection_,
                "SELECT path FROM resolved WHERE workspace = ?1 AND recorded = ?2 "
                "AND canonical IS NULL AND anew = 0");
    query.bind(1, id_).bind_blob(2, wanted.recorded);
    collect(query, paths);
  }
  Query query(connection_,
              "SELECT p.id, p.written FROM resolved r JOIN paths p ON p.id = r.path "
              "WHERE r.workspace = ?1 AND r.anew = 1");
  query.bind(1, id_);
  while (query.row()) {
    const std::string written = query.text(1);
    const std::string joined = join_path(workspace_, written);
    const std::optional<std::string> canonical = canonical_path(joined);
    const bool matches = canonical ? form_of_path(*canonical) == wanted.canonical
                                   : form_of_path(joined) == wanted.joined ||
                                         form_of_path(written) == wanted.recorded;
    if (matches) paths.push_back(query.integer(0));
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

std::vector<Key> entries_with_paths(IndexConnection& connection,
                                    const std::vector<std::int64_t>& paths) {
  std::vector<Key> keys;
  for (const std::int64_t path : paths) {
    Query query(connection,
                "SELECT e.key FROM roots r JOIN entries e ON e.id = r.entry WHERE r.path = ?1");
    query.bind(1, path);
    while (query.row()) {
      const std::optional<Key> key = query.key(0);
      if (!key) break;
      keys.push_back(*key);
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

}  // namespace

std::vector<Key> entries_with_root(IndexConnection& connection, const std::string& workspace,
                                   std::string_view given, std::int64_t day) {
  const std::string joined = join_path(workspace, given);
  const std::optional<std::string> canonical = canonical_path(joined);
  const Wanted wanted{form_of_path(canonical ? *canonical : joined), form_of_path(joined),
                      form_of_path(given)};
  for (const bool may_write : {false, true}) {
    IndexTransaction transaction(
        connection, may_write ? IndexTransaction::Kind::kWrite : IndexTransaction::Kind::kRead);
    PathLook look(connection, workspace, may_write);
    if (!look.bring_up_to_date(day)) continue;
    std::vector<Key> keys = entries_with_paths(connection, look.matching(wanted));
    transaction.commit();
    return keys;
  }
  return {};
}

void forget_path(IndexConnection& connection, std::int64_t path) {
  std::vector<std::int64_t> directories;
  {
    Query query(connection, "SELECT directory FROM resolved WHERE path = ?1");
    query.bind(1, path);
    while (query.row()) directories.push_back(query.integer(0));
  }
  Query(connection, "DELETE FROM resolved WHERE path = ?1").bind(1, path).run();
  for (const std::int64_t directory : directories) {
    Query query(connection,
                "DELETE FROM directories WHERE id = ?1 AND NOT EXISTS "
                "(SELECT 1 FROM resolved WHERE directory = ?1)");
    query.bind(1, directory).run();
  }
}

}  // namespace satchel::tool_cache
