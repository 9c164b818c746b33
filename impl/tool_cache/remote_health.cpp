#include "tool_cache/remote_health.hpp"

#include <algorithm>

namespace satchel::tool_cache {

bool RemoteHealth::may_ask() {
  const std::int64_t now = clock_.monotonic_ns();
  const std::lock_guard lock(mutex_);
  if (pause_ns_ == 0) return true;
  if (trying_ || now < next_try_ns_) return false;
  trying_ = true;
  return true;
}

void RemoteHealth::answered() {
  {
    const std::lock_guard lock(mutex_);
    trying_ = false;
    pause_ns_ = 0;
  }
  complaint_.over("the " + name_ + " answers again");
}

void RemoteHealth::failed(const core::Error& why) {
  {
    const std::lock_guard lock(mutex_);
    // Those that had asked before the first failure was known say nothing new.
    const bool first = pause_ns_ == 0;
    if (first || trying_) pause_ns_ = first ? kFirstPause : std::min(2 * pause_ns_, kLongestPause);
    trying_ = false;
    next_try_ns_ = clock_.monotonic_ns() + pause_ns_;
  }
  complaint_.say("the " + name_ +
                 " is out of use, the local store goes on without it: " + why.message);
}

void RemoteHealth::not_asked() {
  const std::lock_guard lock(mutex_);
  trying_ = false;
}

bool RemoteHealth::away() {
  const std::lock_guard lock(mutex_);
  return pause_ns_ != 0 && (trying_ || clock_.monotonic_ns() < next_try_ns_);
}

}  // namespace satchel::tool_cache
