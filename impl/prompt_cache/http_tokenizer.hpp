// The tokenizer as a service (spec "Tokenizer contract"): GET /v1/models, POST /v1/tokenize, POST
// /v1/render. One that says it is overloaded (503) is asked again, as long as anybody waits.
#pragma once

#include <memory>

#include "core/clock.hpp"
#include "core/metrics.hpp"
#include "core/transport.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/tokenizer.hpp"

namespace satchel::prompt_cache {

// `retries` counts; it and `clock` outlive it.
std::unique_ptr<Tokenizer> make_http_tokenizer(const TokenizerConfig& config,
                                               std::unique_ptr<core::Transport> transport,
                                               core::Counter& retries, core::Clock& clock);

}  // namespace satchel::prompt_cache
