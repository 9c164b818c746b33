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
};

}  // namespace satchel::tool_cache
