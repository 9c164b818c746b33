// A usage as a handle, and as an error where nothing is known.
#pragma once

#include "cascade/usage.hpp"
#include "core/result.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

// kOk and a new handle in *out, or kUnavailable.
core::Result<core::Status> give_usage(cascade::Usage usage, satchel_usage** out);
core::Error unavailable(cascade::UsageError error);

}  // namespace satchel::abi
