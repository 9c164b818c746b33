// What this process knows of entries, as the reference's registry does: those that were there when
// the cache was opened, those it stored and those it hit, each with the roots it knew then. The
// store may say otherwise meanwhile; it is asked when it matters.
//
// Entries that were there at opening are not read in: the index has them, and one whose sequence is
// at most that of the opening is known unless it was forgotten here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/result.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"
#include "tool_cache/store_index.hpp"

namespace satchel::tool_cache {

// Any thread.
class KnownEntries {
 public:
  // The index must outlive this. `opening`: what StoreIndex::open() returned.
  void start(StoreIndex& index, std::int64_t opening);

  // What is known of it; nothing if it is not known.
  std::shared_ptr<const Meta> find(const Key& key);
  void learn(const Key& key, std::shared_ptr<const Meta> meta);
  void forget(const Key& key);
  // The index loses sight of an entry: what it had of it is kept, if it counted as known.
  void lost_from_index(const Key& key, std::int64_t sequence, Meta old);

  struct Totals {
    std::uint64_t entries = 0;
    std::map<std::string, std::uint64_t> kinds;
  };
  core::Result<Totals> totals();

 private:
  core::Result<std::int64_t> opening();
  // Keys of which more is known than that they were there at opening; the kinds of those known.
  std::vector<Key> touched(std::vector<std::string>& kinds);

  std::mutex mutex_;
  StoreIndex* index_ = nullptr;
  std::int64_t opening_ = 0;
  std::unordered_map<Key, std::shared_ptr<const Meta>, KeyHash> learned_;
  std::unordered_set<Key, KeyHash> forgotten_;
};

}  // namespace satchel::tool_cache
