// What goes when a file or a result does.
#include <algorithm>
#include <utility>

#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;

Result<std::uint64_t> ToolCache::Impl::drop(std::span<const Key> keys) {
  std::uint64_t dropped = 0;
  std::vector<Key> gone;
  gone.reserve(keys.size());
  std::optional<Error> first;
  for (const Key& key : keys) {
    known_.forget(key);
    Result<bool> removed = store_->remove(key);
    if (removed) {
      if (*removed) ++dropped;  // not by another in the meantime
      gone.push_back(key);
    } else if (!first) {
      first = removed.take_error();
    }
  }
  index_->removed(gone);
  if (!first) return dropped;
  first->message += "; " + std::to_string(keys.size() - gone.size()) + " of " +
                    std::to_string(keys.size()) + " entries were not dropped";
  return *first;
}

bool ToolCache::Impl::contains(const Key& key) {
  return known_.find(key) != nullptr || store_->contains(key);
}

Result<void> ToolCache::Impl::mark_dirty(const Key& key) {
  Remote::Invalidation there(remote_.get());
  there.removed({&key, 1});
  known_.forget(key);
  Result<bool> removed = store_->remove(key);
  if (!removed) return removed.take_error();
  if (*removed) ++counters_.dropped;
  return {};
}

Result<std::uint64_t> ToolCache::Impl::invalidate_upstream(const Key& key) {
  Remote::Invalidation there(remote_.get());
  there.dependents_of({&key, 1});
  Result<std::vector<Key>> dependents = index_->dependents({&key, 1}, true);
  if (!dependents) return dependents.take_error();
  std::erase(*dependents, key);
  there.removed(*dependents);
  Result<std::uint64_t> dropped = drop(*dependents);
  if (dropped) counters_.dropped += *dropped;
  return dropped;
}

Result<std::uint64_t> ToolCache::Impl::invalidate_path(std::string_view path) {
  Remote::Invalidation there(remote_.get());
  Result<std::vector<Key>> matches = index_->with_root(path);
  if (!matches) return matches.take_error();
  if (matches->empty()) return std::uint64_t{0};
  Result<std::vector<Key>> all = index_->dependents(*matches, false);
  if (!all) return all.take_error();
  all->insert(all->end(), matches->begin(), matches->end());
  std::sort(all->begin(), all->end());
  all->erase(std::unique(all->begin(), all->end()), all->end());
  there.removed(*all);
  there.dependents_of(*matches);
  const Result<std::uint64_t> dropped = drop(*all);
  if (!dropped) return dropped.error();
  counters_.dropped += *dropped;
  return static_cast<std::uint64_t>(matches->size());
}

}  // namespace satchel::tool_cache
