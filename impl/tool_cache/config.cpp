#include "tool_cache/config.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/config_reader.hpp"
#include "tool_cache/fingerprint.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMany = std::int64_t{1} << 40;
constexpr std::int64_t kYears = 100LL * 366 * 86'400;
constexpr std::int64_t kDayMillis = 86'400'000;

void read_index(core::ConfigReader& reader, Config& config) {
  reader.text("kind", config.index_kind);
  if (config.index_kind != "sqlite" && config.index_kind != "memory") {
    reader.reject("kind", "expected \"sqlite\" or \"memory\", got \"" + config.index_kind + "\"");
  }
}

}  // namespace

core::Result<Config> read_tool_cache_config(std::string_view text) {
  Config config;
  core::Result<void> read = core::read_config(text, [&](core::ConfigReader& reader) {
    reader.boolean("strict", config.strict);
    reader.integer("max_bytes", config.max_bytes, 0, kAny);
    reader.integer("max_entries", config.max_entries, 0, kAny);
    reader.integer("max_age_s", config.max_age_s, 0, kYears);
    reader.integer("memory_bytes", config.memory_bytes, 0, kMany);
    reader.integer("compress_min_bytes", config.compress_min_bytes, 0, kAny);
    reader.integer("hash_max_bytes", config.hash_max_bytes, 0, kAny);
    reader.integer("hash_threads", config.hash_threads, 1, 256);
    reader.integer("lease_ms", config.lease_ms, 1, kDayMillis);
    reader.integer("maintenance_interval_ms", config.maintenance_interval_ms, 10, kDayMillis);
    reader.integer("orphan_age_s", config.orphan_age_s, 0, kYears);
    reader.object("index", [&](core::ConfigReader& index) { read_index(index, config); });
    reader.text("stats_path", config.stats_path);
    reader.object("remote",
                  [&](core::ConfigReader& remote) { read_remote_config(remote, config.remote); });
  });
  if (!read) return read.take_error();
  if (config.hash_max_bytes == 0) {
    config.hash_max_bytes = static_cast<std::int64_t>(
        std::min<std::uint64_t>(content_ceiling(), static_cast<std::uint64_t>(kAny)));
  }
  return config;
}

}  // namespace satchel::tool_cache
