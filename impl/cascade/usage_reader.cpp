#include "cascade/usage_reader.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "cascade/serde_members.hpp"
#include "core/json_number.hpp"

namespace satchel::cascade {

using core::JsonCursor;
using core::JsonKind;
using core::JsonTape;
using core::JsonValue;

namespace {

// An optional member: false where it is there and cannot be read as its type.
template <class T, class Read>
bool read_option(JsonValue value, std::optional<T>& out, Read read) {
  if (is_none(value)) return true;
  std::optional<T> got = read(value);
  if (!got) return false;
  out = std::move(got);
  return true;
}

// An f64 as serde reads it: any number.
std::optional<double> read_double(JsonValue value) {
  if (!value.exists()) return std::nullopt;
  const std::string_view raw = value.raw();
  if (value.kind() == JsonKind::kInteger) {
    std::uint64_t positive = 0;
    if (value.as_u64(&positive)) return static_cast<double>(positive);
    std::int64_t negative = 0;
    std::from_chars(raw.data(), raw.data() + raw.size(), negative);
    return static_cast<double>(negative);
  }
  if (value.kind() != JsonKind::kNumber) return std::nullopt;
  core::JsonNumber number;
  const char* at = raw.data();
  core::read_json_number(at, raw.data() + raw.size(), number);
  return number.value;
}

std::optional<float> read_percent(JsonValue value) {
  const std::optional<double> raw = read_double(value);
  if (!raw) return std::nullopt;
  return static_cast<float>(std::clamp(*raw, 0.0, 100.0));
}

std::optional<bool> read_bool(JsonValue value) {
  if (value.kind() == JsonKind::kTrue) return true;
  if (value.kind() == JsonKind::kFalse) return false;
  return std::nullopt;
}

std::optional<UsageBucket> read_bucket(JsonValue value) {
  const auto members = serde_members<2>(value, {"utilization", "resets_at"});
  if (!members) return std::nullopt;
  const std::optional<float> utilization = read_percent((*members)[0]);
  if (!utilization) return std::nullopt;
  UsageBucket bucket{*utilization, {}};
  if (!read_option((*members)[1], bucket.resets_at, read_time)) return std::nullopt;
  return bucket;
}

std::optional<ExtraUsage> read_extra_usage(JsonValue value) {
  const auto members = serde_members<5>(
      value, {"is_enabled", "utilization", "monthly_limit", "used_credits", "currency"});
  if (!members) return std::nullopt;
  ExtraUsage extra;
  const bool read = read_option((*members)[0], extra.is_enabled, read_bool) &&
                    read_option((*members)[1], extra.utilization, read_percent) &&
                    read_option((*members)[2], extra.monthly_limit, read_double) &&
                    read_option((*members)[3], extra.used_credits, read_double) &&
                    read_option((*members)[4], extra.currency, read_text);
  if (!read) return std::nullopt;
  return extra;
}

// The name of a unit variant: "session", or {"session": null}. nullopt: no such thing.
std::optional<std::string> read_variant(JsonValue value) {
  if (value.is_string()) return read_text(value);
  if (!value.is_object()) return std::nullopt;
  JsonCursor cursor(value);
  if (!cursor.valid() || !cursor.value().is_null()) return std::nullopt;
  std::optional<std::string> name = read_text(cursor.key());
  cursor.next();
  if (cursor.valid()) return std::nullopt;
  return name;
}

std::optional<LimitKind> read_kind(JsonValue value) {
  const std::optional<std::string> name = read_variant(value);
  if (!name) return std::nullopt;
  for (const LimitKind kind :
       {LimitKind::kSession, LimitKind::kWeeklyAll, LimitKind::kWeeklyScoped}) {
    if (*name == limit_kind_name(kind)) return kind;
  }
  return LimitKind::kUnknown;
}

std::optional<LimitSeverity> read_severity(JsonValue value) {
  if (!value.exists()) return LimitSeverity::kUnknown;
  const std::optional<std::string> name = read_variant(value);
  if (!name) return std::nullopt;
  for (const LimitSeverity severity : {LimitSeverity::kNormal, LimitSeverity::kWarning}) {
    if (*name == limit_severity_name(severity)) return severity;
  }
  return LimitSeverity::kUnknown;
}

std::optional<LimitModel> read_model(JsonValue value, Repeated repeated) {
  const auto members = serde_members<2>(value, {"display_name", "id"}, repeated);
  if (!members) return std::nullopt;
  LimitModel model;
  if (!read_option((*members)[0], model.display_name, read_text) ||
      !read_option((*members)[1], model.id, read_text)) {
    return std::nullopt;
  }
  return model;
}

std::optional<LimitScope> read_scope(JsonValue value, Repeated repeated) {
  const auto members = serde_members<1>(value, {"model"}, repeated);
  const auto model = [&](JsonValue read) { return read_model(read, repeated); };
  LimitScope scope;
  if (!members || !read_option((*members)[0], scope.model, model)) return std::nullopt;
  return scope;
}

std::optional<Limit> read_limit(JsonValue value, Repeated repeated) {
  const auto members =
      serde_members<5>(value, {"kind", "percent", "resets_at", "scope", "severity"}, repeated);
  if (!members || !(*members)[0].exists()) return std::nullopt;
  const std::optional<LimitKind> kind = read_kind((*members)[0]);
  const std::optional<float> percent = read_percent((*members)[1]);
  const std::optional<LimitSeverity> severity = read_severity((*members)[4]);
  if (!kind || !percent || !severity) return std::nullopt;
  Limit limit{*kind, *percent, {}, {}, *severity};
  const auto scope = [&](JsonValue read) { return read_scope(read, repeated); };
  if (!read_option((*members)[2], limit.resets_at, read_time) ||
      !read_option((*members)[3], limit.scope, scope)) {
    return std::nullopt;
  }
  return limit;
}

// On the wire a bad element drops only itself.
bool read_limits_of_wire(JsonValue value, ReadUsage& read) {
  if (is_none(value)) return true;
  if (!value.is_array()) {
    read.dropped.emplace_back("`limits` is no array");
    return true;
  }
  std::vector<Limit>& limits = read.usage->limits.emplace();
  std::size_t at = 0;
  for (JsonCursor cursor(value); cursor.valid(); cursor.next(), ++at) {
    if (std::optional<Limit> limit = read_limit(cursor.value(), Repeated::kLastCounts)) {
      limits.push_back(std::move(*limit));
    } else {
      read.dropped.push_back("`limits[" + std::to_string(at) + "]` cannot be read");
    }
  }
  return true;
}

// In the cache the reference wrote them itself: a bad one spoils the file.
bool read_limits_of_cache(JsonValue value, ReadUsage& read) {
  if (is_none(value)) return true;
  if (!value.is_array()) return false;
  std::vector<Limit>& limits = read.usage->limits.emplace();
  for (JsonCursor cursor(value); cursor.valid(); cursor.next()) {
    std::optional<Limit> limit = read_limit(cursor.value(), Repeated::kRefused);
    if (!limit) return false;
    limits.push_back(std::move(*limit));
  }
  return true;
}

// What usage.json and the endpoint's answer share.
bool read_known(const JsonValue* members, bool (*read_limits)(JsonValue, ReadUsage&),
                ReadUsage& read) {
  read.usage.emplace();
  for (std::size_t i = 0; i < kBucketCount; ++i) {
    if (!read_option(members[i], read.usage->buckets[i], read_bucket)) return false;
  }
  if (!read_option(members[kBucketCount], read.usage->extra_usage, read_extra_usage)) return false;
  return read_limits(members[kBucketCount + 1], read);
}

// The last value of a name, at the place of its first. Whoever sends thousands of names must not
// have them all compared with each other.
class UnknownBuckets {
 public:
  explicit UnknownBuckets(EndpointUsage& usage) : kept_(usage.unknown_buckets) {}

