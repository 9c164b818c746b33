// What the host or a service was asked, remembered for a time. Of many who want the same at once
// one asks; a failure is shared with those who waited, and not remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/single_flight.hpp"
#include "core/ttl_cache.hpp"
#include "prompt_cache/metrics.hpp"
#include "prompt_cache/patience.hpp"

namespace satchel::prompt_cache {

// Any thread.
template <class Value>
class Remembered {
 public:
  // `clock` outlives it.
  Remembered(std::int64_t ttl_ns, std::size_t max_entries, core::Clock& clock)
      : cache_(ttl_ns, max_entries), clock_(clock) {}

  // ask() -> core::Result<Value>; not called once `patience` is over. `how` tells what it took.
  template <class Ask>
  core::Result<Value> get(const std::string& key, Patience patience, const Ask& ask,
                          Metrics::Resolved& how) {
    how = Metrics::Resolved::kHit;
    if (auto known = cache_.get(key, clock_.monotonic_ns())) return std::move(*known);
    std::optional<core::Result<Value>> answer = flights_.get(
        key, [&] { return patience.left_ns(clock_); },
        [&]() -> std::optional<core::Result<Value>> { return ask_now(key, patience, ask); });
    how = answer && answer->ok() ? Metrics::Resolved::kMiss : Metrics::Resolved::kFailed;
    if (!answer) return core::Error{core::Status::kTimeout, "no answer in time"};
    return std::move(*answer);
  }

  void put(const std::string& key, Value value) {
    cache_.put(key, std::move(value), clock_.monotonic_ns());
  }

 private:
  template <class Ask>
  std::optional<core::Result<Value>> ask_now(const std::string& key, Patience patience,
                                             const Ask& ask) {
    // Whoever asked before us may have answered between our look and our turn.
    if (auto known = cache_.get(key, clock_.monotonic_ns())) {
      return core::Result<Value>(std::move(*known));
    }
    if (patience.over(clock_)) return std::nullopt;
    core::Result<Value> asked = ask();
    if (asked) {
      put(key, *asked);
    } else if (patience.over(clock_)) {
      return std::nullopt;  // it may have failed for our haste alone: the next one tries again
    }
    return asked;
  }

  core::TtlCache<Value> cache_;
  core::SingleFlight<core::Result<Value>> flights_;
  core::Clock& clock_;
};

}  // namespace satchel::prompt_cache
