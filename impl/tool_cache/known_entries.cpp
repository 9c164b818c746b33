#include "tool_cache/known_entries.hpp"

#include <limits>
#include <utility>
#include <vector>

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kOutstanding = std::numeric_limits<std::int64_t>::max();

}  // namespace

void KnownEntries::start(StoreIndex& index, std::int64_t opening) {
  const std::lock_guard lock(mutex_);
  index_ = &index;
  opening_ = opening;
}

// The index is asked without the lock: a refresh holds the index and calls lost_from_index().
std::shared_ptr<const Meta> KnownEntries::find(const Key& key) {
  std::int64_t opening = 0;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = learned_.find(key); found != learned_.end()) return found->second;
    if (forgotten_.contains(key)) return nullptr;
    opening = opening_;
  }
  // Until the first long look is done nobody waits for it here: the meta on disk says the same.
  if (opening == kOutstanding) return nullptr;
  const std::optional<IndexedEntry> entry = index_->find(key);
  std::optional<Meta> roots;
  if (entry && entry->sequence <= opening) roots = index_->roots_of(key);
  const std::lock_guard lock(mutex_);
  if (forgotten_.contains(key)) return nullptr;
  // Where the index has just lost it, lost_from_index() was called before it said so.
  if (const auto found = learned_.find(key); found != learned_.end()) return found->second;
  if (!roots) return nullptr;
  return learned_.try_emplace(key, std::make_shared<const Meta>(std::move(*roots))).first->second;
}

void KnownEntries::learn(const Key& key, std::shared_ptr<const Meta> meta) {
  const std::lock_guard lock(mutex_);
  learned_[key] = std::move(meta);
}

void KnownEntries::forget(const Key& key) {
  const std::lock_guard lock(mutex_);
  learned_.erase(key);
  forgotten_.insert(key);
}

void KnownEntries::lost_from_index(const Key& key, std::int64_t sequence, Meta old) {
  const std::lock_guard lock(mutex_);
  if (index_ == nullptr || opening_ == kOutstanding || sequence > opening_) return;
  if (forgotten_.contains(key)) return;
  learned_.try_emplace(key, std::make_shared<const Meta>(std::move(old)));
}

core::Result<std::int64_t> KnownEntries::opening() {
  {
    const std::lock_guard lock(mutex_);
    if (opening_ != kOutstanding) return opening_;
  }
  core::Result<std::int64_t> settled = index_->settle_opening();
  if (!settled) return settled;
  const std::lock_guard lock(mutex_);
  if (opening_ == kOutstanding) opening_ = *settled;
  return opening_;
}

std::vector<Key> KnownEntries::touched(std::vector<std::string>& kinds) {
  const std::lock_guard lock(mutex_);
  std::vector<Key> keys(forgotten_.begin(), forgotten_.end());
  for (const auto& [key, meta] : learned_) {
    if (!forgotten_.contains(key)) keys.push_back(key);
    kinds.push_back(meta->tool_kind);
  }
  return keys;
}

core::Result<KnownEntries::Totals> KnownEntries::totals() {
  const core::Result<std::int64_t> until = opening();
  if (!until) return until.error();
  core::Result<std::map<std::string, KindTotals>> at_opening = index_->totals(*until);
  for (;;) {
    if (!at_opening) return at_opening.take_error();
    // All that was there at opening, without what was touched since, and that as it is known.
    Totals totals;
    for (const auto& [kind, of_kind] : *at_opening) totals.kinds[kind] = of_kind.entries;
    std::vector<std::string> kinds;
    for (const Key& key : touched(kinds)) {
      const std::optional<IndexedEntry> entry = index_->find(key);
      if (entry && entry->sequence <= *until) --totals.kinds[entry->tool_kind];
    }
    // A refresh in between, on another thread, may have taken from one what the other still had.
    core::Result<std::map<std::string, KindTotals>> again = index_->totals(*until);
    if (again && *again != *at_opening) {
      at_opening = std::move(again);
      continue;
    }
    for (std::string& kind : kinds) ++totals.kinds[std::move(kind)];
    std::erase_if(totals.kinds, [](const auto& of_kind) { return of_kind.second == 0; });
    for (const auto& [kind, entries] : totals.kinds) totals.entries += entries;
    return totals;
  }
}

}  // namespace satchel::tool_cache
