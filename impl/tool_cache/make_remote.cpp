#include "tool_cache/make_remote.hpp"

#include "core/curl_transport.hpp"
#include "satchel/satchel.h"
#include "tool_cache/remote_http.hpp"
#ifdef SATCHEL_WITH_REDIS
#include "tool_cache/remote_redis.hpp"
#endif

namespace satchel::tool_cache {

core::Result<std::unique_ptr<RemoteStore>> make_remote_store(const RemoteConfig& config,
                                                             core::Log& log) {
  if (config.kind == "redis") {
#ifdef SATCHEL_WITH_REDIS
    return make_redis_remote(config);
#else
    return core::Error{core::Status::kConfig,
                       "configuration: remote.kind: \"redis\" was not built in", 0, 0};
#endif
  }
  return make_http_remote(
      config, core::make_curl_transport({"satchel/" SATCHEL_VERSION_STRING, config.ca_file}, log));
}

}  // namespace satchel::tool_cache
