// A store of the host behind the engine's interface.
#pragma once

#include <memory>
#include <optional>

#include "core/result.hpp"
#include "host.hpp"
#include "satchel/satchel.h"
#include "tool_cache/store.hpp"

namespace satchel::abi {

// Takes the table over, before anything else can fail, so that it is released once whatever comes.
// One of a wrong size cannot be read and is not released. kArgument where a member is missing.
core::Result<std::unique_ptr<tool_cache::Store>> take_tool_store(const satchel_tool_store* table);

// Store::contains has no way to say that the host failed: while one of these is on the stack of the
// thread that asks, it notes that here.
class ContainsFailure {
 public:
  ContainsFailure();
  ContainsFailure(const ContainsFailure&) = delete;
  ContainsFailure& operator=(const ContainsFailure&) = delete;
  ~ContainsFailure();

  std::optional<core::Error> error;

 private:
  ContainsFailure* const outer_;
};

}  // namespace satchel::abi
