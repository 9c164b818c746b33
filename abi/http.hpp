// The host's way to other machines behind the library's interface.
#pragma once

#include <memory>

#include "core/transport.hpp"
#include "host.hpp"

namespace satchel::abi {

// null where the host has none. A request that the host does not want to handle is kNotHandled.
std::unique_ptr<core::Transport> make_host_transport(const std::shared_ptr<Context>& context);

}  // namespace satchel::abi
