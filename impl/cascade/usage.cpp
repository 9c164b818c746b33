#include "cascade/usage.hpp"

#include <algorithm>
#include <limits>

#include "cascade/usage_writer.hpp"
#include "core/json_writer.hpp"

namespace satchel::cascade {
namespace {

constexpr std::int64_t kBlockSeconds = 5 * 3600;

void write_error(core::JsonWriter& out, UsageError error) {
  out.key("error");
  if (error == UsageError::kNone) {
    out.null();
  } else {
    out.text(usage_error_name(error));
  }
}

void write_transcripts(core::JsonWriter& out, const TranscriptWindows& windows) {
  out.key("five_hour");
  if (windows.five_hour) {
    const core::Timestamp start = windows.five_hour->start;
    write_time(out.begin_object().key("start"), start);
    write_time(out.key("ends_at"), {start.seconds + kBlockSeconds, start.nanos});
    write_tokens(out.key("tokens"), windows.five_hour->tokens);
    out.end_object();
  } else {
    out.null();
  }
  write_tokens(out.key("seven_day").begin_object().key("tokens"), windows.seven_day);
  out.end_object();
}

}  // namespace

const char* usage_source_name(UsageSource source) {
  switch (source) {
    case UsageSource::kEndpoint:
      return "endpoint";
    case UsageSource::kCache:
      return "cache";
    case UsageSource::kStale:
      return "stale";
    case UsageSource::kHeaders:
      return "headers";
    case UsageSource::kJsonl:
      return "jsonl";
    case UsageSource::kNone:
      break;
  }
  return "none";
}

std::int64_t age_ns(const Usage& usage) {
  std::int64_t age = 0;
  // The files know times that are further away than nanoseconds can count.
  if (__builtin_sub_overflow(core::unix_ns_of(usage.now), core::unix_ns_of(usage.as_of), &age)) {
    age = usage.now < usage.as_of ? 0 : std::numeric_limits<std::int64_t>::max();
  }
  return std::max<std::int64_t>(age, 0);
}

std::string usage_json(const Usage& usage) {
  core::JsonWriter out;
  out.begin_object().key("source").text(usage_source_name(usage.source));
  write_error(out, usage.error);
  write_time(out.key("as_of"), usage.as_of);
  out.key("age_s").number(static_cast<double>(age_ns(usage)) / 1e9);
  if (usage.source == UsageSource::kJsonl) {
    write_transcripts(out, usage.transcripts);
    out.end_object();
    return out.take();
  }
  write_usage_members(out, *usage.endpoint);
  write_time_or_null(out.key("endpoint_as_of"), usage.endpoint_as_of);
  out.key("observed");
  if (usage.observation) {
    write_observation(out, *usage.observation);
  } else {
    out.null();
  }
  out.end_object();
  return out.take();
}

}  // namespace satchel::cascade
