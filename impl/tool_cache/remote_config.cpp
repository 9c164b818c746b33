#include "tool_cache/remote_config.hpp"

#include <utility>

#include "core/base_url.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kLargestPayload = 128 << 20;  // in base64 it must fit into one JSON text
constexpr std::size_t kShortestKey = 16;

std::shared_ptr<const core::Secret> read_secret(core::ConfigReader& reader, const char* key) {
  core::Secret secret;
  reader.secret(key, secret);
  return std::make_shared<const core::Secret>(std::move(secret));
}

void read_http(core::ConfigReader& reader, RemoteConfig& config) {
  bool plain_http = false;
  reader.text("url", config.url);
  reader.boolean("plain_http", plain_http);
  core::check_base_url(reader, "url", config.url, plain_http);
  config.token = read_secret(reader, "token");
  if (config.token->empty()) reader.reject("token", "the server knows us by it");
  reader.text("ca_file", config.ca_file);
  reader.boolean("allow_shared", config.allow_shared);
  reader.boolean("promote_to_shared", config.promote_to_shared);
}

void read_redis(core::ConfigReader& reader, RemoteConfig& config) {
  reader.texts("urls", config.urls);
  if (config.urls.empty()) reader.reject("urls", "Redis needs at least one URL");
  reader.boolean("cluster", config.cluster);
  config.key = read_secret(reader, "key");
  if (config.key->view().size() < kShortestKey) {
    reader.reject("key", "expected a secret of at least 16 bytes, the same on all machines");
  }
  reader.integer("ttl_ms", config.ttl_ms, 1'000, 366 * kDay);
}

}  // namespace

void read_remote_config(core::ConfigReader& reader, RemoteConfig& config) {
  reader.text("kind", config.kind);
  if (config.kind != "http" && config.kind != "redis") {
    reader.reject("kind", "expected \"http\" or \"redis\", got \"" + config.kind + "\"");
    return;
  }
  reader.integer("timeout_ms", config.timeout_ms, 1, kDay);
  reader.integer("send_timeout_ms", config.send_timeout_ms, 1, kDay);
  reader.integer("max_payload_bytes", config.max_payload_bytes, 1, kLargestPayload);
  if (config.kind == "http") {
    read_http(reader, config);
  } else {
    read_redis(reader, config);
  }
}

}  // namespace satchel::tool_cache
