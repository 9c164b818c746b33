// The configuration of satchel_cascade_open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace satchel::cascade {

struct Config {
  std::string api_base_url = "https://api.anthropic.com";
  std::string ca_file;  // empty: the system's authorities
  std::int64_t timeout_ms = 2000;
  std::int64_t cache_duration_s = 180;
  bool cache = true;  // false: no files at all
  bool stale_while_revalidate = false;

  bool transcripts = true;         // false: the transcripts are not looked at
  std::string dedup = "complete";  // or "first", as the reference
  std::int64_t depth = 0;          // levels of directories below projects/; 0: all
  std::string owner = "mine";      // or "any"
  bool remember = true;            // keep what was read in the cache directory
  std::int64_t threads = 0;        // 0: as many as the machine has, at most 4
  std::int64_t max_line_bytes = 64 << 20;
};

core::Result<Config> read_cascade_config(std::string_view text);

}  // namespace satchel::cascade
