// Redis or Valkey as a remote. Of each entry
//   satchel:tool:<team>:{<key>}:payload      its bytes
//   satchel:tool:<team>:{<key>}:meta         the text of its meta
//   satchel:tool:<team>:{<key>}:dependents   a set: the keys of entries made from it
// all signed (remote_signature.hpp), all expiring; the hash tag keeps them on one node of a
// cluster. <team> follows from the secret. Redis' own eviction is the bound: it may take any of
// them at any time. Payload without meta, or one that belongs to another meta, is no entry; without
// its set of dependents an invalidation does not reach those that are only there.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "tool_cache/remote_config.hpp"
#include "tool_cache/remote_store.hpp"

namespace satchel::tool_cache {

// kConfig: a URL that is none. Connects when it is first asked.
core::Result<std::unique_ptr<RemoteStore>> make_redis_remote(const RemoteConfig& config);

}  // namespace satchel::tool_cache
