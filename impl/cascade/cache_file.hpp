// usage.json: the endpoint's last answer, or an error, and when. Shared with linesmith
// (linesmith-core 0.4.1, cache.rs).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/usage_data.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

struct CacheEntry {
  core::Timestamp cached_at;
  std::shared_ptr<const EndpointUsage> data;  // null: none
  std::optional<std::string> error_code;
};

// nullopt: a miss - another schema, no JSON, no UTF-8. The caller refuses an entry whose cached_at
// lies in the future.
std::optional<CacheEntry> read_cache_file(std::string_view text);
std::string write_cache_file(const EndpointUsage& usage, core::Timestamp cached_at);

}  // namespace satchel::cascade
