// What the endpoint says of an account's quota, as the reference keeps it (linesmith-core,
// usage.rs): percentages in single precision, times in UTC, what it does not know kept as it came.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/timestamp.hpp"

namespace satchel::cascade {

// One rolling window.
struct UsageBucket {
  float utilization = 0;  // percent, 0 to 100
  std::optional<core::Timestamp> resets_at;
};

enum class LimitKind : std::uint8_t { kSession, kWeeklyAll, kWeeklyScoped, kUnknown };
enum class LimitSeverity : std::uint8_t { kNormal, kWarning, kUnknown };

struct LimitModel {
  std::optional<std::string> display_name;
  std::optional<std::string> id;
};

struct LimitScope {
  std::optional<LimitModel> model;
};

// An element of `limits`: where per-model limits arrive.
struct Limit {
  LimitKind kind = LimitKind::kUnknown;
  float percent = 0;  // 0 to 100
  std::optional<core::Timestamp> resets_at;
  std::optional<LimitScope> scope;
  LimitSeverity severity = LimitSeverity::kUnknown;
};

struct ExtraUsage {
  std::optional<bool> is_enabled;
  std::optional<float> utilization;  // percent, 0 to 100
  std::optional<double> monthly_limit;
  std::optional<double> used_credits;
  std::optional<std::string> currency;
};

enum class BucketName : std::uint8_t {
  kFiveHour,
  kSevenDay,
  kSevenDayOpus,
  kSevenDaySonnet,
  kSevenDayOauthApps,
};
constexpr std::size_t kBucketCount = 5;
// In the order of BucketName.
constexpr std::array<std::string_view, kBucketCount> kBucketNames = {
    "five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet", "seven_day_oauth_apps"};

struct EndpointUsage {
  std::array<std::optional<UsageBucket>, kBucketCount> buckets;
  std::optional<ExtraUsage> extra_usage;
  std::optional<std::vector<Limit>> limits;
  // Every other top-level member, its value as JSON; each name once.
  std::vector<std::pair<std::string, std::string>> unknown_buckets;

  [[nodiscard]] const std::optional<UsageBucket>& bucket(BucketName name) const {
    return buckets[static_cast<std::size_t>(name)];
  }
  std::optional<UsageBucket>& bucket(BucketName name) {
    return buckets[static_cast<std::size_t>(name)];
  }
};

std::string_view limit_kind_name(LimitKind kind);
std::string_view limit_severity_name(LimitSeverity severity);

}  // namespace satchel::cascade
