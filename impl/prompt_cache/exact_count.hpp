// Exact counting, the decisions: from what a render says of a prompt to the tokens of each
// breakpoint. No I/O. Source: dwctl prompt_cache/classifier.rs; vectors prompt_classify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/json_tape.hpp"
#include "prompt_cache/prompt.hpp"
#include "prompt_cache/tokenizer.hpp"

namespace satchel::prompt_cache {

// The prefix that is in the index already.
struct KnownPrefix {
  std::size_t block = 0;  // its last
  std::uint64_t tokens = 0;
};

// Tokens up to and including each breakpoint; nothing: not known, and not asked for where the
// breakpoint is not beyond what is known already.
using BreakpointCounts = std::vector<std::optional<std::uint64_t>>;

// The messages and tools of a forwarded body, as they stand there; no messages are an empty list.
// Views into the body.
RenderRequest render_request(const core::JsonTape& forwarded);

// The prefixes to ask for: of the breakpoints beyond `known`.
std::vector<Prefix> prefixes_beyond(std::span<const Breakpoint> breakpoints,
                                    const std::optional<KnownPrefix>& known);

enum class RenderVerdict : std::uint8_t {
  kUsable,
  kMisaligned,    // not one count for each prefix
  kNotMonotonic,  // a longer prefix with fewer tokens, or one with more than the whole prompt
};
// Whether an answer to prefixes_beyond() can be believed.
RenderVerdict judge_render(const RenderCounts& counts, std::size_t prefix_count);

// Of a usable answer.
BreakpointCounts counts_of(const RenderCounts& counts, std::span<const Breakpoint> breakpoints,
                           const std::optional<KnownPrefix>& known);

// Whether any breakpoint beyond `known` has no count.
bool has_gaps(const BreakpointCounts& counts, std::span<const Breakpoint> breakpoints,
              const std::optional<KnownPrefix>& known);

// Estimates what the template refused. From the closest earlier count, else what is known, else the
// closest later count, by the difference in plain tokens; else plain tokens alone. Never above the
// next later count nor the whole prompt: JSON counts high where a template is terse.
//   cumulative  plain tokens up to and including each block, all breakpoints' blocks among them
void fill_gaps(BreakpointCounts& counts, std::span<const Breakpoint> breakpoints,
               const std::optional<KnownPrefix>& known, std::span<const std::uint32_t> cumulative,
               std::uint64_t total);

// Whether our total of a prompt and the upstream's prompt_tokens are so far apart that somebody
// should look: by more than 20 tokens and more than 1 % of theirs.
bool drift_alarm(std::uint64_t ours, std::uint64_t theirs);

}  // namespace satchel::prompt_cache
