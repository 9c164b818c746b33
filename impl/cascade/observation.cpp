#include "cascade/observation.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "cascade/serde_members.hpp"
#include "cascade/usage_reader.hpp"
#include "cascade/usage_writer.hpp"
#include "core/json_pretty.hpp"
#include "core/json_tape.hpp"
#include "core/text.hpp"

namespace satchel::cascade {

using core::Timestamp;

namespace {

constexpr std::string_view kPrefix = "anthropic-ratelimit-unified-";
constexpr std::int64_t kSchemaVersion = 1;
constexpr std::size_t kMostHeaders = 64;
constexpr std::size_t kMostNameBytes = 64;
constexpr std::size_t kMostValueBytes = 256;
// A fraction above this is no fraction: a form that we do not know.
constexpr double kMostFraction = 10;
// Numbers of seconds end here, those of milliseconds begin: the year 5138 and 1973.
constexpr double kMostSeconds = 1e11;

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// The name behind the prefix, in lower case; empty: another header.
std::string unified_name(std::string_view name) {
  if (name.size() <= kPrefix.size() || name.size() > kPrefix.size() + kMostNameBytes ||
      !core::equals_ignoring_ascii_case(name.substr(0, kPrefix.size()), kPrefix) ||
      !is_printable(name)) {
    return {};
  }
  std::string lower(name.substr(kPrefix.size()));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

std::optional<double> read_number(std::string_view text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

// A fraction, or a percentage that says so.
std::optional<float> read_utilization(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  const std::optional<double> number = read_number(core::trim(text));
  if (!number || (!percent && *number > kMostFraction)) return std::nullopt;
  return static_cast<float>(std::clamp(percent ? *number : *number * 100, 0.0, 100.0));
}

// Unix seconds or milliseconds, or RFC 3339.
std::optional<Timestamp> read_reset(std::string_view text) {
  const std::optional<double> number = read_number(text);
  if (!number) return core::parse_timestamp(text);
  const double seconds = *number < kMostSeconds ? *number : *number / 1000;
  if (seconds <= 0 || seconds > static_cast<double>(core::kLatestSecond)) return std::nullopt;
  const double whole = std::floor(seconds);
  return Timestamp{static_cast<std::int64_t>(whole),
                   static_cast<std::int32_t>(std::min((seconds - whole) * 1e9, 999'999'999.0))};
}

void understand_window(ObservedWindow& window, std::string_view member, std::string_view value) {
  if (member == "status") window.status = value;
  if (member == "utilization") window.utilization = read_utilization(value);
  if (member == "reset") window.resets_at = read_reset(value);
}

void understand(Observation& observation, std::string_view name, std::string_view value) {
  if (value.empty() || value == "null") return;
  struct Prefixed {
    std::string_view prefix;
    ObservedWindow* window;
  };
  const std::array<Prefixed, 3> windows = {Prefixed{"5h-", &observation.five_hour},
                                           Prefixed{"7d-", &observation.seven_day},
                                           Prefixed{"overage-", &observation.overage}};
  for (const Prefixed& known : windows) {
    if (name.starts_with(known.prefix)) {
      understand_window(*known.window, name.substr(known.prefix.size()), value);
    }
  }
  if (name == "status" || name == "reset") understand_window(observation.whole, name, value);
  if (name == "representative-claim") observation.representative_claim = value;
  if (name == "overage-disabled-reason") observation.overage_disabled_reason = value;
}

// The last of equal names counts.
void keep(Observation& observation, std::string name, std::string_view value) {
  auto& kept = observation.headers;
  const auto same = std::find_if(kept.begin(), kept.end(),
                                 [&](const auto& header) { return header.first == name; });
  if (same != kept.end()) {
    same->second = value;
  } else if (kept.size() < kMostHeaders) {
    kept.emplace_back(std::move(name), value);
  }
}

void understand_all(Observation& observation) {
  for (const auto& [name, value] : observation.headers) understand(observation, name, value);
}

bool was_reset(const ObservedWindow& window, Timestamp now) {
  return window.resets_at && *window.resets_at <= now;
}

bool still_counts(const ObservedWindow& window, Timestamp now) {
  return window.utilization && !was_reset(window, now);
}

void write_window(core::JsonWriter& out, const ObservedWindow& window, bool with_utilization) {
  if (window.status.empty()) {
    out.key("status").null();
  } else {
    out.key("status").text(window.status);
  }
  if (with_utilization) {
    out.key("utilization");
    if (window.utilization) {
      out.number(*window.utilization);
    } else {
      out.null();
    }
  }
  write_time_or_null(out.key("resets_at"), window.resets_at);
}

void write_headers(core::JsonWriter& out, const Observation& observation) {
  out.key("headers").begin_object();
  for (const auto& [name, value] : observation.headers) out.key(name).text(value);
  out.end_object();
}

}  // namespace

std::optional<Observation> observe_headers(std::span<const HeaderView> headers, Timestamp now) {
  Observation observation;
  observation.observed_at = now;
  for (const auto& [name, value] : headers) {
    std::string unified = unified_name(name);
    const std::string_view trimmed = core::trim(value.substr(0, kMostValueBytes + 1));
    if (unified.empty() || trimmed.size() > kMostValueBytes || !is_printable(trimmed)) continue;
    keep(observation, std::move(unified), trimmed);
  }
  if (observation.headers.empty()) return std::nullopt;
  understand_all(observation);
  return observation;
}

std::optional<Observation> read_observation_file(std::string_view text) {
  core::JsonTape tape;
  if (!tape.read(text) || !tape.root().is_object()) return std::nullopt;
  const core::JsonValue root = tape.root();
  const std::optional<Timestamp> at = read_time(root.member("observed_at"));
  const core::JsonValue headers = root.member("headers");
  if (read_integer(root.member("schema_version")) != kSchemaVersion || !at ||
      !headers.is_object()) {
    return std::nullopt;
  }
  Observation observation;
  observation.observed_at = *at;
  for (core::JsonCursor cursor(headers); cursor.valid(); cursor.next()) {
    std::optional<std::string> name = read_text(cursor.key());
    const std::optional<std::string> value = read_text(cursor.value());
    if (!name || !value) return std::nullopt;
    keep(observation, std::move(*name), *value);
  }
  understand_all(observation);
  return observation;
}

std::string write_observation_file(const Observation& observation) {
  core::JsonWriter out;
  out.begin_object().key("schema_version").number(kSchemaVersion).key("observed_at");
  write_time(out, observation.observed_at);
  write_headers(out, observation);
  out.end_object();
  return core::pretty_json(out.take());
}

bool answers(const Observation& observation, Timestamp now, std::int64_t fresh_ns) {
  return observation.observed_at <= now &&
         core::is_younger(observation.observed_at, now, fresh_ns) &&
         still_counts(observation.five_hour, now) && still_counts(observation.seven_day, now);
}

bool lay_over(const Observation& observation, Timestamp now, EndpointUsage& usage) {
  bool any = false;
  const auto lay = [&](const ObservedWindow& window, BucketName name) {
    if (!still_counts(window, now)) return;
    usage.bucket(name) = UsageBucket{*window.utilization, window.resets_at};
    any = true;
  };
  lay(observation.five_hour, BucketName::kFiveHour);
  lay(observation.seven_day, BucketName::kSevenDay);
  return any;
}

void write_observation(core::JsonWriter& out, const Observation& observation) {
  out.begin_object().key("at");
  write_time(out, observation.observed_at);
  write_window(out, observation.whole, false);
  out.key("representative_claim");
  if (observation.representative_claim.empty()) {
    out.null();
  } else {
    out.text(observation.representative_claim);
  }
  write_window(out.key("five_hour").begin_object(), observation.five_hour, true);
  write_window(out.end_object().key("seven_day").begin_object(), observation.seven_day, true);
  write_window(out.end_object().key("overage").begin_object(), observation.overage, true);
  out.key("disabled_reason");
  if (observation.overage_disabled_reason.empty()) {
    out.null();
  } else {
    out.text(observation.overage_disabled_reason);
  }
  out.end_object();
  write_headers(out, observation);
  out.end_object();
}

}  // namespace satchel::cascade
