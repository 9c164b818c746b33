// What processes leave that die: half-written entries, files that were never renamed into place,
// leases that nobody holds.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.hpp"
#include "tool_cache/key_locks.hpp"

namespace satchel::tool_cache {

// Removes those whose last change is at least `min_age_ns` ago, and dead leases of any age; 0:
// whatever no living process of ours holds. The reference's files cannot be told from those it is
// just writing by anything but their age. How many.
core::Result<std::uint64_t> sweep_orphans(const std::string& root, KeyLocks& locks,
                                          std::int64_t min_age_ns);

}  // namespace satchel::tool_cache
