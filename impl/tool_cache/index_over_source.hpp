// The index over any source: which database, when to look at the store, what to do when either
// fails. Its parts:
//   index_source      what is looked at: the directories of the store, or a store of the host
//   index_refresh     what is looked at again, and what is believed
//   index_entries     the rows that come of it; index_schema has the tables
//   index_paths       which entries have a path among their roots
//   index_queries     what is asked without looking
//   index_lost        what one process must tell the others
//   index_slot        the file, or memory; index_database, index_seal, index_connection below it
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tool_cache/index_refresh.hpp"
#include "tool_cache/index_sequences.hpp"
#include "tool_cache/index_slot.hpp"
#include "tool_cache/index_source.hpp"
#include "tool_cache/store_index.hpp"

namespace satchel::tool_cache {

class IndexOverSource final : public StoreIndex {
 public:
  IndexOverSource(std::unique_ptr<IndexSource> source, IndexSlot::Place place,
                  std::string workspace, OnLost on_lost, core::Clock& clock, core::Log& log);

  std::int64_t open() override;
  core::Result<std::int64_t> settle_opening() override;
  core::Result<void> refresh() override;
  core::Result<void> rebuild() override;

  core::Result<std::vector<Key>> with_root(std::string_view given) override;
  core::Result<std::vector<Key>> dependents(std::span<const Key> keys, bool fresh) override;
  void removed(std::span<const Key> keys) override;

  std::optional<IndexedEntry> find(const Key& key) override;
  std::optional<Meta> roots_of(const Key& key) override;
  core::Result<std::map<std::string, KindTotals>> totals(std::int64_t sequence) override;
  core::Result<std::vector<IndexedEntry>> page(std::optional<Key> after, std::string_view kind,
                                               std::size_t limit) override;
  core::Result<std::int64_t> oldest_written_ns() override;

  void used(std::span<const std::pair<Key, std::int64_t>> uses) override;
  core::Result<std::vector<Key>> over_bounds(const Bounds& bounds) override;

  std::optional<RememberedFingerprint> find(const std::string& path, Form form) override;
  void keep(std::span<const RememberedFingerprint> remembered) override;

  void cancel() override { cancelled_ = true; }
  std::string describe() override { return slot_.describe(); }

 private:
  using DatabasePtr = std::shared_ptr<IndexDatabase>;
  // What a call does with a database; done again with another one where that fails.
  using Work = std::function<IndexTrouble(IndexDatabase& database)>;
  using Reading = std::function<void(IndexConnection& connection, IndexDatabase& database)>;
  using Writing = std::function<void(IndexConnection& connection)>;

  // With refresh_mutex_ held: until it succeeds, if need be in memory.
  core::Result<void> run(const Work& work);
  core::Result<void> run_in_spare(const Work& work, const std::string& why);
  IndexTrouble refresh_in(IndexDatabase& database, bool everything);
  IndexTrouble open_in(IndexDatabase& database);
  IndexTrouble complete(IndexDatabase& database);
  // Looks for entries again and again until those that it finds are as the index has them.
  IndexTrouble find_sound(IndexDatabase& database, const Work& find, std::vector<Key>& found);

  // In one transaction of the connection that reads; false where it failed.
  bool read(const DatabasePtr& database, const Reading& reading);
  // The same over a complete index.
  core::Result<void> read_complete(const Reading& reading);
  // In one transaction of the connection that writes; a failure is nothing but a loss.
  void write(const Writing& writing);
  void deliver_lost(IndexConnection& connection, const std::string& generation);
  void skip_lost(IndexConnection& connection, const std::string& generation);

  const std::string workspace_;
  const OnLost on_lost_;
  core::Clock& clock_;
  core::Log& log_;
  const std::int64_t self_;  // a number of this index, for write_lost()
  std::atomic<bool> cancelled_{false};
  IndexSequences sequences_;

  std::mutex refresh_mutex_;
  const std::unique_ptr<IndexSource> source_;  // with refresh_mutex_
  IndexSlot slot_;
  bool in_spare_ = false;  // with refresh_mutex_

  std::mutex lost_mutex_;
  std::map<std::string, std::int64_t> lost_seen_;  // by generation
  std::atomic<std::int64_t> kept_{0};
};

}  // namespace satchel::tool_cache
