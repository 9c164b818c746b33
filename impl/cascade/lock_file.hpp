// usage.lock: until when nobody asks the endpoint, and why. Shared with linesmith (linesmith-core
// 0.4.1, cache.rs).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/timestamp.hpp"

namespace satchel::cascade {

struct Lock {
  std::int64_t blocked_until = 0;    // Unix seconds
  std::optional<std::string> error;  // a name of UsageError; none: the last fetch was fine
};

// Whatever the text is: what cannot be read is an older writer's, active for 30 s after it was
// written.
Lock read_lock_file(std::string_view text, core::Timestamp written_at);
// No lock is believed for longer than a day.
Lock capped(Lock lock, core::Timestamp now);
std::string write_lock_file(const Lock& lock);

}  // namespace satchel::cascade
