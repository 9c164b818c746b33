// What the host lends to a cascade, behind the engine's interfaces.
#pragma once

#include <memory>

#include "cascade/cascade.hpp"
#include "core/result.hpp"
#include "host.hpp"
#include "satchel/satchel.h"

namespace satchel::abi {

// The host's tables, each taken over before anything else can fail, so that it is released once
// whatever comes. One of a wrong size cannot be read and is not released.
struct CascadeTables {
  std::shared_ptr<HostTable<satchel_usage_files>> files;
  std::shared_ptr<HostTable<satchel_credentials>> credentials;
  std::shared_ptr<HostTable<satchel_transcripts>> transcripts;
};
core::Result<CascadeTables> take_cascade_tables(const satchel_cascade_parts* parts);

// The engine's parts: places read from `parts` (may be null) or the environment, tables wrapped.
core::Result<cascade::CascadeParts> make_cascade_parts(const satchel_cascade_parts* parts,
                                                       const CascadeTables& tables,
                                                       const cascade::Config& config,
                                                       const std::shared_ptr<Context>& context);

}  // namespace satchel::abi
