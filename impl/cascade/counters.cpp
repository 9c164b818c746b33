#include "cascade/counters.hpp"

#include <string_view>

namespace satchel::cascade {
namespace {

void begin(std::string& out, std::string_view name, std::string_view help) {
  out.append("# HELP satchel_cascade_").append(name).append(" ").append(help).append("\n");
  out.append("# TYPE satchel_cascade_").append(name).append(" counter\n");
}

void sample(std::string& out, std::string_view name, std::string_view labels,
            const std::string& value) {
  out.append("satchel_cascade_").append(name).append(labels).append(" ").append(value).append("\n");
}

std::string label(std::string_view name, std::string_view value) {
  return "{" + std::string(name) + "=\"" + std::string(value) + "\"}";
}

// Nanoseconds as seconds, exactly.
std::string seconds(std::uint64_t ns) {
  std::string fraction = std::to_string(ns % 1'000'000'000);
  fraction.insert(0, 9 - fraction.size(), '0');
  return std::to_string(ns / 1'000'000'000) + "." + fraction;
}

}  // namespace

std::string Counters::metrics() const {
  std::string out;
  begin(out, "resolves_total", "Questions answered, by where the answer came from.");
  for (std::size_t i = 0; i < kSources; ++i) {
    sample(out, "resolves_total", label("source", usage_source_name(static_cast<UsageSource>(i))),
           std::to_string(resolves_[i].load(std::memory_order_relaxed)));
  }
  begin(out, "requests_total", "Requests to the endpoint, by what came of them.");
  for (std::size_t i = 0; i < kErrors; ++i) {
    const std::uint64_t count = requests_[i].load(std::memory_order_relaxed);
    const auto error = static_cast<UsageError>(i);
    if (count == 0 && error != UsageError::kNone) continue;
    sample(out, "requests_total",
           label("outcome", error == UsageError::kNone ? "ok" : usage_error_name(error)),
           std::to_string(count));
  }
  begin(out, "request_seconds_total", "Time spent waiting for the endpoint.");
  sample(out, "request_seconds_total", "", seconds(request_ns_.load(std::memory_order_relaxed)));
  begin(out, "observations_total", "Answers whose headers said something of the quota.");
  sample(out, "observations_total", "",
         std::to_string(observations_.load(std::memory_order_relaxed)));
  begin(out, "turns_not_had_total", "Waits for another process's request that took too long.");
  sample(out, "turns_not_had_total", "",
         std::to_string(turns_not_had_.load(std::memory_order_relaxed)));
  return out;
}

}  // namespace satchel::cascade
