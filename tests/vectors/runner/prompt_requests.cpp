// prompt_requests: a body with its policies, and what parsing, validating and forwarding make of
// it.
#include <map>

#include "forms.hpp"

namespace vectors {

namespace {

constexpr std::string_view kTarget = "/v1/chat/completions";

// Error kinds by SATCHEL_MARKER_*, as the reference names them.
std::string_view kind_name(int reason) {
  switch (reason) {
    case SATCHEL_MARKER_NONE:
      return "none";
    case SATCHEL_MARKER_JSON:
      return "Json";
    case SATCHEL_MARKER_TOO_MANY_BREAKPOINTS:
      return "TooManyBreakpoints";
    case SATCHEL_MARKER_INVALID_TTL:
      return "InvalidTtl";
    case SATCHEL_MARKER_UNSUPPORTED_TYPE:
      return "UnsupportedType";
    case SATCHEL_MARKER_DISABLED_TIER:
      return "DisabledTier";
    case SATCHEL_MARKER_MALFORMED:
      return "MalformedCacheControl";
    case SATCHEL_MARKER_AUTOMATIC_TTL_CONFLICT:
      return "AutomaticTtlConflict";
    case SATCHEL_MARKER_NO_AUTOMATIC_SLOT:
      return "NoAutomaticSlot";
    default:
      return "unknown";
  }
}

std::string_view kind_of(const std::optional<satchel::Error>& error) {
  return error ? kind_name(error->reason()) : "none";
}

// The kind decides the status: not JSON is an error, a bad marker the client's mistake.
void compare_error(Verdict& verdict, std::string_view field, std::string_view expected_kind,
                   const std::optional<satchel::Error>& error) {
  verdict.equal(field, expected_kind, kind_of(error));
  if (!error) return;
  verdict.equal(std::string(field) + " status",
                std::string_view(expected_kind == "Json" ? "ERR_JSON" : "REJECTED"),
                std::string_view(error->status_name()));
}

void compare_blocks(Verdict& verdict, Json expected, const satchel::Prompt& prompt) {
  const auto blocks = array(expected, "blocks");
  const auto hashes = array(expected, "hashes");
  verdict.equal("parse.blocks, how many", blocks.size(), prompt.block_count());
  verdict.equal("parse.hashes, how many", hashes.size(), prompt.block_count());
  if (blocks.size() != prompt.block_count()) return;
  std::size_t i = 0;
  for (const Json block : blocks) {
    if (array(block).size() != 3) throw std::runtime_error("a block is not [role, index, text]");
    const satchel_block got = prompt.block(i);
    const std::string field = "parse.blocks[" + std::to_string(i) + "]";
    const Json message = block.at(1);
    verdict.equal(field + " role", block.at(0).get_string().value(), satchel::text(got.role));
    verdict.equal(field + " message_index",
                  message.is_null() ? std::int64_t{-1} : message.get_int64().value(),
                  got.message_index);
    verdict.equal(field + " text", block.at(2).get_string().value(), satchel::text(got.text));
    verdict.equal("parse.hashes[" + std::to_string(i) + "]", hashes.at(i).get_string().value(),
                  hex(got.hash));
    ++i;
  }
}

std::int64_t ordinal(Json prefix, std::string_view name) {
  const std::optional<Json> found = member(prefix, name);
  return found ? found->get_int64().value() : -1;
}

void compare_breakpoints(Verdict& verdict, Json expected, const satchel::Prompt& prompt) {
  const auto breakpoints = array(expected, "breakpoints");
  verdict.equal("parse.breakpoints, how many", breakpoints.size(), prompt.breakpoint_count());
  if (breakpoints.size() != prompt.breakpoint_count()) return;
  std::size_t i = 0;
  for (const Json breakpoint : breakpoints) {
    const satchel_breakpoint got = prompt.breakpoint(i);
    const std::string field = "parse.breakpoints[" + std::to_string(i) + "] ";
    const Json prefix = breakpoint["prefix"];
    verdict.equal(field + "block", unsigned_integer(breakpoint, "block"), got.block);
    verdict.equal(field + "candidates", unsigned_integer(breakpoint, "candidates"),
                  got.candidate_count);
    verdict.equal(field + "ttl", required_bytes(breakpoint, "ttl"), tier_name(got.tier));
    verdict.equal(field + "prefix.tools", ordinal(prefix, "tools"), got.tools);
    verdict.equal(field + "prefix.message", ordinal(prefix, "message"), got.message);
    verdict.equal(field + "prefix.block", ordinal(prefix, "block"), got.message_block);
    verdict.equal(field + "prefix.tool_call", ordinal(prefix, "tool_call"), got.tool_call);
    ++i;
  }
}

void compare_parse(Verdict& verdict, Json expected, satchel::PromptCache& cache,
                   const std::string& body) {
  satchel::Prompt prompt;
  const auto error = thrown_by([&] { prompt = cache.parse(body); });
  const std::optional<Json> kind = member(expected, "error");
  compare_error(verdict, "parse.error", kind ? kind->get_string().value() : "none", error);
  if (error) {
    if (const auto message = member(expected, "message")) {
      verdict.equal("parse.message", message->get_string().value(), error->message());
    }
    return;
  }
  if (kind) return;
  compare_blocks(verdict, expected, prompt);
  compare_breakpoints(verdict, expected, prompt);
}

void compare_forward(Verdict& verdict, Json expected, const satchel::ForwardedBody& forwarded) {
  const std::optional<std::string> body = bytes(expected, "body");
  verdict.equal("forward.body changed", body.has_value(), forwarded.body.has_value());
  if (body && forwarded.body) {
    verdict.equal("forward.body, canonical", *body, canonical(forwarded.body->view()));
  }
  verdict.equal("forward.had_markers", boolean(expected, "had_markers"), forwarded.had_markers);
}

void compare_rejection(Verdict& verdict, const satchel::Forward& answer,
                       const satchel::Error& error) {
  verdict.equal("request http_status", 400, answer.http_status);
  verdict.equal("request reason", kind_name(error.reason()), kind_name(answer.reason));
  verdict.equal("request content_type", std::string_view("application/json"), answer.content_type);
  simdjson::dom::parser parser;
  const std::string body(answer.body);
  const Json details = parser.parse(body)["error"].value();
  verdict.equal("request error.type", std::string_view("invalid_request_error"),
                required_bytes(details, "type"));
  verdict.equal("request error.code", std::string_view("invalid_cache_control"),
                required_bytes(details, "code"));
  verdict.equal("request error.param", std::string_view("cache_control"),
                required_bytes(details, "param"));
  // A tier that is off has the tiers that are on behind its message.
  const std::string message = required_bytes(details, "message");
  const std::string_view first = error.message();
  verdict.equal("request error.message", first,
                std::string_view(message).substr(0, std::min(first.size(), message.size())));
  verdict.equal("request error.message names the available tiers",
                error.reason() == SATCHEL_MARKER_DISABLED_TIER,
                message.find("; available tiers: ") != std::string::npos);
}

// A whole request must say what its parts said.
void compare_request(Verdict& verdict, satchel::PromptCache& cache, const std::string& body,
                     const std::optional<satchel::Error>& error,
                     const satchel::ForwardedBody& forwarded) {
  std::optional<satchel::Request> request =
      cache.request({"POST", kTarget, {}, {}, "principal-of-the-vectors"});
  if (!request) return verdict.fail("request", "PASS_THROUGH for a POST to a chat completion");
  const satchel::Forward answer = request->body(body);
  const auto action_name = [](satchel::Forward::Action action) -> std::string_view {
    switch (action) {
      case satchel::Forward::Action::kSend:
        return "OK";
      case satchel::Forward::Action::kPassThrough:
        return "PASS_THROUGH";
      case satchel::Forward::Action::kReject:
        return "REJECTED";
    }
    return "";
  };
  const bool json = !error || error->reason() != SATCHEL_MARKER_JSON;
  verdict.equal("request",
                std::string_view(!json   ? "PASS_THROUGH"
                                 : error ? "REJECTED"
                                         : "OK"),
                action_name(answer.action));
  if (answer.action == satchel::Forward::Action::kReject && error) {
    compare_rejection(verdict, answer, *error);
  }
  if (answer.action != satchel::Forward::Action::kSend) return;
  verdict.equal("request body", forwarded.body ? forwarded.body->view() : body, answer.body);
  verdict.equal("request body_changed", forwarded.body.has_value(), answer.body_changed);
  verdict.equal("request target", kTarget, answer.target);
  verdict.equal("request target_changed", false, answer.target_changed);
  verdict.equal("request had_markers", forwarded.had_markers, request->result().had_markers != 0);
}

void compare_case(Verdict& verdict, Json test_case, satchel::PromptCache& cache) {
  const std::string body = required_bytes(test_case, "body");
  if (const auto parse = member(test_case, "parse")) compare_parse(verdict, *parse, cache, body);

  const auto error = thrown_by([&] { cache.validate(body); });
  if (present(test_case, "validate")) {
    compare_error(verdict, "validate", bytes(test_case, "validate").value_or("none"), error);
  }
  const satchel::ForwardedBody forwarded = cache.forward(body);
  if (const auto forward = member(test_case, "forward")) {
    compare_forward(verdict, *forward, forwarded);
  }
  compare_request(verdict, cache, body, error, forwarded);
}

bool recognises(Json root) {
  return is_list_of(root, [](Json first) {
    return present(first, "body") &&
           (present(first, "parse") || present(first, "validate") || present(first, "forward"));
  });
}

Tally run(Json root, const satchel::Library& library, const Options& /*options*/) {
  Tally tally;
  std::map<std::string, satchel::PromptCache> caches;  // by configuration
  std::size_t number = 0;
  for (const Json test_case : array(root)) {
    compare(tally, "case " + std::to_string(number++), [&](Verdict& verdict) {
      const std::string config = policy_config(test_case);
      auto cache = caches.find(config);
      if (cache == caches.end()) {
        cache = caches.emplace(config, satchel::PromptCache(library, config)).first;
      }
      compare_case(verdict, test_case, cache->second);
    });
  }
  return tally;
}

}  // namespace

const Form kPromptRequests = {"prompt_requests", recognises, run};

}  // namespace vectors
