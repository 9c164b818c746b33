// What is said to a tokenizer service and what it answers, as text. No I/O.
//
// An answer is read strictly: what is missing, of another type, out of range or contradicts itself
// makes it no answer at all, never a count. Members that we do not know are its own affair.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "prompt_cache/tokenizer.hpp"

namespace satchel::prompt_cache {

std::string tokenize_body(std::string_view model, std::span<const Segment> segments);
std::string render_body(std::string_view model, const RenderRequest& request);

// Of answers with status 200; the errors are kBadAnswer.
core::Result<std::vector<ModelVersions>> read_versions(std::string_view body);
core::Result<std::vector<std::uint32_t>> read_token_counts(std::string_view body);
core::Result<RenderCounts> read_render_counts(std::string_view body);

// What an answer with another status means to whoever asked for counts.
TokenizerFault fault_of_tokenize(int status, std::string_view body);
TokenizerFault fault_of_render(int status, std::string_view body);

}  // namespace satchel::prompt_cache
