// The prompt cache's configuration, with its defaults. docs/configuration.md explains each key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "prompt_cache/model_table.hpp"
#include "prompt_cache/prompt.hpp"

namespace satchel::prompt_cache {

struct PostgresConfig {
  std::string url;                  // a connection string of libpq, TLS included
  std::int64_t pool = 8;            // connections for lookups; one more writes
  std::int64_t pool_wait_ms = 100;  // for a free one; then the request goes uncached
  std::int64_t connect_timeout_ms = 2'000;
  std::int64_t lookup_timeout_ms = 1'000;
  std::int64_t keep_expired_ms = 0;  // the sweep leaves entries so long after their expiry
};

struct RedisConfig {
  std::vector<std::string> urls;  // redis://[[user]:password@]host[:port][/database], unix:/path
  bool cluster = false;           // `urls` are some of its nodes
  std::int64_t pool = 8;          // connections, for each node
  std::int64_t timeout_ms = 100;  // to connect, and for an answer
  std::int64_t refresh_interval_ms = 3'000;  // how long a refresh waits for others to merge with
};

struct IndexConfig {
  std::string kind = "memory";
  std::string path;
  std::int64_t max_bytes = std::int64_t{1} << 30;  // sqlite
  std::int64_t max_entries = 1'000'000;            // memory
  std::int64_t sweep_interval_ms = 60'000;
  PostgresConfig postgres;  // postgres, redis
  RedisConfig redis;        // redis
};

// A service that counts tokens. Without a URL: the estimate, unless the host brings one.
struct TokenizerConfig {
  std::string url;      // before "/v1/..."
  std::string api_key;  // sent as a bearer; empty: none
  std::string ca_file;
  std::int64_t timeout_ms = 5'000;  // for one answer
};

struct Config {
  IndexConfig index;
  PromptPolicy policy;
  ModelTable models{{"*", ModelConfig{true, 1024}}};
  TokenizerConfig tokenizer;
  bool exact = false;
  bool inject = true;
  bool scrub = true;
  std::int64_t max_body_bytes = std::int64_t{32} << 20;
  std::int64_t max_response_bytes = std::int64_t{64} << 20;
  std::int64_t max_event_bytes = std::int64_t{64} << 10;
  std::int64_t classify_deadline_ms = 5'000;
  std::int64_t classify_threads = 8;    // at most; those of satchel_request_classify_start
  std::int64_t classify_queue = 1'024;  // how many may wait for one; more go uncached
  std::int64_t commit_deadline_ms = 30'000;
};

core::Result<Config> read_prompt_cache_config(std::string_view text);

}  // namespace satchel::prompt_cache
