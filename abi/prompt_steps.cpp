// The ABI of the prompt cache's single steps, for hosts that own the rest of the flow.
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "prompt_cache/forward.hpp"
#include "prompt_cache/prompt.hpp"
#include "prompt_cache/query.hpp"
#include "prompt_handles.hpp"
#include "satchel/satchel.h"

using satchel::abi::HandleType;
using satchel::abi::OpenCache;
using satchel::abi::Pin;
using satchel::core::JsonCanonical;
using satchel::core::JsonEdits;
using satchel::core::JsonTape;
using satchel::core::Result;
using satchel::core::Sha256;
using satchel::core::Status;
using satchel::prompt_cache::Block;
using satchel::prompt_cache::Breakpoint;
using satchel::prompt_cache::MarkerFault;
using satchel::prompt_cache::Prompt;
using satchel::prompt_cache::PromptPolicy;
using satchel::prompt_cache::QueryBreakpoint;
using satchel::prompt_cache::Tier;
namespace abi = satchel::abi;
namespace prompt_cache = satchel::prompt_cache;

static_assert(static_cast<int>(Tier::k5m) == SATCHEL_TIER_5M);
static_assert(static_cast<int>(Tier::k1h) == SATCHEL_TIER_1H);
static_assert(static_cast<int>(Tier::k24h) == SATCHEL_TIER_24H);

namespace {

// A parsed prompt that outlives the body it came from.
struct OpenPrompt {
  struct OwnedBlock {
    std::string role;
    std::string text;
    std::int64_t message;
    satchel::core::Hash256 hash;
  };
  std::vector<OwnedBlock> blocks;
  std::vector<Breakpoint> breakpoints;
};

Result<void> read_json(JsonTape& tape, std::string_view body) {
  Result<void> read = tape.read(body);
  if (read || read.error().status != Status::kJson) return read;
  return prompt_cache::marker_error(MarkerFault::kJson, read.error().message);
}

Result<std::shared_ptr<OpenPrompt>> parse(std::string_view body, const PromptPolicy& policy) {
  JsonTape tape;
  if (Result<void> read = read_json(tape, body); !read) return read.take_error();
  Prompt prompt;
  prompt.read(tape, policy);
  if (Result<void> found = prompt.find_breakpoints(); !found) return found.take_error();
  auto parsed = std::make_shared<OpenPrompt>();
  parsed->breakpoints = prompt.breakpoints();
  parsed->blocks.reserve(prompt.blocks().size());
  JsonCanonical canonical;
  Sha256 hash;
  std::string storage;
  for (const Block& block : prompt.blocks()) {
    prompt.hash(block, canonical, hash);
    parsed->blocks.push_back({prompt.role(block),
                              std::string(prompt.text(block, canonical, storage)), block.message,
                              hash.digest()});
  }
  return parsed;
}

template <class Use>
satchel_status with_prompt(satchel_prompt* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kPrompt);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kPrompt);
    return use(pin.object<OpenPrompt>());
  });
}

// Runs `use(body, policy)` with the cache pinned.
template <class Use>
satchel_status with_body(satchel_prompt_cache* cache, const char* body, size_t body_len,
                         satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    if (Result<Status> pinned = abi::pin_cache(pin, cache); !pinned) return pinned.take_error();
    const Result<std::string_view> bytes = abi::bytes_of(body, body_len, "body");
    if (!bytes) return bytes.error();
    return use(*bytes, pin.object<OpenCache>().engine->config().policy);
  });
}

}  // namespace

extern "C" {

satchel_status satchel_prompt_parse(satchel_prompt_cache* cache, const char* body, size_t body_len,
                                    satchel_prompt** out, satchel_error* error) {
  return with_body(cache, body, body_len, error,
                   [&](std::string_view bytes, const PromptPolicy& policy) -> Result<Status> {
                     if (out == nullptr) return abi::argument_error("out", "is NULL");
                     *out = nullptr;
                     Result<std::shared_ptr<OpenPrompt>> parsed = parse(bytes, policy);
                     if (!parsed) return parsed.take_error();
                     *out = static_cast<satchel_prompt*>(
                         abi::open_handle(HandleType::kPrompt, std::move(*parsed)));
                     return Status::kOk;
                   });
}

satchel_status satchel_prompt_free(satchel_prompt** prompt) {
  return abi::close_and_forget(prompt, HandleType::kPrompt);
}

satchel_status satchel_prompt_block_count(satchel_prompt* prompt, size_t* count,
                                          satchel_error* error) {
  return with_prompt(prompt, error, [&](const OpenPrompt& open) -> Result<Status> {
    if (count == nullptr) return abi::argument_error("count", "is NULL");
    *count = open.blocks.size();
    return Status::kOk;
  });
}

satchel_status satchel_prompt_block(satchel_prompt* prompt, size_t index, satchel_block* block,
                                    satchel_error* error) {
  return with_prompt(prompt, error, [&](const OpenPrompt& open) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(block, sizeof *block, "block"); !checked) {
      return checked.take_error();
    }
    if (index >= open.blocks.size()) return abi::argument_error("index", "is out of range");
    const OpenPrompt::OwnedBlock& owned = open.blocks[index];
    block->role = abi::view_of(owned.role);
    block->text = abi::view_of(owned.text);
    block->message_index = owned.message;
    std::memcpy(block->hash, owned.hash.data(), owned.hash.size());
    return Status::kOk;
  });
}

