#include "prompt_cache/request.hpp"

#include <utility>

#include "core/json_string.hpp"
#include "core/secret.hpp"
#include "core/text.hpp"
#include "prompt_cache/forward.hpp"
#include "prompt_cache/query.hpp"

namespace satchel::prompt_cache {

using core::Error;
using core::JsonValue;
using core::Ok;
using core::Result;
using core::Status;

namespace {

constexpr std::string_view kChatCompletions = "/chat/completions";

Error out_of_order(const char* call, const char* why) {
  return {Status::kState, std::string(call) + ": " + why};
}

std::string_view media_type(std::string_view content_type) {
  return core::trim(content_type.substr(0, content_type.find(';')));
}

std::string error_body(std::string_view code, std::string_view param, std::string_view message) {
  std::string body = R"({"error":{"message":)";
  core::json_append_string(body, message);
  body.append(R"(,"type":"invalid_request_error","code":)");
  core::json_append_string(body, code);
  if (!param.empty()) {
    body.append(R"(,"param":)");
    core::json_append_string(body, param);
  }
  return body.append("}}");
}

}  // namespace

bool is_cacheable(std::string_view method, std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  return method == "POST" && path.size() >= kChatCompletions.size() &&
         path.substr(path.size() - kChatCompletions.size()) == kChatCompletions;
}

Request::Request(std::shared_ptr<PromptCache> cache, std::string_view target,
                 std::string_view principal, std::string_view api_key)
    : cache_(std::move(cache)),
      asker_{std::string(principal), std::string(api_key)},
      target_(target) {}

Request::~Request() { core::wipe(asker_.api_key); }

Forward Request::reject(int http_status, std::string_view code, std::string_view param,
                        std::string_view message, Error error) {
  stage_ = Stage::kDone;
  commit_ = CommitState::kNothing;
  forwarded_ = error_body(code, param, message);
  Forward forward;
  forward.kind = Forward::Kind::kReject;
  forward.http_status = http_status;
  forward.body = forwarded_;
  error.status = Status::kRejected;
  error.message = message;
  forward.error = std::move(error);
  return forward;
}

Result<Forward> Request::body(std::string_view body) {
  if (stage_ != Stage::kNew) return out_of_order("body", "was called before");
  const auto max = static_cast<std::size_t>(cache_->config().max_body_bytes);
  if (body.size() > max) {
    return reject(400, "body_read_failed", {},
                  "failed to read request body: longer than " + std::to_string(max) + " bytes", {});
  }
  const QueryBreakpoint query = read_query_breakpoint(target_);
  if (query.kind == QueryBreakpoint::Kind::kInvalid) {
    return reject(400, "invalid_cache_breakpoint", kBreakpointParameter,
                  "invalid cacheBreakpoint value " + core::quoted(query.value) +
                      "; supported values: \"lastUserMessage\"",
                  {});
  }
  Forward forward;
  const bool marked_by_query = query.kind == QueryBreakpoint::Kind::kMarker;
  if (std::optional<std::string> stripped = strip_query_breakpoint(target_)) {
    target_ = std::move(*stripped);
    forward.target_changed = true;
  }
  forward.target = target_;
  forward.body = body;

  PromptCache::Borrowed workspace(*cache_);
  if (!workspace->tape.read(body)) {
    stage_ = Stage::kDone;
    commit_ = CommitState::kNothing;
    forward.kind = Forward::Kind::kPassThrough;
    return forward;
  }
  std::string marked;
  workspace->edits.clear();
  if (marked_by_query && edit_query_marker(workspace->tape.root(), workspace->edits)) {
    workspace->edits.apply(body, marked);
    // A body at the very limit may be too long with the marker: then it goes without.
    const bool fits = workspace->tape.read(marked).ok();
    if (fits) body = marked;
    if (!fits && !workspace->tape.read(body)) {
      return Error{Status::kInternal, "the body cannot be read again"};
    }
  }
  workspace->prompt.read(workspace->tape, cache_->config().policy);
  if (Result<void> valid = workspace->prompt.validate(); !valid) {
    const std::string message = rejection_message(valid.error(), cache_->config().policy.tiers);
    return reject(400, "invalid_cache_control", kMarkerName, message, valid.take_error());
  }
  keep_prompt(*workspace);

  workspace->edits.clear();
  had_markers_ = edit_forwarded_body(workspace->tape.root(), cache_->config().policy.telemetry,
                                     workspace->edits);
  if (!workspace->edits.empty()) {
    workspace->edits.apply(body, forwarded_);
    forward.body = forwarded_;
    forward.body_changed = true;
  }
  stage_ = Stage::kForwarded;
  return forward;
}

// Hashes now, where the body is at hand; who is asking is found out beside the upstream call.
void Request::keep_prompt(Workspace& workspace) {
  const JsonValue model = workspace.prompt.model();
  has_model_ = model.is_string();
  if (!has_model_) return;
  std::string storage;
  model_ = model.text(storage);
  parsed_ = workspace.prompt.find_breakpoints().ok();
  if (!parsed_) return;
  digest_.make(workspace.prompt, cache_->classifier().wants_text(), workspace.canonical,
               workspace.hash);
}

Result<void> Request::classify() {
  if (stage_ == Stage::kNew) return out_of_order("classify", "the body was not given yet");
  if (stage_ != Stage::kDone) classify_now();
  return Ok{};
}

void Request::classify_now() {
  if (classified_) return;
  classified_ = true;
  // A request that names no model belongs to no scope.
  if (has_model_) {
    outcome_ = cache_->classifier().classify(asker_, model_, parsed_ ? &digest_ : nullptr);
  }
}

Result<ResponsePlan> Request::response(int http_status, std::string_view content_type,
                                       std::string_view content_encoding) {
  if (stage_ == Stage::kNew) return out_of_order("response", "the body was not given yet");
  if (stage_ != Stage::kForwarded) {
    return out_of_order("response",
                        stage_ == Stage::kDone ? "the request is over" : "was called before");
  }
  stage_ = Stage::kResponding;
  http_status_ = http_status;
  content_encoding = core::trim(content_encoding);
  if (!content_encoding.empty() &&
      !core::equals_ignoring_ascii_case(content_encoding, "identity")) {
    return ResponsePlan::kAsIs;
  }
  const Config& config = cache_->config();
  const ResponseLimits limits{static_cast<std::size_t>(config.max_event_bytes),
                              static_cast<std::size_t>(config.max_response_bytes)};
  const std::string_view type = media_type(content_type);
  if (core::equals_ignoring_ascii_case(type, "text/event-stream")) {
    filter_ = make_sse_filter(*this, limits);
    return ResponsePlan::kStream;
  }
  if (core::trim(content_type).empty() ||
      core::equals_ignoring_ascii_case(type, "application/json")) {
    filter_ = make_json_filter(*this, limits);
    return ResponsePlan::kHeld;
  }
  return ResponsePlan::kAsIs;
}

Result<std::string_view> Request::write(std::string_view chunk) {
  if (broken_) return Error{Status::kStream, "write: the response broke before"};
  if (stage_ != Stage::kResponding) return out_of_order("write", "no response has begun");
  if (filter_ == nullptr) return chunk;
  Result<std::string_view> out = filter_->write(chunk);
  if (!out) {
    abort();
    broken_ = true;
  }
  return out;
}

Result<std::string_view> Request::end() {
  if (broken_) return Error{Status::kStream, "end: the response broke before"};
  if (stage_ != Stage::kResponding) return out_of_order("end", "no response has begun");
  std::string_view tail;
  if (filter_ != nullptr) {
    Result<std::string_view> out = filter_->end();
    if (!out) {
      abort();
      broken_ = true;
      return out;
    }
    tail = *out;
  }
  finish();
  return tail;
}

void Request::decide_commit() {
  if (!outcome_.active || outcome_.commit.empty()) {
    commit_ = CommitState::kNothing;
  } else if (http_status_ < 200 || http_status_ > 299) {
    commit_ = CommitState::kVetoNon2xx;
  } else if (seen().error_frame) {
    commit_ = CommitState::kVetoErrorFrame;
  } else if (!seen().usage || (cache_->config().inject && !injected_)) {
    // Nor where usage came only in frames before the one that counts, which were not waited for:
    // the client never saw what it would be charged for.
    commit_ = CommitState::kVetoNoUsage;
  } else {
    const bool taken = cache_->index().commit(std::move(outcome_.commit));
    commit_ = taken ? CommitState::kHandedOver : CommitState::kDropped;
  }
}

void Request::abort() {
  if (stage_ == Stage::kDone) return;
  // A client that has "[DONE]" has everything, and some close at once instead of waiting for the
  // end of the connection: that is how their responses end.
  if (stage_ == Stage::kResponding && seen().done && seen().usage) return finish();
  stage_ = Stage::kDone;
  commit_ = CommitState::kVetoAborted;
}

void Request::finish() {
  classify_now();
  stage_ = Stage::kDone;
  decide_commit();
}

UsageEdit Request::judge(bool terminal) {
  if (terminal) classify_now();
  const Config& config = cache_->config();
  UsageEdit edit;
  if (classified_ && outcome_.active) {
    if (config.inject) edit = {UsageEdit::Kind::kInject, outcome_.usage};
    injected_ |= config.inject;
  } else if (config.scrub) {
    // Also a frame before the one that counts, while nothing is known: what the provider says of
    // its own cache must not be taken for ours.
    edit.kind = UsageEdit::Kind::kScrub;
  }
  return edit;
}

const UsageSeen& Request::seen() const {
  static const UsageSeen nothing;
  return filter_ == nullptr ? nothing : filter_->seen();
}

RequestResult Request::result() const {
  RequestResult result;
  result.classified = classified_;
  result.active = outcome_.active;
  result.degraded = outcome_.degraded;
  result.had_markers = had_markers_;
  result.commit = commit_;
  result.seen = seen();
  if (injected_) {
    result.usage = result.seen.written;
  } else if (outcome_.active) {
    result.usage = capped(outcome_.usage, result.seen.prompt_tokens);
  }
  return result;
}

}  // namespace satchel::prompt_cache
