// An index of the host behind the engine's interface.
#pragma once

#include <memory>

#include "host.hpp"
#include "prompt_cache/index_backend.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

// Where the table has both find and commit.
std::unique_ptr<prompt_cache::IndexBackend> make_host_index(
    std::shared_ptr<HostTable<satchel_index>> table);

}  // namespace satchel::abi
