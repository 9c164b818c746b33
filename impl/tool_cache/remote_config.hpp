// The member "remote" of a tool cache's configuration.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/config_reader.hpp"
#include "core/secret.hpp"

namespace satchel::tool_cache {

struct RemoteConfig {
  std::string kind;  // "http", "redis"; empty: no remote
  std::int64_t timeout_ms = 200;
  std::int64_t send_timeout_ms = 5'000;  // of what nobody waits for
  std::int64_t max_payload_bytes = 8 << 20;
  // http
  std::string url;
  std::shared_ptr<const core::Secret> token;
  std::string ca_file;
  bool allow_shared = true;
  bool promote_to_shared = false;
  // redis
  std::vector<std::string> urls;
  bool cluster = false;
  std::shared_ptr<const core::Secret> key;
  std::int64_t ttl_ms = 604'800'000;
};

void read_remote_config(core::ConfigReader& reader, RemoteConfig& config);

}  // namespace satchel::tool_cache
