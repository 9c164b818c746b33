#include "cascade/cache_file.hpp"

#include <cstdint>
#include <utility>

#include "cascade/serde_members.hpp"
#include "cascade/usage_reader.hpp"
#include "cascade/usage_writer.hpp"
#include "core/json_pretty.hpp"
#include "core/json_tape.hpp"
#include "core/json_writer.hpp"

namespace satchel::cascade {
namespace {

constexpr std::int64_t kSchemaVersion = 1;
// What is nested a hundred deep would become megabytes of blanks, more than is ever read again.
constexpr std::size_t kMostPrettyBytes = std::size_t{512} << 10;

}  // namespace

std::optional<CacheEntry> read_cache_file(std::string_view text) {
  core::JsonTape tape;
  if (!tape.read(text)) return std::nullopt;
  const auto members =
      serde_members<4>(tape.root(), {"schema_version", "cached_at", "data", "error"});
  if (!members) return std::nullopt;
  const auto& [schema_version, cached_at, data, error] = *members;
  const std::optional<core::Timestamp> at = read_time(cached_at);
  if (read_integer(schema_version) != kSchemaVersion || !at) return std::nullopt;

  CacheEntry entry{*at, nullptr, {}};
  if (!is_none(data)) {
    std::optional<EndpointUsage> usage = read_cached_data(data);
    if (!usage) return std::nullopt;
    entry.data = std::make_shared<const EndpointUsage>(std::move(*usage));
  }
  if (!is_none(error)) {
    const auto code = serde_members<1>(error, {"code"});
    if (code) entry.error_code = read_text((*code)[0]);
    if (!entry.error_code) return std::nullopt;
  }
  return entry;
}

std::string write_cache_file(const EndpointUsage& usage, core::Timestamp cached_at) {
  core::JsonWriter out;
  out.begin_object().key("schema_version").number(kSchemaVersion).key("cached_at");
  write_time(out, cached_at);
  out.key("data").begin_object();
  write_usage_members(out, usage);
  out.end_object().key("error").null().end_object();
  std::string text = out.take();
  std::string pretty = core::pretty_json(text);
  return pretty.size() <= kMostPrettyBytes ? pretty : text;
}

}  // namespace satchel::cascade
