// An index over a backend that may be slow or away: commits wait in a bounded queue and are written
// in batches by a thread of its own; lookups see what waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/index_backend.hpp"

namespace satchel::prompt_cache {

struct QueuedIndexOptions {
  std::int64_t commit_deadline_ns = 30 * core::kNanosPerSecond;  // then a commit is dropped
  std::int64_t sweep_interval_ns = 60 * core::kNanosPerSecond;
  std::size_t max_waiting_entries = 100'000;
};

// A write that is worth another try gets one after 100 ms * 2^n, at most some seconds, and up to
// 20 % more. `clock` and `log` must outlive it.
std::shared_ptr<Index> make_queued_index(std::unique_ptr<IndexBackend> backend,
                                         const QueuedIndexOptions& options, core::Clock& clock,
                                         core::Log& log);

}  // namespace satchel::prompt_cache