satchel_status satchel_prompt_breakpoint_count(satchel_prompt* prompt, size_t* count,
                                               satchel_error* error) {
  return with_prompt(prompt, error, [&](const OpenPrompt& open) -> Result<Status> {
    if (count == nullptr) return abi::argument_error("count", "is NULL");
    *count = open.breakpoints.size();
    return Status::kOk;
  });
}

satchel_status satchel_prompt_breakpoint(satchel_prompt* prompt, size_t index,
                                         satchel_breakpoint* breakpoint, satchel_error* error) {
  return with_prompt(prompt, error, [&](const OpenPrompt& open) -> Result<Status> {
    if (Result<void> checked =
            abi::check_output_struct(breakpoint, sizeof *breakpoint, "breakpoint");
        !checked) {
      return checked.take_error();
    }
    if (index >= open.breakpoints.size()) return abi::argument_error("index", "is out of range");
    const Breakpoint& found = open.breakpoints[index];
    breakpoint->block = found.block;
    breakpoint->candidate_count = prompt_cache::candidate_count(found.block);
    breakpoint->tools = found.prefix.tools;
    breakpoint->message = found.prefix.message;
    breakpoint->message_block = found.prefix.block;
    breakpoint->tool_call = found.prefix.tool_call;
    breakpoint->tier = static_cast<int32_t>(found.tier);
    breakpoint->reserved = 0;
    return Status::kOk;
  });
}

satchel_status satchel_prompt_validate(satchel_prompt_cache* cache, const char* body,
                                       size_t body_len, satchel_error* error) {
  return with_body(cache, body, body_len, error,
                   [&](std::string_view bytes, const PromptPolicy& policy) -> Result<Status> {
                     JsonTape tape;
                     if (Result<void> read = read_json(tape, bytes); !read) {
                       return read.take_error();
                     }
                     Prompt prompt;
                     prompt.read(tape, policy);
                     if (Result<void> valid = prompt.validate(); !valid) return valid.take_error();
                     return Status::kOk;
                   });
}

satchel_status satchel_prompt_forward(satchel_prompt_cache* cache, const char* body,
                                      size_t body_len, satchel_buffer* out, int32_t* had_markers,
                                      satchel_error* error) {
  return with_body(cache, body, body_len, error,
                   [&](std::string_view bytes, const PromptPolicy& policy) -> Result<Status> {
                     if (out == nullptr) return abi::argument_error("out", "is NULL");
                     JsonTape tape;
                     const bool json = tape.read(bytes).ok();
                     JsonEdits edits;
                     const bool had = json && prompt_cache::edit_forwarded_body(
                                                  tape.root(), policy.telemetry, edits);
                     if (had_markers != nullptr) *had_markers = had ? 1 : 0;
                     if (edits.empty()) return abi::answer(error, Status::kUnchanged);
                     std::string edited;
                     edits.apply(bytes, edited);
                     abi::fill_buffer(out, std::move(edited));
                     return Status::kOk;
                   });
}

satchel_status satchel_query_breakpoint(const char* target, size_t target_len, satchel_view* value,
                                        satchel_buffer* out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    const Result<std::string_view> text = abi::bytes_of(target, target_len, "target");
    if (!text) return text.error();
    const QueryBreakpoint query = prompt_cache::read_query_breakpoint(*text);
    if (value != nullptr) *value = abi::view_of(query.value);
    if (out != nullptr) {
      abi::fill_buffer(out,
                       prompt_cache::strip_query_breakpoint(*text).value_or(std::string(*text)));
    }
    switch (query.kind) {
      case QueryBreakpoint::Kind::kAbsent:
        return abi::answer(error, Status::kUnchanged);
      case QueryBreakpoint::Kind::kMarker:
        return Status::kOk;
      case QueryBreakpoint::Kind::kInvalid:
        return abi::answer(error, Status::kRejected,
                           "the value of cacheBreakpoint is not supported");
    }
    return Status::kInternal;
  });
}

satchel_status satchel_query_mark(const char* body, size_t body_len, satchel_buffer* out,
                                  satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    const Result<std::string_view> bytes = abi::bytes_of(body, body_len, "body");
    if (!bytes) return bytes.error();
    JsonTape tape;
    if (Result<void> read = read_json(tape, *bytes); !read) return read.take_error();
    JsonEdits edits;
    if (!prompt_cache::edit_query_marker(tape.root(), edits)) {
      return abi::answer(error, Status::kUnchanged);
    }
    std::string edited;
    edits.apply(*bytes, edited);
    abi::fill_buffer(out, std::move(edited));
    return Status::kOk;
  });
}

satchel_status satchel_json_canonical(const char* json, size_t json_len, satchel_buffer* out,
                                      satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    const Result<std::string_view> bytes = abi::bytes_of(json, json_len, "json");
    if (!bytes) return bytes.error();
    JsonTape tape;
    if (Result<void> read = tape.read(*bytes); !read) return read.take_error();
    std::string text;
    JsonCanonical canonical;
    canonical.append(tape.root(), text);
    abi::fill_buffer(out, std::move(text));
    return Status::kOk;
  });
}

}  // extern "C"
