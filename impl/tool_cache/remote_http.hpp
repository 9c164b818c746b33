// The reference's cache server as a remote: POST /v1/cache/lookup, /v1/cache/persist and
// /v1/cache/invalidate-upstream, with a bearer token.
//
// The server knows no removal of one entry. As the reference's client does, we ask it to invalidate
// the entry as an upstream, which drops the entry and what was made from it.
#pragma once

#include <memory>

#include "core/transport.hpp"
#include "tool_cache/remote_config.hpp"
#include "tool_cache/remote_store.hpp"

namespace satchel::tool_cache {

std::unique_ptr<RemoteStore> make_http_remote(const RemoteConfig& config,
                                              std::unique_ptr<core::Transport> transport);

}  // namespace satchel::tool_cache
