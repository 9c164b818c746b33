// Brings the index in line with the store, shard by shard.
//
// What is believed without being looked at: a shard whose directory has the stamp with which it was
// listed last, if that stamp was settled - past the granularity of file times - when the listing
// began. Entries come and go by rename and unlink, which change the directory's times; a settled
// stamp that is still there has seen none of it. In a shard that is listed, a meta file is read
// unless its own stamp is the settled one of the row.
//
// What that leaves out is a meta that somebody writes in place, which no cache does: the directory
// does not show it. Before an answer is given every entry in it is looked at once more (recheck()),
// and rows that are doubtful are looked at each time.
//
// Shards are listed inside the transaction that writes what was found. So among processes that
// share the database a later transaction has seen a later store, and nobody's older look replaces
// a newer one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/index_database.hpp"
#include "tool_cache/index_entries.hpp"
#include "tool_cache/index_source.hpp"

namespace satchel::tool_cache {

// What hindered: the database, which can be replaced, or the store, which cannot.
struct IndexTrouble {
  core::SqliteFailure database;
  std::optional<core::Error> store;

  [[nodiscard]] bool any() const { return database.failed() || store; }
};

// One refresh, in one thread.
class IndexRefresh {
 public:
  struct Options {
    bool everything = false;  // no row and no shard is believed
  };
  IndexRefresh(IndexDatabase& database, IndexSource& source, core::Log& log,
               const std::atomic<bool>& cancelled, Options options);

  // Finds the shards that must be looked at.
  IndexTrouble survey();
  // Entries that the index had, in all shards and in those to be looked at.
  [[nodiscard]] std::int64_t known() const { return known_; }
  [[nodiscard]] std::int64_t known_in_changed() const { return known_in_changed_; }

  // Looks at them, or at some until `most` entries were listed.
  IndexTrouble look_at_changed(std::size_t most);
  [[nodiscard]] bool finished() const { return next_ == changed_.size(); }

  // Looks again at doubtful rows; `all`: at the stamp of every meta file.
  IndexTrouble look_at_doubtful(bool all);

  // Looks at these entries again where the stamp of the meta file is not the row's. *changed:
  // whether roots or upstreams are others than before.
  IndexTrouble recheck(std::span<const Key> keys, bool* changed);

 private:
  struct Shard {
    std::optional<core::FileStamp> stamp;
    bool settled = false;
    std::int64_t entries = 0;
  };

  [[nodiscard]] bool believed(const Shard& shard, const std::optional<core::FileStamp>& now) const;
  std::optional<Shard> row_of_shard(IndexConnection& connection, int shard);
  core::Result<std::size_t> look_at_shard(IndexConnection& connection, EntryWriter& writer,
                                          int shard);
  core::Result<void> merge(EntryWriter& writer, const std::vector<EntryRow>& rows,
                           const std::vector<EntryFiles>& files, std::int64_t now);
  core::Result<void> look_at_meta(EntryWriter& writer, const std::optional<EntryRow>& row,
                                  SeenEntry seen, std::int64_t now);
  [[nodiscard]] bool needs_look(const EntryRow& row);
  IndexTrouble look_again(std::span<const EntryRow> rows, bool* changed);
  void report_progress();

  IndexDatabase& database_;
  IndexSource& source_;
  core::Log& log_;
  const std::atomic<bool>& cancelled_;
  const Options options_;
  std::vector<int> changed_;
  std::vector<bool> looked_at_;
  std::size_t next_ = 0;
  std::int64_t known_ = 0;
  std::int64_t known_in_changed_ = 0;
  std::uint64_t listed_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t reported_ = 0;
};

}  // namespace satchel::tool_cache
