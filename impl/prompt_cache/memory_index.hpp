// The index in memory of one process: gone with it, shared with nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/index.hpp"

namespace satchel::prompt_cache {

struct MemoryIndexOptions {
  // About 220 bytes each. Over it, those that expire soonest go (in an index of many entries: the
  // soonest of the shard that is full, which holds a random 1/64 of them).
  std::size_t max_entries = 1'000'000;
  // How often a shard that is written to drops what has expired.
  std::int64_t sweep_interval_ns = 60 * core::kNanosPerSecond;
};

// `clock` must outlive the index.
std::shared_ptr<Index> make_memory_index(const MemoryIndexOptions& options, core::Clock& clock,
                                         core::Log& log);

}  // namespace satchel::prompt_cache
