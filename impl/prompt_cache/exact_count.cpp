#include "prompt_cache/exact_count.hpp"

#include <algorithm>

namespace satchel::prompt_cache {

using core::JsonValue;

namespace {

constexpr std::uint64_t kDriftTokens = 20;
constexpr std::uint64_t kDriftPart = 100;  // of theirs: 1 %

bool is_beyond(const Breakpoint& breakpoint, const std::optional<KnownPrefix>& known) {
  return !known || breakpoint.block > known->block;
}

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

RenderRequest render_request(const core::JsonTape& forwarded) {
  const JsonValue messages = forwarded.root().member("messages");
  const JsonValue tools = forwarded.root().member("tools");
  RenderRequest request;
  request.messages = messages.exists() ? messages.raw() : std::string_view("[]");
  if (tools.exists()) request.tools = tools.raw();
  return request;
}

std::vector<Prefix> prefixes_beyond(std::span<const Breakpoint> breakpoints,
                                    const std::optional<KnownPrefix>& known) {
  std::vector<Prefix> prefixes;
  for (const Breakpoint& breakpoint : breakpoints) {
    if (is_beyond(breakpoint, known)) prefixes.push_back(breakpoint.prefix);
  }
  return prefixes;
}

RenderVerdict judge_render(const RenderCounts& counts, std::size_t prefix_count) {
  if (counts.prefixes.size() != prefix_count) return RenderVerdict::kMisaligned;
  std::uint32_t before = 0;
  for (const std::optional<std::uint32_t>& count : counts.prefixes) {
    if (!count) continue;
    if (*count < before || *count > counts.total) return RenderVerdict::kNotMonotonic;
    before = *count;
  }
  return RenderVerdict::kUsable;
}

BreakpointCounts counts_of(const RenderCounts& counts, std::span<const Breakpoint> breakpoints,
                           const std::optional<KnownPrefix>& known) {
  BreakpointCounts found(breakpoints.size());
  auto next = counts.prefixes.begin();
  for (std::size_t i = 0; i < breakpoints.size(); ++i) {
    if (is_beyond(breakpoints[i], known)) found[i] = *next++;
  }
  return found;
}

bool has_gaps(const BreakpointCounts& counts, std::span<const Breakpoint> breakpoints,
              const std::optional<KnownPrefix>& known) {
  for (std::size_t i = 0; i < breakpoints.size(); ++i) {
    if (is_beyond(breakpoints[i], known) && !counts[i]) return true;
  }
  return false;
}

void fill_gaps(BreakpointCounts& counts, std::span<const Breakpoint> breakpoints,
               const std::optional<KnownPrefix>& known, std::span<const std::uint32_t> cumulative,
               std::uint64_t total) {
  const auto plain = [&](std::size_t block) { return std::uint64_t{cumulative[block]}; };
  std::optional<KnownPrefix> before = known;  // the closest that has a count, estimates included
  for (std::size_t i = 0; i < breakpoints.size(); ++i) {
    const std::size_t block = breakpoints[i].block;
    if (!is_beyond(breakpoints[i], known)) continue;
    if (!counts[i]) {
      std::optional<KnownPrefix> after;
      for (std::size_t k = i + 1; k < counts.size() && !after; ++k) {
        if (counts[k]) after = {breakpoints[k].block, *counts[k]};
      }
      std::uint64_t estimate = plain(block);
      if (before) {
        estimate = before->tokens + minus(plain(block), plain(before->block));
      } else if (after) {
        estimate = minus(after->tokens, minus(plain(after->block), plain(block)));
      }
      counts[i] = std::min({estimate, after ? after->tokens : total, total});
    }
    before = {block, *counts[i]};
  }
}

bool drift_alarm(std::uint64_t ours, std::uint64_t theirs) {
  const std::uint64_t apart = ours > theirs ? ours - theirs : theirs - ours;
  return apart > kDriftTokens && apart > theirs / kDriftPart;
}

}  // namespace satchel::prompt_cache
