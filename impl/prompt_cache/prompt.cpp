#include "prompt_cache/prompt.hpp"

#include <algorithm>

#include "prompt_cache/message_members.hpp"

namespace satchel::prompt_cache {

using core::JsonCanonical;
using core::JsonCursor;
using core::JsonValue;
using core::Ok;
using core::Result;
using core::Sha256;

namespace {

bool is_marker(JsonValue marker) { return marker.exists() && !marker.is_null(); }

}  // namespace

void Prompt::read(const core::JsonTape& tape, const PromptPolicy& policy) {
  tape_ = &tape;
  policy_ = &policy;
  blocks_.clear();
  marked_.clear();
  breakpoints_.clear();
  model_ = {};
  automatic_ = {};
  tool_count_ = 0;
  message_count_ = 0;

  const JsonValue body = tape.root();
  if (!body.is_object()) return;
  model_ = body.member("model");
  read_tools(body.member("tools"));
  read_messages(body.member("messages"));
  const JsonValue automatic = body.member(kMarkerName);
  if (is_marker(automatic)) automatic_ = automatic;
}

void Prompt::shrink(std::size_t bytes) {
  tape_ = nullptr;
  if (blocks_.capacity() * sizeof(Block) + marked_.capacity() * sizeof(Marked) <= bytes) return;
  // Not `= {}`: that assigns an empty list and keeps the memory.
  blocks_ = std::vector<Block>();
  marked_ = std::vector<Marked>();
  breakpoints_ = std::vector<Breakpoint>();
}

void Prompt::read_tools(JsonValue tools) {
  if (!tools.is_array()) return;
  for (JsonCursor cursor(tools); cursor.valid(); cursor.next()) {
    Block block;
    block.kind = BlockKind::kTool;
    block.ordinal = static_cast<std::uint32_t>(tool_count_++);
    add(block, cursor.value());
  }
}

void Prompt::read_messages(JsonValue messages) {
  if (!messages.is_array()) return;
  for (JsonCursor cursor(messages); cursor.valid(); cursor.next()) {
    read_message(cursor.value(), static_cast<std::int32_t>(message_count_++));
  }
}

void Prompt::read_message(JsonValue message, std::int32_t ordinal) {
  if (!message.is_object()) return;
  const auto [role, content, tool_calls] = message_members(message);
  Block block;
  block.message = ordinal;
  block.has_role = role.is_string();
  const std::size_t first = blocks_.size();
  bool ends_with_block = true;
  if (block.has_role) block.role = role.index();

  if (content.is_string()) {
    block.kind = BlockKind::kString;
    block.value = content.index();
    blocks_.push_back(block);
  } else if (content.is_array()) {
    block.kind = BlockKind::kContent;
    const bool telemetry = policy_->telemetry.applies_to(role);
    for (JsonCursor cursor(content); cursor.valid(); cursor.next()) {
      if (telemetry && policy_->telemetry.excludes(cursor.value())) {
        if (!policy_->telemetry.strip) {  // it is forwarded, so it keeps its place
          ++block.ordinal;
          ends_with_block = false;
        }
        continue;
      }
      add(block, cursor.value());
      ++block.ordinal;
      ends_with_block = true;
    }
  }
  if (tool_calls.is_array() && role.text_equals("assistant")) {
    block.kind = BlockKind::kToolCall;
    block.ordinal = 0;
    for (JsonCursor cursor(tool_calls); cursor.valid(); cursor.next()) {
      add(block, cursor.value());
      ++block.ordinal;
      ends_with_block = true;
    }
  }
  if (blocks_.size() > first) blocks_.back().ends_message = ends_with_block;
}

void Prompt::add(const Block& block, JsonValue value) {
  const JsonValue marker = value.member(kMarkerName);
  if (is_marker(marker)) marked_.push_back({blocks_.size(), marker});
  blocks_.push_back(block);
  blocks_.back().value = value.index();
}

Result<void> Prompt::validate() const {
  const TierPolicy& tiers = policy_->tiers;
  Tier last_tier{};
  for (std::size_t i = 0; i < marked_.size(); ++i) {
    const Result<Tier> tier = read_marker(marked_[i].marker, tiers);
    if (!tier) return tier.error();
    if (i == kMaxBreakpoints) return marker_error(MarkerFault::kTooManyBreakpoints);
    last_tier = *tier;
  }
  if (!automatic_.exists()) return Ok{};
  const Result<Tier> tier = read_marker(automatic_, tiers);
  if (!tier) return tier.error();
  const bool last_marked = !marked_.empty() && marked_.back().block + 1 == blocks_.size();
  auto automatic = resolve_automatic(*tier, last_marked ? &last_tier : nullptr, marked_.size());
  if (!automatic) return automatic.take_error();
  return Ok{};
}

Result<void> Prompt::find_breakpoints() {
  breakpoints_.clear();
  const TierPolicy& tiers = policy_->tiers;
  for (const Marked& marked : marked_) {
    const Result<Tier> tier = read_marker(marked.marker, tiers);
    if (!tier) return tier.error();
    breakpoints_.push_back({marked.block, *tier, prefix_of(blocks_[marked.block])});
  }
  if (breakpoints_.size() > kMaxBreakpoints) {
    return marker_error(MarkerFault::kTooManyBreakpoints);
  }
  if (!automatic_.exists()) return Ok{};
  const Result<Tier> tier = read_marker(automatic_, tiers);
  if (!tier) return tier.error();
  const bool last_marked = !breakpoints_.empty() && breakpoints_.back().block + 1 == blocks_.size();
  const Tier* last = last_marked ? &breakpoints_.back().tier : nullptr;
  auto automatic = resolve_automatic(*tier, last, breakpoints_.size());
  if (!automatic) return automatic.take_error();
  if (*automatic == Automatic::kBreakpoint) {
    breakpoints_.push_back({blocks_.size() - 1, *tier, automatic_prefix()});
  }
  return Ok{};
}

// What a top-level marker of this tier does, given the tier of a marker on the last block.
Result<Prompt::Automatic> Prompt::resolve_automatic(Tier tier, const Tier* last,
                                                    std::size_t explicit_count) const {
  if (blocks_.empty()) return Automatic::kNothing;
  if (last != nullptr) {
    if (*last == tier) return Automatic::kNothing;
    return marker_error(MarkerFault::kAutomaticTtlConflict);
  }
  if (explicit_count >= kMaxBreakpoints) return marker_error(MarkerFault::kNoAutomaticSlot);
  return Automatic::kBreakpoint;
}

Prefix Prompt::prefix_of(const Block& block) const {
  Prefix prefix;
  if (block.kind == BlockKind::kTool) {
    prefix.tools = std::int64_t{block.ordinal} + 1;
    return prefix;
  }
  prefix.message = block.message;
  // On the last element of its message the prefix is the whole message.
  if (block.ends_message) return prefix;
  if (block.kind == BlockKind::kContent) prefix.block = block.ordinal;
  if (block.kind == BlockKind::kToolCall) prefix.tool_call = block.ordinal;
  return prefix;
}

Prefix Prompt::automatic_prefix() const {
  Prefix prefix;
  if (message_count_ > 0) {
    prefix.message = message_count_ - 1;
  } else {
    prefix.tools = tool_count_;
  }
  return prefix;
}

std::string_view Prompt::text(const Block& block, JsonCanonical& canonical,
                              std::string& storage) const {
  const JsonValue value(tape_, block.value);
  switch (block.kind) {
    case BlockKind::kString:
      return value.text(storage);
    case BlockKind::kContent: {
      const JsonValue text = value.member("text");
      return text.is_string() ? text.text(storage) : std::string_view{};
    }
    case BlockKind::kTool:
    case BlockKind::kToolCall:
      storage.clear();
      canonical.append(value, storage, kMarkerName);
      return storage;
  }
  return {};
}

std::string Prompt::role(const Block& block) const {
  if (block.kind == BlockKind::kTool) return "tool_definition";
  if (block.kind == BlockKind::kToolCall) return "tool_call";
  if (!block.has_role) return {};
  std::string storage;
  return std::string(JsonValue(tape_, block.role).text(storage));
}

std::uint64_t Prompt::hash(const Block& block, JsonCanonical& canonical, Sha256& hash) const {
  using std::string_view_literals::operator""sv;
  const JsonValue value(tape_, block.value);
  if (block.kind == BlockKind::kTool || block.kind == BlockKind::kToolCall) {
    hash.update(block.kind == BlockKind::kTool ? "tool_definition\0"sv : "tool_call\0"sv);
    return canonical.hash(value, hash, kMarkerName);
  }
  std::string role_text;
  if (block.has_role) hash.update(JsonValue(tape_, block.role).text(role_text));
  if (block.kind == BlockKind::kString) {
    hash.update("\0{\"text\":"sv);
    canonical.hash(value, hash);
    hash.update(R"(,"type":"text"})");
    return value.text_length();
  }
  hash.update("\0"sv);
  canonical.hash(value, hash, kMarkerName);
  const JsonValue text = value.member("text");
  return text.is_string() ? text.text_length() : 0;
}

}  // namespace satchel::prompt_cache
