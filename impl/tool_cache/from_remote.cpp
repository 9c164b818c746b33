// Lookups that the local store has nothing for, or nothing that is true: the remote is asked, and
// what it has counts only while every root has here and now the fingerprint that it names. Then the
// local store has it, and the remote is not asked again.
//
// That makes what an untrusted remote can do harmless that sends us old entries: it is a result
// that somebody who knows the secret computed, from files that are byte for byte ours.
#include <utility>
#include <vector>

#include "tool_cache/payload_file.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Result;
using core::Status;

Result<Found> ToolCache::Impl::or_from_remote(const Key& key, Result<Found> local) {
  if (remote_ == nullptr || !local || local->answer == Status::kOk) return local;
  std::optional<Remote::Fetched> fetched = remote_->fetch(key);
  if (!fetched) return local;
  RemoteEntry& entry = fetched->entry;
  if (std::optional<std::string> why = stale_root(entry.meta.file_roots)) {
    ++counters_.remote_stale;
    if (local->answer == Status::kInvalidated) return local;
    return Found{Status::kInvalidated, {}, std::move(*why)};
  }
  const auto meta = std::make_shared<const Meta>(std::move(entry.meta));
  const bool admitted = remote_->admit(*fetched, [&] {
    if (!entry.may_keep) return;
    if (store_->persist(key, entry.payload, *meta)) {
      known_.learn(key, meta);
    } else {
      ++counters_.persist_errors;
    }
  });
  if (!admitted) return local;
  ++counters_.remote_hits;
  Stored stored{meta, std::make_shared<MemoryPayload>(std::move(entry.payload))};
  return Found{Status::kOk, std::move(stored), {}};
}

void ToolCache::Impl::drop_too(std::span<const Key> keys) {
  std::vector<Key> here;
  for (const Key& key : keys) {
    if (contains(key)) here.push_back(key);
  }
  const Result<std::uint64_t> dropped = drop(here);
  if (dropped) {
    counters_.dropped += *dropped;
  } else {
    log_.write(core::LogLevel::kWarn, "tool_cache.remote", dropped.error().message);
  }
}

}  // namespace satchel::tool_cache
