// What an answer's headers said of the quota: anthropic-ratelimit-unified-*. No document of the
// provider describes them; the forms are those that clients of the API were seen to read and to
// record:
//
//   status                      allowed | allowed_warning | rejected
//   reset                       Unix seconds
//   representative-claim        five_hour | seven_day | seven_day_overage_included | ...
//   5h-utilization, 7d-...      a fraction of the window, above 1 when it is overdrawn
//   5h-reset, 7d-reset          Unix seconds
//   5h-status, 7d-status        as status
//   overage-status, overage-reset, overage-utilization, overage-disabled-reason
//   fallback, fallback-percentage, 7d_oi-..., 5h-surpassed-threshold, ...
//
// All of them are kept as they came, so that a reader that knows more finds more; what is not
// understood changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cascade/usage_data.hpp"
#include "core/json_writer.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

struct ObservedWindow {
  std::string status;                // empty: not said
  std::optional<float> utilization;  // percent, 0 to 100
  std::optional<core::Timestamp> resets_at;
};

struct Observation {
  core::Timestamp observed_at;
  ObservedWindow whole;  // of the account; its utilisation is not said
  std::string representative_claim;
  ObservedWindow five_hour;
  ObservedWindow seven_day;
  ObservedWindow overage;
  std::string overage_disabled_reason;
  // All headers: the name behind the prefix, in lower case, and the value.
  std::vector<std::pair<std::string, std::string>> headers;
};

using HeaderView = std::pair<std::string_view, std::string_view>;

// nullopt: they say nothing of the quota.
std::optional<Observation> observe_headers(std::span<const HeaderView> headers,
                                           core::Timestamp now);

// satchel-observed.json: our own file beside the reference's two.
std::optional<Observation> read_observation_file(std::string_view text);
std::string write_observation_file(const Observation& observation);

// Whether it can answer alone: younger than `fresh_ns`, both windows known, none of them reset.
bool answers(const Observation& observation, core::Timestamp now, std::int64_t fresh_ns);
// Puts the windows that it knows over those of `usage`. False: it knows none that still counts.
bool lay_over(const Observation& observation, core::Timestamp now, EndpointUsage& usage);

// As the member "observed" of a usage.
void write_observation(core::JsonWriter& out, const Observation& observation);

}  // namespace satchel::cascade
