// A chat-completions body as the cache sees it: blocks in canonical order, breakpoints, hashes.
//
// Canonical order: tools, then for each message its content and, for role assistant, its tool
// calls. Source: dwctl prompt_cache/parse.rs; vectors prompt_requests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_canonical.hpp"
#include "core/json_tape.hpp"
#include "core/result.hpp"
#include "core/sha256.hpp"
#include "prompt_cache/marker.hpp"
#include "prompt_cache/telemetry.hpp"
#include "prompt_cache/tier.hpp"

namespace satchel::prompt_cache {

// How many boundaries are looked up for a breakpoint, its own included.
constexpr std::size_t kWalkBack = 20;

enum class BlockKind : std::uint8_t {
  kTool,      // an entry of tools[]
  kString,    // a message's content that is a string
  kContent,   // an entry of a message's content array
  kToolCall,  // an entry of an assistant message's tool_calls[]
};

// Where a block stands in the tape of its body.
struct Block {
  std::uint32_t value = 0;    // tape index
  std::uint32_t role = 0;     // tape index of the message's role, where has_role
  std::int32_t message = -1;  // ordinal in messages[], -1 for tools
  std::uint32_t ordinal = 0;  // in its array, as forwarded
  BlockKind kind = BlockKind::kTool;
  bool has_role = false;      // a role that is no string counts as the empty string
  bool ends_message = false;  // nothing of the message as forwarded follows it
};

// The prefix that a breakpoint ends, in wire form; -1 for ordinals that are absent.
struct Prefix {
  std::int64_t tools = -1;  // a count
  std::int64_t message = -1;
  std::int64_t block = -1;
  std::int64_t tool_call = -1;
};

struct Breakpoint {
  std::size_t block = 0;  // index of the last block of the prefix
  Tier tier = Tier::k5m;
  Prefix prefix;
};

struct PromptPolicy {
  TierPolicy tiers;
  TelemetryPolicy telemetry;
};

// How many hashes are looked up for the breakpoint at this block.
constexpr std::size_t candidate_count(std::size_t block) {
  return block + 1 < kWalkBack ? block + 1 : kWalkBack;
}

class Prompt {
 public:
  // Finds the blocks and the markers. `tape` must hold the body and outlive the prompt.
  void read(const core::JsonTape& tape, const PromptPolicy& policy);

  // Checks as a request is checked before it is forwarded: markers in document order, stopping at
  // the fifth, the top-level one last.
  [[nodiscard]] core::Result<void> validate() const;

  // Makes the breakpoints. Unlike validate() it looks at every marker before it counts them.
  core::Result<void> find_breakpoints();

  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  [[nodiscard]] const std::vector<Breakpoint>& breakpoints() const { return breakpoints_; }
  [[nodiscard]] core::JsonValue model() const { return model_; }

  // What is counted of a block. `storage` is used where the text is not in the source as it is.
  std::string_view text(const Block& block, core::JsonCanonical& canonical,
                        std::string& storage) const;
  [[nodiscard]] std::string role(const Block& block) const;

  // Adds one block to the hash over all blocks before it. Returns the length of its text.
  std::uint64_t hash(const Block& block, core::JsonCanonical& canonical, core::Sha256& hash) const;

  // Forgets the body, and gives memory beyond `bytes` back; for pools.
  void shrink(std::size_t bytes);

 private:
  struct Marked {
    std::size_t block;
    core::JsonValue marker;
  };
  enum class Automatic : std::uint8_t { kNothing, kBreakpoint };

  void read_tools(core::JsonValue tools);
  void read_messages(core::JsonValue messages);
  void read_message(core::JsonValue message, std::int32_t ordinal);
  void add(const Block& block, core::JsonValue value);
  [[nodiscard]] core::Result<Automatic> resolve_automatic(Tier tier, const Tier* last,
                                                          std::size_t explicit_count) const;
  [[nodiscard]] Prefix prefix_of(const Block& block) const;
  [[nodiscard]] Prefix automatic_prefix() const;

  const core::JsonTape* tape_ = nullptr;
  const PromptPolicy* policy_ = nullptr;
  core::JsonValue model_;
  core::JsonValue automatic_;  // the top-level marker, where it is not null
  std::int64_t tool_count_ = 0;
  std::int64_t message_count_ = 0;
  std::vector<Block> blocks_;
  std::vector<Marked> marked_;
  std::vector<Breakpoint> breakpoints_;
};

}  // namespace satchel::prompt_cache
