// The index that a configuration asks for.
#pragma once

#include <memory>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/index_backend.hpp"

namespace satchel::prompt_cache {

// `host_index`, where there is one, whatever the configuration says. `clock` and `log` must outlive
// it.
std::shared_ptr<Index> make_index(const Config& config, std::unique_ptr<IndexBackend> host_index,
                                  core::Clock& clock, core::Log& log);

}  // namespace satchel::prompt_cache
