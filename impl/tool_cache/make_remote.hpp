// The remote that the configuration asks for.
#pragma once

#include <memory>

#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/remote_config.hpp"
#include "tool_cache/remote_store.hpp"

namespace satchel::tool_cache {

// `config` has a kind. kConfig: an address that is none. Nothing is connected yet.
core::Result<std::unique_ptr<RemoteStore>> make_remote_store(const RemoteConfig& config,
                                                             core::Log& log);

}  // namespace satchel::tool_cache
