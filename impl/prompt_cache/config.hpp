// The prompt cache's configuration, with its defaults. docs/configuration.md explains each key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "prompt_cache/model_table.hpp"
#include "prompt_cache/prompt.hpp"

namespace satchel::prompt_cache {

struct IndexConfig {
  std::string kind = "memory";
  std::string path;
  std::int64_t max_bytes = std::int64_t{1} << 30;  // sqlite
  std::int64_t max_entries = 1'000'000;            // memory
  std::int64_t sweep_interval_ms = 60'000;
};

struct Config {
  IndexConfig index;
  PromptPolicy policy;
  ModelTable models{{"*", ModelConfig{true, 1024}}};
  bool inject = true;
  bool scrub = true;
  std::int64_t max_body_bytes = std::int64_t{32} << 20;
  std::int64_t max_response_bytes = std::int64_t{64} << 20;
  std::int64_t max_event_bytes = std::int64_t{64} << 10;
  std::int64_t classify_deadline_ms = 5'000;
  std::int64_t commit_deadline_ms = 30'000;
};

core::Result<Config> read_prompt_cache_config(std::string_view text);

}  // namespace satchel::prompt_cache