  void keep(JsonValue key, JsonValue value) {
    std::string storage;
    const auto [at, added] = places_.try_emplace(std::string(key.text(storage)), kept_.size());
    if (added) {
      kept_.emplace_back(at->first, value.raw());
    } else {
      kept_[at->second].second = value.raw();
    }
  }

 private:
  std::vector<std::pair<std::string, std::string>>& kept_;
  std::unordered_map<std::string, std::size_t> places_;
};

constexpr std::array<std::string_view, kBucketCount + 2> kKnown = {
    kBucketNames[0], kBucketNames[1], kBucketNames[2], kBucketNames[3],
    kBucketNames[4], "extra_usage",   "limits"};

bool is_known(JsonValue key) {
  return std::any_of(kKnown.begin(), kKnown.end(),
                     [&](std::string_view name) { return key.text_equals(name); });
}

}  // namespace

std::string_view limit_kind_name(LimitKind kind) {
  switch (kind) {
    case LimitKind::kSession:
      return "session";
    case LimitKind::kWeeklyAll:
      return "weekly_all";
    case LimitKind::kWeeklyScoped:
      return "weekly_scoped";
    case LimitKind::kUnknown:
      break;
  }
  return "unknown";
}

std::string_view limit_severity_name(LimitSeverity severity) {
  switch (severity) {
    case LimitSeverity::kNormal:
      return "normal";
    case LimitSeverity::kWarning:
      return "warning";
    case LimitSeverity::kUnknown:
      break;
  }
  return "unknown";
}

std::optional<std::string> read_text(JsonValue value) {
  if (!value.is_string()) return std::nullopt;
  std::string storage;
  return std::string(value.text(storage));
}

std::optional<std::int64_t> read_integer(JsonValue value) {
  if (!value.exists() || value.kind() != JsonKind::kInteger) return std::nullopt;
  const std::string_view raw = value.raw();
  std::int64_t number = 0;
  const auto read = std::from_chars(raw.data(), raw.data() + raw.size(), number);
  if (read.ec != std::errc()) return std::nullopt;  // beyond 64 bits with a sign
  return number;
}

std::optional<core::Timestamp> read_time(JsonValue value) {
  if (!value.is_string()) return std::nullopt;
  std::string storage;
  return core::parse_timestamp(value.text(storage));
}

ReadUsage read_endpoint_body(std::string_view body) {
  JsonTape tape;
  if (!tape.read(body) || !tape.root().is_object()) return {};
  const auto members = serde_members(tape.root(), kKnown);
  ReadUsage read;
  if (!members || !read_known(members->data(), read_limits_of_wire, read)) return {};
  UnknownBuckets buckets(*read.usage);
  for (JsonCursor cursor(tape.root()); cursor.valid(); cursor.next()) {
    if (!is_known(cursor.key())) buckets.keep(cursor.key(), cursor.value());
  }
  return read;
}

std::optional<EndpointUsage> read_cached_data(JsonValue data) {
  constexpr std::array<std::string_view, kKnown.size() + 1> kMembers = {
      kKnown[0], kKnown[1], kKnown[2], kKnown[3],
      kKnown[4], kKnown[5], kKnown[6], "unknown_buckets"};
  const auto members = serde_members(data, kMembers);
  ReadUsage read;
  if (!members || !read_known(members->data(), read_limits_of_cache, read)) return std::nullopt;
  const JsonValue unknown = members->back();
  if (!unknown.exists()) return std::move(read.usage);
  if (!unknown.is_object()) return std::nullopt;
  UnknownBuckets buckets(*read.usage);
  for (JsonCursor cursor(unknown); cursor.valid(); cursor.next()) {
    buckets.keep(cursor.key(), cursor.value());
  }
  return std::move(read.usage);
}

}  // namespace satchel::cascade
