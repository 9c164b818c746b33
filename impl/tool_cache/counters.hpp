// What a cache has done since it was opened.
#pragma once

#include <atomic>
#include <cstdint>

namespace satchel::tool_cache {

struct Counters {
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> invalidated{0};  // lookups that found a stale root
  std::atomic<std::uint64_t> integrity_errors{0};
  std::atomic<std::uint64_t> meta_errors{0};
  std::atomic<std::uint64_t> io_errors{0};
  std::atomic<std::uint64_t> persisted{0};
  std::atomic<std::uint64_t> persist_errors{0};
  std::atomic<std::uint64_t> not_stored{0};  // a root changed while the tool ran
  std::atomic<std::uint64_t> dropped{0};     // by invalidation, or marked dirty
  std::atomic<std::uint64_t> evicted{0};
  std::atomic<std::uint64_t> swept{0};  // files that crashed processes left
  std::atomic<std::uint64_t> leases{0};
  std::atomic<std::uint64_t> waits{0};  // calls that found somebody else computing
  std::atomic<std::uint64_t> bytes_served{0};
  // What the shared remote did; 0 without one.
  std::atomic<std::uint64_t> remote_hits{0};  // among hits
  std::atomic<std::uint64_t> remote_misses{0};
  std::atomic<std::uint64_t> remote_stale{0};    // had it, for other files than ours
  std::atomic<std::uint64_t> remote_refused{0};  // had something that is not to be believed
  std::atomic<std::uint64_t> remote_unasked{0};  // away, or an invalidation is on its way there
  std::atomic<std::uint64_t> remote_errors{0};
  std::atomic<std::uint64_t> remote_stored{0};
  std::atomic<std::uint64_t> remote_dropped{0};  // not passed on
};

}  // namespace satchel::tool_cache
