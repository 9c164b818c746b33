#include "prompt_cache/tokenizer.hpp"

#include <utility>

namespace satchel::prompt_cache {

core::Error tokenizer_error(TokenizerFault fault, std::string message) {
  return {core::Status::kUnavailable, std::move(message), 0, static_cast<int>(fault)};
}

TokenizerFault tokenizer_fault(const core::Error& error) {
  return static_cast<TokenizerFault>(error.reason);
}

core::Result<RenderCounts> Tokenizer::render(std::string_view /*model*/,
                                             const RenderRequest& /*request*/,
                                             Patience /*patience*/) {
  return tokenizer_error(TokenizerFault::kNoTemplate, "it does not render");
}

}  // namespace satchel::prompt_cache
