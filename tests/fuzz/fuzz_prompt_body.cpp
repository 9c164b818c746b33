// A request body over any bytes: parsing, validating, forwarding, marking, and a whole request must
// agree with each other, and what is forwarded must hold no marker where parsing reads one.
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "canonical.hpp"

namespace {

using fuzz::require;
using simdjson::dom::element;

// Two policies. Under the first a body is what it seems; the second leaves blocks out and knows
// fewer tiers.
struct Cache {
  satchel::PromptCache prompt_cache;
  bool strips;
};

Cache& cache_for(std::size_t size) {
  static const satchel::Library library(R"({"log_level":"off"})");
  static Cache plain{satchel::PromptCache(library), false};
  static Cache strips{
      satchel::PromptCache(library, R"({"enabled_ttls":["24h","5m"],"default_ttl":"24h",)"
                                    R"("telemetry":{"prefixes":["x-","","b"],"strip":true}})"),
      true};
  return size % 2 == 0 ? plain : strips;
}

// Everything that a parsed prompt says, or the status and reason why it says nothing.
struct Parsed {
  satchel_status status = SATCHEL_OK;
  int reason = SATCHEL_MARKER_NONE;
  std::vector<std::string> blocks;  // role, text and hash
  std::vector<std::string> breakpoints;

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

std::string bytes_of(const void* start, std::size_t size) {
  return std::string(static_cast<const char*>(start), size);
}

Parsed parse(satchel::PromptCache& cache, std::string_view body) {
  Parsed parsed;
  try {
    const satchel::Prompt prompt = cache.parse(body);
    for (std::size_t i = 0; i < prompt.block_count(); ++i) {
      const satchel_block block = prompt.block(i);
      parsed.blocks.push_back(std::string(satchel::text(block.role)) + '\0' +
                              std::string(satchel::text(block.text)) + '\0' +
                              std::to_string(block.message_index) + '\0' +
                              bytes_of(block.hash, sizeof block.hash));
    }
    std::uint64_t previous = 0;
    for (std::size_t i = 0; i < prompt.breakpoint_count(); ++i) {
      const satchel_breakpoint found = prompt.breakpoint(i);
      require(found.block < parsed.blocks.size(), "a breakpoint is on a block");
      require(i == 0 || found.block > previous, "breakpoints ascend");
      require(found.candidate_count == std::min<std::uint64_t>(found.block + 1, 20),
              "candidates: the own hash and those before, 20 in all");
      require((found.tools >= 0) != (found.message >= 0), "a prefix ends in tools or in a message");
      require(found.message >= 0 || (found.message_block < 0 && found.tool_call < 0),
              "only a message has parts");
      require(found.message_block < 0 || found.tool_call < 0, "one part at most");
      previous = found.block;
      parsed.breakpoints.push_back(bytes_of(&found, sizeof found));
    }
    require(prompt.breakpoint_count() <= 4, "at most four breakpoints");
  } catch (const satchel::Error& error) {
    parsed.status = error.status();
    parsed.reason = error.reason();
    require(!error.message().empty(), "an error says what is wrong");
  }
  return parsed;
}

satchel_status validate(satchel::PromptCache& cache, std::string_view body) {
  satchel_error error = SATCHEL_ERROR_INIT;
  return satchel_prompt_validate(cache.raw(), satchel::detail::data(body), body.size(), &error);
}

bool has_marker(element value) {
  return value.is_object() && value.at_key("cache_control").error() == simdjson::SUCCESS;
}

bool any_has_marker(element parent, std::string_view name) {
  const auto found = parent.at_key(name);
  if (found.error() != simdjson::SUCCESS || !found.value_unsafe().is_array()) return false;
  const simdjson::dom::array array = found.value_unsafe().get_array().value();
  for (const element item : array) {
    if (has_marker(item)) return true;
  }
  return false;
}

// Where parsing reads markers, and tool_calls of every role. `canonical` has each key once.
bool has_marker_at_its_place(const std::string& canonical) {
  static simdjson::dom::parser parser;
  const auto parsed = parser.parse(canonical);
  if (parsed.error() != simdjson::SUCCESS) return false;  // a number beyond simdjson
  const element body = parsed.value_unsafe();
  if (has_marker(body) || any_has_marker(body, "tools")) return true;
  const auto messages = body.at_key("messages");
  if (messages.error() != simdjson::SUCCESS || !messages.value_unsafe().is_array()) return false;
  const simdjson::dom::array array = messages.value_unsafe().get_array().value();
  for (const element message : array) {
    if (any_has_marker(message, "content") || any_has_marker(message, "tool_calls")) return true;
  }
  return false;
}

void check_forward(Cache& cache, std::string_view body, const Parsed& parsed,
                   const satchel::ForwardedBody& forwarded) {
  if (!forwarded.body) {
    require(!forwarded.had_markers, "an unchanged body had no markers to remove");
    return;
  }
  require(parsed.reason != SATCHEL_MARKER_JSON, "only JSON is edited");
  const std::optional<std::string> canonical = fuzz::canonical(forwarded.body->view());
  require(canonical.has_value(), "the edited body is JSON");
  require(!has_marker_at_its_place(*canonical), "no marker is forwarded");
  require(forwarded.body->view() != body, "a changed body differs from the original");

  const satchel::ForwardedBody again = cache.prompt_cache.forward(forwarded.body->view());
  require(!again.had_markers, "a forwarded body has no markers left");
  // A marked telemetry block stays, and is unmarked the next time: only then is more to do.
  require(cache.strips || !again.body, "a forwarded body is forwarded as it is");
  if (!cache.strips && parsed.status == SATCHEL_OK) {
    const Parsed without_markers = parse(cache.prompt_cache, forwarded.body->view());
    require(without_markers.blocks == parsed.blocks, "markers are not part of what is hashed");
    require(without_markers.breakpoints.empty(), "no breakpoint is forwarded");
  }
}

void check_mark(satchel::PromptCache& cache, std::string_view body, bool json) {
  std::optional<satchel::Buffer> marked;
  try {
    marked = satchel::query_mark(body);
    require(json, "only JSON is marked");
  } catch (const satchel::Error& error) {
    require(!json && error.status() == SATCHEL_ERR_JSON, "JSON is marked or left alone");
  }
  if (!marked) return;
  const std::optional<std::string> canonical = fuzz::canonical(marked->view());
  require(canonical.has_value(), "a marked body is JSON");
  static simdjson::dom::parser parser;
  const auto parsed = parser.parse(*canonical);
  if (parsed.error() == simdjson::SUCCESS) {
    const element marker = parsed.value_unsafe()["cache_control"].value();
    require(simdjson::minify(marker) == R"({"ttl":"1h","type":"ephemeral"})",
            "the marker is there");
  }
  require(!satchel::query_mark(marked->view()), "a marker of the body's own wins");
  require(parse(cache, marked->view()).reason != SATCHEL_MARKER_MALFORMED ||
              parse(cache, body).reason == SATCHEL_MARKER_MALFORMED,
          "our own marker is well formed");
}

// A request says what its parts said.
void check_request(satchel::PromptCache& cache, std::string_view body, const Parsed& parsed,
                   satchel_status valid, const satchel::ForwardedBody& forwarded) {
  satchel::RequestHead head;
  head.method = "POST";
  head.target = "/v1/chat/completions";
  head.principal = "somebody";
  std::optional<satchel::Request> request = cache.request(head);
  require(request.has_value(), "a POST to chat/completions is ours");
  const satchel::Forward answer = request->body(body);
  using Action = satchel::Forward::Action;
  require((answer.action == Action::kPassThrough) == (parsed.reason == SATCHEL_MARKER_JSON),
          "what is not JSON passes");
  require((answer.action == Action::kReject) == (valid == SATCHEL_REJECTED),
          "what is not valid is rejected");
  if (answer.action == Action::kReject) {
    require(fuzz::canonical(answer.body).has_value(), "a rejection is JSON");
  }
  if (answer.action != Action::kSend) return;
  require(answer.body == (forwarded.body ? forwarded.body->view() : body), "the body to forward");
  request->classify();
  require(request->result().classified == 1, "it is classified");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  Cache& cache = cache_for(size);
  const std::optional<std::string> canonical = fuzz::canonical(body);

  const Parsed parsed = parse(cache.prompt_cache, body);
  require((parsed.status == SATCHEL_ERR_JSON) == !canonical, "parsing knows JSON");
  require((parsed.status == SATCHEL_ERR_JSON) == (parsed.reason == SATCHEL_MARKER_JSON),
          "and says so");
  require(parse(cache.prompt_cache, body) == parsed, "the same body parses to the same");

  const satchel_status valid = validate(cache.prompt_cache, body);
  require(valid == parsed.status, "validation refuses what parsing refuses");

  if (canonical && fuzz::numbers_are_stable(*canonical)) {
    require(parse(cache.prompt_cache, *canonical) == parsed, "equal documents parse to the same");
  }
  const satchel::ForwardedBody forwarded = cache.prompt_cache.forward(body);
  check_forward(cache, body, parsed, forwarded);
  check_mark(cache.prompt_cache, body, canonical.has_value());
  check_request(cache.prompt_cache, body, parsed, valid, forwarded);
  return 0;
}
