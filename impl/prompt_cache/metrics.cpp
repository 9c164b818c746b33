#include "prompt_cache/metrics.hpp"

#include "core/metrics.hpp"

namespace satchel::prompt_cache {
namespace {

using core::CounterRow;
using core::MetricsText;

constexpr std::string_view kOther = "other";

template <class Label, std::size_t N>
void write_row(MetricsText& out, std::string_view label, const CounterRow<Label>& row,
               const std::array<std::string_view, N>& names) {
  static_assert(N == static_cast<std::size_t>(Label::kCount));
  for (std::size_t i = 0; i < N; ++i) {
    out.sample({{label, names[i]}}, row.value(static_cast<Label>(i)));
  }
}

constexpr std::array<std::string_view, Metrics::kMarkerReasons> kMarkerReasonNames{
    "none",
    "json",
    "too_many_breakpoints",
    "invalid_ttl",
    "unsupported_type",
    "tier_disabled",
    "malformed_cache_control",
    "automatic_ttl_conflict",
    "no_automatic_slot"};
constexpr std::array<std::string_view, 4> kResolvedNames{"hit", "miss", "unknown_key", "failed"};

}  // namespace

Metrics::Metrics(const std::vector<std::string>& models) {
  for (const std::string& model : models) tokens_[model];
  tokens_[std::string(kOther)];
}

void Metrics::add_tokens(std::string_view model, const CacheUsage& usage) {
  auto found = tokens_.find(model);
  if (found == tokens_.end()) found = tokens_.find(kOther);
  Tokens& tokens = found->second;
  tokens.read.add(usage.read);
  tokens.creation_5m.add(usage.creation_5m);
  tokens.creation_1h.add(usage.creation_1h);
  tokens.creation_24h.add(usage.creation_24h);
}

std::string Metrics::text(const IndexCounts& index) const {
  MetricsText out("satchel_prompt_cache_");
  out.counter("marker_requests_total", "Bodies read, by whether the client marked a breakpoint.");
  write_row(out, "marked", marker_requests, std::array<std::string_view, 2>{"false", "true"});
  out.counter("requests_total", "Requests that ended, by what caching did for them.");
  write_row(out, "outcome", requests,
            std::array<std::string_view, 6>{"read", "create_only", "read_and_create", "zero_active",
                                            "inactive", "aborted"});
  out.counter("body_read_failed_total", "Bodies over the limit, answered with 400.",
              body_too_long.value());
  out.counter("markers_rejected_total",
              "Bodies answered with 400, by what was wrong with a marker.");
  for (std::size_t i = 1; i < kMarkerReasons; ++i) {
    out.sample({{"reason", kMarkerReasonNames[i]}}, markers_rejected[i].value());
  }
  out.counter("read_input_tokens_total", "Tokens read from the cache, as classified.");
  for (const auto& [model, tokens] : tokens_) {
    out.sample({{"model", model}}, tokens.read.value());
  }
  out.counter("creation_input_tokens_total", "Tokens newly cached, as classified.");
  for (const auto& [model, tokens] : tokens_) {
    out.sample({{"model", model}, {"tier", "5m"}}, tokens.creation_5m.value());
    out.sample({{"model", model}, {"tier", "1h"}}, tokens.creation_1h.value());
    out.sample({{"model", model}, {"tier", "24h"}}, tokens.creation_24h.value());
  }

  out.counter("classify_total", "Classifications, by how they ended.");
  write_row(out, "outcome", classified,
            std::array<std::string_view, 5>{"ok", "deadline_exceeded", "queue_full", "error",
                                            "abandoned"});
  out.histogram("classify_duration_seconds", "Time a classification took.", classify_ns);
  out.counter("skip_total", "Requests of enabled models that cached nothing, by reason.");
  write_row(
      out, "reason", skips,
      std::array<std::string_view, 9>{"no_markers", "unparseable", "tokenizer_unmapped",
                                      "tokenize_failed", "count_mismatch", "below_floor",
                                      "index_failed", "tokenizer_unreachable", "render_failed"});
  out.counter("principal_resolve_total", "Principals asked for, by whether they were remembered.");
  write_row(out, "result", principals, kResolvedNames);
  out.counter("model_config_resolve_total", "Model configurations asked for, likewise.");
  write_row(out, "result", model_configs, kResolvedNames);
  out.counter("tokenizer_version_cache_total", "Tokenizer versions asked for, likewise.");
  write_row(out, "result", tokenizer_versions, kResolvedNames);

  constexpr std::array<std::string_view, 3> kCalls{"versions", "tokenize", "render"};
  constexpr std::array<std::string_view, 5> kOutcomes{"ok", "unmapped", "refused", "http_error",
                                                      "transport_error"};
  out.counter("tokenizer_requests_total", "Calls of the tokenizer, by how they ended.");
  for (std::size_t call = 0; call < kCalls.size(); ++call) {
    for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
      out.sample({{"call", kCalls[call]}, {"outcome", kOutcomes[i]}},
                 tokenizer_requests[call].value(static_cast<TokenizerOutcome>(i)));
    }
  }
  out.histogram("tokenizer_duration_seconds", "Time a call of the tokenizer took.", tokenizer_ns);
  out.counter("tokenizer_retries_total", "Calls of an overloaded tokenizer made again.",
              tokenizer_retries.value());
  out.counter("render_fallback_total", "Exact counts that became sums of segments, by reason.");
  write_row(out, "reason", render_fallbacks,
            std::array<std::string_view, 4>{"no_template", "render_failed", "misaligned",
                                            "not_monotonic"});
  out.counter("render_drift_compared_total", "Exact totals compared with the upstream's.",
              drift_compared.value());
  out.counter("render_drift_alarms_total", "Of these, over 20 tokens and 1 % apart.",
              drift_alarms.value());
  out.counter("render_drift_tokens_total", "Tokens by which they were apart.",
              drift_tokens.value());

  out.histogram("lookup_duration_seconds", "Time a lookup in the index took.", lookup_ns);
  out.counter("commit_total", "Commits decided for, by whether the index took them.");
  write_row(out, "result", commits, std::array<std::string_view, 2>{"ok", "dropped"});
  out.counter("commit_vetoed_total", "Commits decided against, by reason.");
  write_row(out, "reason", vetoes,
            std::array<std::string_view, 4>{"non_2xx", "no_usage", "error_frame", "aborted"});
  out.counter("index_lookups_total", "Lookups.", index.lookups);
  out.counter("index_hits_total", "Lookups that found a live prefix.", index.hits);
  out.counter("index_lookup_failures_total", "Lookups answered as \"no caching\".",
              index.lookup_failures);
  out.counter("index_lookups_turned_away_total", "Of these, for want of a free connection.",
              index.lookups_turned_away);
  out.counter("index_entries_written_total", "Entries written.", index.entries_written);
  out.counter("index_entries_refreshed_total", "Entries whose life was extended.",
              index.entries_refreshed);
  out.counter("index_entries_dropped_total", "Entries not written: too late, refused, queue full.",
              index.entries_dropped);
  out.counter("index_entries_swept_total", "Expired entries removed.", index.entries_swept);
  out.counter("index_write_retries_total", "Writes tried again.", index.write_retries);
  out.gauge("index_entries_waiting", "Entries handed over and not written yet.")
      .sample({}, index.entries_waiting);
  return out.take();
}

}  // namespace satchel::prompt_cache
