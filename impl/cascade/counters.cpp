#include "cascade/counters.hpp"

#include <string_view>

#include "core/metrics.hpp"

namespace satchel::cascade {

std::string Counters::metrics() const {
  core::MetricsText out("satchel_cascade_");
  out.counter("resolves_total", "Questions answered, by where the answer came from.");
  for (std::size_t i = 0; i < kSources; ++i) {
    out.sample({{"source", usage_source_name(static_cast<UsageSource>(i))}},
               resolves_[i].load(std::memory_order_relaxed));
  }
  out.counter("requests_total", "Requests to the endpoint, by what came of them.");
  for (std::size_t i = 0; i < kErrors; ++i) {
    const std::uint64_t count = requests_[i].load(std::memory_order_relaxed);
    const auto error = static_cast<UsageError>(i);
    if (count == 0 && error != UsageError::kNone) continue;
    out.sample({{"outcome", error == UsageError::kNone ? "ok" : usage_error_name(error)}}, count);
  }
  out.counter("request_seconds_total", "Time spent waiting for the endpoint.")
      .sample({}, core::seconds_text(request_ns_.load(std::memory_order_relaxed)));
  out.counter("observations_total", "Answers whose headers said something of the quota.",
              observations_.load(std::memory_order_relaxed));
  out.counter("turns_not_had_total", "Waits for another process's request that took too long.",
              turns_not_had_.load(std::memory_order_relaxed));
  return out.take();
}

}  // namespace satchel::cascade
