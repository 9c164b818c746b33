// The configuration of a tool cache.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "tool_cache/remote_config.hpp"

namespace satchel::tool_cache {

struct Config {
  bool strict = false;
  std::int64_t max_bytes = 0;  // 0: no bound, here and below
  std::int64_t max_entries = 0;
  std::int64_t max_age_s = 0;
  std::int64_t memory_bytes = 16 << 20;
  std::int64_t compress_min_bytes = 0;
  std::int64_t hash_max_bytes = 0;  // 0: content_ceiling()
  std::int64_t hash_threads = 4;
  std::int64_t lease_ms = 120'000;
  std::int64_t maintenance_interval_ms = 5'000;
  std::int64_t orphan_age_s = 3'600;
  std::string index_kind = "sqlite";  // or "memory"
  std::string stats_path;
  RemoteConfig remote;
};

// kConfig, naming the key.
core::Result<Config> read_tool_cache_config(std::string_view text);

}  // namespace satchel::tool_cache
