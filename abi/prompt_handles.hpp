// What the handles of the prompt cache stand for.
#pragma once

#include <memory>
#include <string>

#include "boundary.hpp"
#include "core/log.hpp"
#include "host.hpp"
#include "prompt_cache/prompt_cache.hpp"

namespace satchel::abi {

// The engine, and the host's clock and log that it uses. Requests may outlive it: what is shut down
// here is gone when closing returns, written and released, whoever still holds the engine.
struct OpenCache {
  OpenCache() = default;
  OpenCache(const OpenCache&) = delete;
  OpenCache& operator=(const OpenCache&) = delete;
  ~OpenCache() {
    if (engine) engine->shut_down();
  }

  std::shared_ptr<Context> context;
  std::shared_ptr<prompt_cache::PromptCache> engine;
};

// Pins the cache that a handle of another type came from, so that closing it waits for this call.
inline core::Result<core::Status> pin_cache(Pin& pin, const void* cache) {
  const core::Status status = pin.acquire(cache, HandleType::kPromptCache);
  if (status != core::Status::kOk) return handle_error(status, cache, HandleType::kPromptCache);
  return status;
}

}  // namespace satchel::abi
