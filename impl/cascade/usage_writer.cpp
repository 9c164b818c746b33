#include "cascade/usage_writer.hpp"

#include <optional>

namespace satchel::cascade {

using core::JsonWriter;

namespace {

void text_or_null(JsonWriter& out, const std::optional<std::string>& text) {
  if (text) {
    out.text(*text);
  } else {
    out.null();
  }
}

template <class T>
void number_or_null(JsonWriter& out, const std::optional<T>& number) {
  if (number) {
    out.number(*number);
  } else {
    out.null();
  }
}

void write_bucket(JsonWriter& out, const std::optional<UsageBucket>& bucket) {
  if (!bucket) {
    out.null();
    return;
  }
  out.begin_object().key("utilization").number(bucket->utilization).key("resets_at");
  write_time_or_null(out, bucket->resets_at);
  out.end_object();
}

void write_extra_usage(JsonWriter& out, const std::optional<ExtraUsage>& extra) {
  if (!extra) {
    out.null();
    return;
  }
  out.begin_object().key("is_enabled");
  if (extra->is_enabled) {
    out.boolean(*extra->is_enabled);
  } else {
    out.null();
  }
  number_or_null(out.key("utilization"), extra->utilization);
  number_or_null(out.key("monthly_limit"), extra->monthly_limit);
  number_or_null(out.key("used_credits"), extra->used_credits);
  text_or_null(out.key("currency"), extra->currency);
  out.end_object();
}

void write_scope(JsonWriter& out, const std::optional<LimitScope>& scope) {
  if (!scope) {
    out.null();
    return;
  }
  out.begin_object().key("model");
  if (scope->model) {
    out.begin_object();
    text_or_null(out.key("display_name"), scope->model->display_name);
    text_or_null(out.key("id"), scope->model->id);
    out.end_object();
  } else {
    out.null();
  }
  out.end_object();
}

void write_limit(JsonWriter& out, const Limit& limit) {
  out.begin_object().key("kind").text(limit_kind_name(limit.kind));
  out.key("percent").number(limit.percent);
  write_time_or_null(out.key("resets_at"), limit.resets_at);
  write_scope(out.key("scope"), limit.scope);
  out.key("severity").text(limit_severity_name(limit.severity));
  out.end_object();
}

}  // namespace

void write_time(JsonWriter& out, core::Timestamp time) { out.text(core::format_timestamp(time)); }

void write_time_or_null(JsonWriter& out, const std::optional<core::Timestamp>& time) {
  if (time) {
    write_time(out, *time);
  } else {
    out.null();
  }
}

void write_tokens(JsonWriter& out, const TokenCounts& tokens) {
  out.begin_object()
      .key("input")
      .number(tokens.input)
      .key("output")
      .number(tokens.output)
      .key("cache_creation")
      .number(tokens.cache_creation)
      .key("cache_read")
      .number(tokens.cache_read)
      .end_object();
}

void write_usage_members(JsonWriter& out, const EndpointUsage& usage) {
  for (std::size_t i = 0; i < kBucketCount; ++i) {
    write_bucket(out.key(kBucketNames[i]), usage.buckets[i]);
  }
  write_extra_usage(out.key("extra_usage"), usage.extra_usage);
  out.key("limits");
  if (usage.limits) {
    out.begin_array();
    for (const Limit& limit : *usage.limits) write_limit(out, limit);
    out.end_array();
  } else {
    out.null();
  }
  out.key("unknown_buckets").begin_object();
  for (const auto& [name, json] : usage.unknown_buckets) out.key(name).json(json);
  out.end_object();
}

}  // namespace satchel::cascade
