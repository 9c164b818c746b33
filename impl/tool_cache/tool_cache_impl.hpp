// The parts of a tool cache, and what its files do with them:
//   tool_cache.cpp    opening, the parts put together
//   revalidate.cpp    lookups
//   from_remote.cpp   lookups that the local store has nothing for
//   compute.cpp       single flight: get or begin, hash - run - hash
//   invalidate.cpp    what goes when a file or a result does
//   upkeep.cpp        bounds, orphans, and the thread that keeps index and fingerprints up to date
//   report.cpp        statistics, listings, why an entry is served or not
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/call_log.hpp"
#include "tool_cache/config.hpp"
#include "tool_cache/counters.hpp"
#include "tool_cache/file_store.hpp"
#include "tool_cache/fingerprints.hpp"
#include "tool_cache/known_entries.hpp"
#include "tool_cache/leases.hpp"
#include "tool_cache/remote.hpp"
#include "tool_cache/store_index.hpp"
#include "tool_cache/tool_cache.hpp"

namespace satchel::tool_cache {

class ToolCache::Impl : public std::enable_shared_from_this<ToolCache::Impl> {
 public:
  static core::Result<std::shared_ptr<Impl>> open(Place place, Config config, core::Clock& clock,
                                                  core::Log& log);
  ~Impl() { shut_down(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  void break_off();
  void shut_down();

  // ------------------------------------------------------------------ revalidate.cpp
  core::Result<Found> lookup(const Key& key);
  core::Result<Found> lookup_revalidate(const Key& key);
  core::Result<Found> verify(const Key& key) { return found(store_->lookup(key)); }
  core::Result<void> persist(const Key& key, std::string_view payload, Meta meta);
  core::Result<void> commit_written(const Key& key, PayloadWriter& writer, Meta meta);
  core::Result<std::unique_ptr<PayloadWriter>> begin_persist(const Key& key) {
    return store_->begin(key);
  }
  core::Result<std::string> fingerprint(std::string_view path, FingerprintForm form);

  // ------------------------------------------------------------------ compute.cpp
  core::Result<Begun> get_or_begin(const Key& key, Call call);

  // ------------------------------------------------------------------ invalidate.cpp
  bool contains(const Key& key);
  core::Result<void> mark_dirty(const Key& key);
  core::Result<std::uint64_t> invalidate_upstream(const Key& key);
  core::Result<std::uint64_t> invalidate_path(std::string_view path);

  // ------------------------------------------------------------------ upkeep.cpp
  core::Result<std::uint64_t> evict_to_cap(std::uint64_t cap);
  core::Result<std::uint64_t> evict();
  core::Result<std::uint64_t> sweep(std::int64_t min_age_ns);
  core::Result<void> rebuild() { return index_->rebuild(); }
  bool flush(std::int64_t timeout_ns);

  // ------------------------------------------------------------------ report.cpp
  core::Result<std::uint64_t> entry_count();
  core::Result<std::vector<std::string>> known_kinds();
  core::Result<std::uint64_t> total_bytes() { return store_->total_bytes(); }
  core::Result<std::string> stats_json();
  std::string metrics();
  core::Result<std::string> list_json(std::optional<Key> after, std::string_view kind,
                                      std::size_t limit);
  core::Result<std::string> why_json(const Key& key);
  void record(const CallRecord& call) { calls_.record(call); }

 private:
  friend class CallLease;
  Impl(Place place, Config config, core::Clock& clock, core::Log& log);
  core::Result<void> start();
  core::Result<void> start_remote();

  // Joins the workspace and a path as Rust's Path::join does.
  [[nodiscard]] std::string resolve(std::string_view path) const;
  // Why the first of the roots is stale; nothing if all are fresh.
  std::optional<std::string> stale_root(std::span<const Root> roots);
  core::Result<Found> found(core::Result<Stored> stored);
  core::Result<Found> stale(const Key& key, std::string why);
  core::Result<Found> revalidate(const Key& key);
  // Where the local answer is no hit: what the remote has, if our files agree to it.
  core::Result<Found> or_from_remote(const Key& key, core::Result<Found> local);
  core::Result<Found> count(const Key& key, core::Result<Found> answer);
  void used(const Key& key);

  // Takes entries from the store, the index and what is known. The first error, after all were
  // tried: what could not be removed may be served when it should not.
  core::Result<std::uint64_t> drop(std::span<const Key> keys);

  // The same for the remote's thread.
  void drop_too(std::span<const Key> keys);

  void maintain();
  void maintain_once();
  void flush_uses();
  void wake_soon();

  Config config_;
  core::Clock& clock_;
  core::Log& log_;
  std::string workspace_;
  std::string store_path_;
  std::unique_ptr<Store> store_;
  FileStore* files_ = nullptr;  // store_, where it is the built-in
  KnownEntries known_;
  std::unique_ptr<StoreIndex> index_;
  std::unique_ptr<Fingerprints> fingerprints_;
  std::unique_ptr<Leases> leases_;
  Counters counters_;
  std::unique_ptr<Remote> remote_;  // null: there is none
  CallLog calls_;
  core::LogOnce upkeep_complaint_{60 * core::kNanosPerSecond};

  std::mutex uses_mutex_;
  std::unordered_map<Key, std::int64_t, KeyHash> uses_;  // not yet in the index

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable pass_done_;
  std::uint64_t passes_wanted_ = 0;  // passes are numbered; a pass serves all asked for before it
  std::uint64_t passes_done_ = 0;
  std::size_t unsettled_ = 0;  // fingerprints that wait, after the last pass
  bool soon_ = false;
  bool stopping_ = false;
  bool breaking_off_ = false;
  std::atomic<std::uint64_t> hashed_seen_{0};
  std::int64_t next_sweep_ns_ = 0;
  std::thread thread_;
};

}  // namespace satchel::tool_cache
