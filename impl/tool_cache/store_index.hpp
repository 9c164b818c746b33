// The index beside the store: which entry has which roots, depends on which others, was used when.
// A cache of the store and never more: lost, damaged, old or not writable, it is made anew from the
// store or kept in memory, and the next answer is right.
//
// It is filled in one way only, by looking at the store (refresh): a shard is looked at when the
// stamp of its directory is not the settled one that was seen last. Writers do not write into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/fingerprints.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

class FileStore;

// What the index has of an entry.
struct IndexedEntry {
  Key key;
  std::int64_t sequence = 0;  // when it was first seen: rising, kept when it is replaced
  std::string tool_kind;
  std::uint64_t bytes = 0;       // of the payload as returned
  std::uint64_t disk_bytes = 0;  // of both files
  std::int64_t written_ns = 0;   // mtime of the payload, of the meta where there is none
  std::int64_t used_ns = 0;      // last use known, at least written_ns
};

struct KindTotals {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t disk_bytes = 0;

  friend bool operator==(const KindTotals&, const KindTotals&) = default;
};

struct Bounds {
  std::uint64_t max_bytes = 0;  // of both files; 0: no bound, here and below
  std::uint64_t max_entries = 0;
  std::int64_t max_age_ns = 0;  // since the last use
};

// Any thread. Calls that need the index wait for a rebuild that is under way.
class StoreIndex : public FingerprintShelf {
 public:
  struct Options {
    std::string workspace;  // absolute: relative roots are resolved against it
    bool in_memory = false;
  };
  // Told of entries that went from the index, or were replaced in it, by this index or by another
  // process - but not of what removed() of this one took out: what was known of their roots until
  // then. Called inside calls of the index, find() among them; must not call it.
  using OnLost = std::function<void(const Key& key, std::int64_t sequence, Meta old)>;

  // Over the built-in store: beside it, in <root>/.satchel/index/. Opening reads nothing in bulk:
  // a store that needs a long look is looked at by the first call that must know, or by
  // refresh() on a thread that maintains the cache, and reports its progress to the log.
  static std::unique_ptr<StoreIndex> over_files(FileStore& store, Options options, OnLost on_lost,
                                                core::Clock& clock, core::Log& log);
  // Over a store of the host: in memory, filled by iterate() whenever it is asked.
  static std::unique_ptr<StoreIndex> over_store(Store& store, Options options, OnLost on_lost,
                                                core::Clock& clock, core::Log& log);
  ~StoreIndex() override = default;

  // At opening. Looks at what changed, if that is little (some hundred entries; then every meta
  // file's stamp is looked at too), and returns at once if it is much. Entries with a sequence up
  // to the one returned were there at opening; INT64_MAX while a long look is outstanding: then
  // settle_opening() knows.
  virtual std::int64_t open() = 0;
  // Like refresh(); then the sequence up to which entries were there at opening.
  virtual core::Result<std::int64_t> settle_opening() = 0;

  // Brings the index in line with the store.
  virtual core::Result<void> refresh() = 0;
  // refresh() after forgetting every row. Remembered fingerprints and uses are kept.
  virtual core::Result<void> rebuild() = 0;

  // Entries with the path among their roots: canonical paths compared case-insensitively,
  // unresolvable ones as written, exactly as the reference compares. `given` as the caller gave it.
  // Refreshes first.
  virtual core::Result<std::vector<Key>> with_root(std::string_view given) = 0;
  // Everything that depends on one of `keys`, directly or through others; those of `keys` that are
  // reached themselves are among them. `fresh`: refresh first.
  virtual core::Result<std::vector<Key>> dependents(std::span<const Key> keys, bool fresh) = 0;
  // Entries that were removed from the store by the caller.
  virtual void removed(std::span<const Key> keys) = 0;

  // What is known of an entry, without looking at the store.
  using FingerprintShelf::find;
  virtual std::optional<IndexedEntry> find(const Key& key) = 0;
  virtual std::optional<Meta> roots_of(const Key& key) = 0;  // tool_kind and file_roots only
  // Counts by kind of the entries whose sequence is at most `sequence`.
  virtual core::Result<std::map<std::string, KindTotals>> totals(std::int64_t sequence) = 0;
  // A page of entries in the order of their keys, from the one after `after`.
  virtual core::Result<std::vector<IndexedEntry>> page(std::optional<Key> after,
                                                       std::string_view kind,
                                                       std::size_t limit) = 0;

  // The oldest written_ns of all entries; 0 without any.
  virtual core::Result<std::int64_t> oldest_written_ns() = 0;

  // Remembers uses, for what goes first.
  virtual void used(std::span<const std::pair<Key, std::int64_t>> uses) = 0;
  // What must go to keep the bounds, least recently used first. Refreshes first.
  virtual core::Result<std::vector<Key>> over_bounds(const Bounds& bounds) = 0;

  // The cache is being closed: a long look under way ends soon, with an error.
  virtual void cancel() = 0;

  // Where it is, for people: "sqlite <path>" or "memory, because ...".
  [[nodiscard]] virtual std::string describe() = 0;
};

}  // namespace satchel::tool_cache
