// The ABI of a tool cache as a whole: what is in it, and its upkeep.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "core/clock.hpp"
#include "core/json_writer.hpp"
#include "satchel/satchel.h"
#include "tool_cache/tool_cache.hpp"
#include "tool_handles.hpp"
#include "tool_input.hpp"

using satchel::abi::with_tool_cache;
using satchel::core::Error;
using satchel::core::JsonWriter;
using satchel::core::kNanosPerMilli;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Found;
using satchel::tool_cache::Key;
using satchel::tool_cache::ToolCache;
namespace abi = satchel::abi;

namespace {

constexpr uint32_t kMaxPage = 10'000;

// Milliseconds of the caller; longer than time itself is as good as for ever.
std::int64_t nanos(std::uint64_t millis) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max() / kNanosPerMilli;
  return static_cast<std::int64_t>(std::min(millis, kMost)) * kNanosPerMilli;
}

std::string json_array(const std::vector<std::string>& texts) {
  JsonWriter json;
  json.begin_array();
  for (const std::string& text : texts) json.text(text);
  return json.end_array().take();
}

}  // namespace

extern "C" {

satchel_status satchel_tool_entry_count(satchel_tool_cache* cache, uint64_t* count,
                                        satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (count == nullptr) return abi::argument_error("count", "is NULL");
    return abi::give(engine.entry_count(), count);
  });
}

satchel_status satchel_tool_known_kinds(satchel_tool_cache* cache, satchel_buffer* out,
                                        satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    Result<std::vector<std::string>> kinds = engine.known_kinds();
    if (!kinds) return kinds.take_error();
    abi::fill_buffer(out, json_array(*kinds));
    return Status::kOk;
  });
}

satchel_status satchel_tool_total_bytes(satchel_tool_cache* cache, uint64_t* bytes,
                                        satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (bytes == nullptr) return abi::argument_error("bytes", "is NULL");
    return abi::give(engine.total_bytes(), bytes);
  });
}

satchel_status satchel_tool_evict_to_cap(satchel_tool_cache* cache, uint64_t cap, uint64_t* dropped,
                                         satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    return abi::give(engine.evict_to_cap(cap), dropped);
  });
}

satchel_status satchel_tool_evict(satchel_tool_cache* cache, uint64_t* dropped,
                                  satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    return abi::give(engine.evict(), dropped);
  });
}

satchel_status satchel_tool_sweep(satchel_tool_cache* cache, uint64_t min_age_ms, uint64_t* removed,
                                  satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    return abi::give(engine.sweep(nanos(min_age_ms)), removed);
  });
}

satchel_status satchel_tool_rebuild(satchel_tool_cache* cache, satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (Result<void> rebuilt = engine.rebuild(); !rebuilt) return rebuilt.take_error();
    return Status::kOk;
  });
}

satchel_status satchel_tool_cache_flush(satchel_tool_cache* cache, uint32_t timeout_ms,
                                        satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (engine.flush(nanos(timeout_ms))) return Status::kOk;
    return Error{Status::kTimeout,
                 "work was still waiting after " + std::to_string(timeout_ms) + " ms", 0, 0};
  });
}

satchel_status satchel_tool_stats(satchel_tool_cache* cache, satchel_buffer* out,
                                  satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    return abi::give(engine.stats_json(), out);
  });
}

satchel_status satchel_tool_metrics(satchel_tool_cache* cache, satchel_buffer* out,
                                    satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    abi::fill_buffer(out, engine.metrics());
    return Status::kOk;
  });
}

satchel_status satchel_tool_list(satchel_tool_cache* cache, const char* after, size_t after_len,
                                 const char* kind, size_t kind_len, uint32_t limit,
                                 satchel_buffer* out, satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    std::optional<Key> behind;
    if (after_len != 0) {
      const Result<Key> parsed = abi::read_key(after, after_len, "after");
      if (!parsed) return parsed.error();
      behind = *parsed;
    }
    const Result<std::string_view> of_kind = abi::bytes_of(kind, kind_len, "kind");
    if (!of_kind) return of_kind.error();
    if (limit < 1 || limit > kMaxPage) {
      return abi::argument_error("limit", "is not from 1 to 10000");
    }
    return abi::give(engine.list_json(behind, *of_kind, limit), out);
  });
}

satchel_status satchel_tool_why(satchel_tool_cache* cache, const char* key, size_t key_len,
                                satchel_buffer* out, satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    return abi::give(engine.why_json(*parsed), out);
  });
}

satchel_status satchel_tool_verify(satchel_tool_cache* cache, const char* key, size_t key_len,
                                   satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    Result<Found> found = engine.verify(*parsed);
    if (!found) return found.take_error();
    return abi::answer(error, found->answer, std::move(found->why));
  });
}

satchel_status satchel_tool_record(satchel_tool_cache* cache, const char* tool, size_t tool_len,
                                   const char* outcome, size_t outcome_len, uint64_t duration_us,
                                   const char* args_summary, size_t args_summary_len,
                                   const char* reason, size_t reason_len, satchel_error* error) {
  return with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<std::string_view> name = abi::bytes_of(tool, tool_len, "tool");
    if (!name) return name.error();
    const Result<std::string_view> came = abi::bytes_of(outcome, outcome_len, "outcome");
    if (!came) return came.error();
    const Result<std::string_view> summary =
        abi::bytes_of(args_summary, args_summary_len, "args_summary");
    if (!summary) return summary.error();
    const Result<std::string_view> because = abi::bytes_of(reason, reason_len, "reason");
    if (!because) return because.error();
    engine.record(*name, *came, duration_us, *summary, *because);
    return Status::kOk;
  });
}

}  // extern "C"
