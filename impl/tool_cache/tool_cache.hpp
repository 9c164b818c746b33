// The tool cache: has this call been made, and is its result still true?
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/config.hpp"
#include "tool_cache/counters.hpp"
#include "tool_cache/fingerprint.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

// What a lookup found.
struct Found {
  core::Status answer = core::Status::kMiss;  // kOk: a hit; kMiss; kInvalidated
  Stored stored;                              // of a hit
  std::string why;                            // kInvalidated: which root
};

// What a caller is about to compute.
struct Call {
  std::string kind;
  std::string args_summary;
  std::vector<Root> roots;  // expected_hash: only its prefix, which names the form
  std::int64_t wait_ns = 0;
  std::int64_t lease_ns = 0;  // 0: as configured
};

// Whether a result was kept.
struct Kept {
  bool stored = true;
  std::string why_not;
};

// One's turn to compute. Gone without commit: abandoned. One thread at a time.
class ComputeLease {
 public:
  ComputeLease() = default;
  ComputeLease(const ComputeLease&) = delete;
  ComputeLease& operator=(const ComputeLease&) = delete;
  virtual ~ComputeLease() = default;

  // `extra`: upstreams; roots beside those of the call; a kind, if it is not empty, instead of the
  // call's. kState once it was committed or abandoned.
  virtual core::Result<Kept> commit(std::string_view payload, Meta extra) = 0;
  virtual core::Result<void> abandon() = 0;

  // Piece by piece: bytes go to writer(), and commit_written() ends both.
  virtual core::Result<PayloadWriter*> writer() = 0;
  virtual core::Result<Kept> commit_written(Meta extra) = 0;
};

struct Begun {
  core::Status answer = core::Status::kWait;  // kOk: a hit; kLeased; kWait
  Stored stored;
  std::unique_ptr<ComputeLease> lease;
};

enum class FingerprintForm : std::uint8_t {
  kContent = 0,
  kDirectory = 1,
  kStat = 2,
  kContentOrStat = 3,
};

struct Place {
  std::string store;      // directory; empty with host_store
  std::string workspace;  // empty: the working directory now
  std::unique_ptr<Store> host_store;
};

// Any thread.
class ToolCache {
 public:
  static core::Result<std::unique_ptr<ToolCache>> open(Place place, Config config,
                                                       core::Clock& clock, core::Log& log);
  ~ToolCache();
  ToolCache(const ToolCache&) = delete;
  ToolCache& operator=(const ToolCache&) = delete;

  // Errors of lookups: kIntegrity and kMeta, which are answers, and kIo.
  core::Result<Found> lookup(const Key& key);
  core::Result<Found> lookup_revalidate(const Key& key);
  core::Result<void> persist(const Key& key, std::string_view payload, Meta meta);
  // A payload piece by piece; finish with commit_written().
  core::Result<std::unique_ptr<PayloadWriter>> begin_persist(const Key& key);
  core::Result<void> commit_written(const Key& key, PayloadWriter& writer, Meta meta);
  core::Result<Begun> get_or_begin(const Key& key, Call call);

  bool contains(const Key& key);
  core::Result<void> mark_dirty(const Key& key);
  core::Result<std::uint64_t> invalidate_upstream(const Key& key);
  core::Result<std::uint64_t> invalidate_path(std::string_view path);

  // kOversized above the ceiling.
  core::Result<std::string> fingerprint(std::string_view path, FingerprintForm form);

  core::Result<std::uint64_t> entry_count();
  core::Result<std::vector<std::string>> known_kinds();
  core::Result<std::uint64_t> total_bytes();
  core::Result<std::uint64_t> evict_to_cap(std::uint64_t cap);
  core::Result<std::uint64_t> evict();
  core::Result<std::uint64_t> sweep(std::int64_t min_age_ns);
  core::Result<void> rebuild();
  // False where it was not done in time.
  bool flush(std::int64_t timeout_ns);

  core::Result<std::string> stats_json();
  std::string metrics();
  core::Result<std::string> list_json(std::optional<Key> after, std::string_view kind,
                                      std::size_t limit);
  core::Result<std::string> why_json(const Key& key);
  // As lookup(), of which nothing is remembered.
  core::Result<Found> verify(const Key& key);
  void record(std::string_view tool, std::string_view outcome, std::uint64_t duration_us,
              std::string_view args_summary, std::string_view reason);

  // Whoever waits in a call, for another's lease or for what runs in the background, returns soon.
  // For closing, which waits for the calls; nothing but shut_down() may follow.
  void break_off();
  // Stops the background thread and gives back what outside is held; calls may not follow. Results
  // stay readable.
  void shut_down();

  class Impl;

 private:
  explicit ToolCache(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace satchel::tool_cache
