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

Request::~Request() {
  if (stage_ == Stage::kForwarded || stage_ == Stage::kResponding) count_abort();
  if (running_) running_->let_go();
  core::wipe(asker_.api_key);
}

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
    cache_->metrics().body_too_long.add();
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
    count_outcome();
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
    const auto reason = static_cast<std::size_t>(valid.error().reason);
    if (reason < Metrics::kMarkerReasons) cache_->metrics().markers_rejected[reason].add();
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
  cache_->metrics().marker_requests.add(had_markers_ ? Metrics::Marked::kYes
                                                     : Metrics::Marked::kNo);
  keep_forwarded(forward);
  stage_ = Stage::kForwarded;
  return forward;
}

// For a count that is asked for by the body: the classification may outlive the request and its
// caller's bytes.
void Request::keep_forwarded(Forward& forward) {
  if (!parsed_ || digest_.breakpoints().empty() || !cache_->classifier().wants_body()) return;
  if (!forward.body_changed) {
    classified_body_ = std::make_shared<const std::string>(forward.body);
    return;
  }
  classified_body_ = std::make_shared<const std::string>(std::move(forwarded_));
  forward.body = *classified_body_;
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

Result<void> Request::classify_start(Classification::Done done) {
  if (stage_ == Stage::kNew) {
    return out_of_order("classify_start", "the body was not given yet");
  }
  if (running_) return out_of_order("classify_start", "was called before");
  start(std::move(done));
  return Ok{};
}

Result<int> Request::descriptor() {
  if (!running_) return out_of_order("descriptor", "classification was not started yet");
  return running_->descriptor();
}

void Request::start(Classification::Done done) {
  auto classification = std::make_shared<Classification>(
      std::move(done), cache_->classify_deadline_ns(), cache_->metrics(), cache_->clock());
  const bool something_to_ask = stage_ != Stage::kDone && !classified_ && has_model_;
  if (something_to_ask) {
    Classification::Asked& asked = classification->asked();
    asked.asker = asker_;
    asked.model = model_;
    asked.parsed = parsed_;
    asked.forwarded = classified_body_;
    asked.digest = std::move(digest_);
    core::wipe(asker_.api_key);
  }
  running_ = std::move(classification);
  if (something_to_ask) {
    cache_->classify_later(running_);
  } else {
    running_->end_as_known({});
  }
}

// Waits for what was started, until its deadline at most; otherwise does it here.
void Request::classify_now() {
  if (classified_) return;
  if (running_) {
    running_->wait();
    return take_answer();
  }
  classified_ = true;
  // A request that names no model belongs to no scope.
  if (has_model_) classify_here();
  count_outcome();
}

void Request::classify_here() {
  using Classified = Metrics::Classified;
  core::Clock& clock = cache_->clock();
  const Patience patience{clock.monotonic_ns() + cache_->classify_deadline_ns(), nullptr};
  outcome_ = cache_->classifier().classify(
      {asker_, model_, parsed_ ? &digest_ : nullptr,
       classified_body_ ? std::string_view(*classified_body_) : std::string_view{}},
      patience);
  cache_->metrics().classified.add(patience.over(clock) ? Classified::kDeadlineExceeded
                                                        : Classified::kOk);
}

void Request::take_answer() {
  classified_ = true;
  outcome_ = running_->take();
  count_outcome();
}

bool Request::answer_is_there() const {
  return classified_ || (running_ != nullptr && running_->ended());
}

// Once a request, when it is known what caching does for it.
void Request::count_outcome() {
  using RequestOutcome = Metrics::RequestOutcome;
  const CacheUsage& usage = outcome_.usage;
  const bool reads = usage.read > 0;
  const bool creates = usage.creation_5m > 0 || usage.creation_1h > 0 || usage.creation_24h > 0;
  RequestOutcome counted = RequestOutcome::kZeroActive;
  if (!outcome_.active) {
    counted = RequestOutcome::kInactive;
  } else if (reads) {
    counted = creates ? RequestOutcome::kReadAndCreate : RequestOutcome::kRead;
  } else if (creates) {
    counted = RequestOutcome::kCreateOnly;
  }
  cache_->metrics().requests.add(counted);
  if (outcome_.active) cache_->metrics().add_tokens(model_, usage);
}

void Request::count_abort() {
  if (!classified_) {
    cache_->metrics().requests.add(Metrics::RequestOutcome::kAborted);
  } else if (!outcome_.commit.empty()) {
    cache_->metrics().vetoes.add(Metrics::Veto::kAborted);
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
  if (ending_ && !chunk.empty()) return out_of_order("write", "the response has ended");
  if (filter_ == nullptr || filter_ended_) return chunk;
  Result<std::string_view> out = filter_->write(chunk);
  if (!out) {
    abort();
    broken_ = true;
  }
  pending_ = filter_->pending();
  return out;
}

Result<std::string_view> Request::end() {
  if (broken_) return Error{Status::kStream, "end: the response broke before"};
  if (stage_ != Stage::kResponding) return out_of_order("end", "no response has begun");
  ending_ = true;
  pending_ = false;
  std::string_view tail;
  if (filter_ != nullptr && !filter_ended_) {
    Result<std::string_view> out = filter_->end();
    if (!out) {
      abort();
      broken_ = true;
      return out;
    }
    pending_ = filter_->pending();
    if (pending_) return out;
    filter_ended_ = true;
    tail = *out;
  }
  // A response without usage has nothing to wait for but the commit's decision.
  pending_ = must_wait();
  if (!pending_) finish();
  return tail;
}

void Request::decide_commit() {
  Metrics& metrics = cache_->metrics();
  if (!outcome_.active || outcome_.commit.empty()) {
    commit_ = CommitState::kNothing;
  } else if (http_status_ < 200 || http_status_ > 299) {
    commit_ = CommitState::kVetoNon2xx;
    metrics.vetoes.add(Metrics::Veto::kNon2xx);
  } else if (seen().error_frame) {
    commit_ = CommitState::kVetoErrorFrame;
    metrics.vetoes.add(Metrics::Veto::kErrorFrame);
  } else if (!seen().usage || (cache_->config().inject && !injected_)) {
    // Nor where usage came only in frames before the one that counts, which were not waited for:
    // the client never saw what it would be charged for.
    commit_ = CommitState::kVetoNoUsage;
    metrics.vetoes.add(Metrics::Veto::kNoUsage);
  } else {
    const bool taken = cache_->index().commit(std::move(outcome_.commit));
    commit_ = taken ? CommitState::kHandedOver : CommitState::kDropped;
    metrics.commits.add(taken ? Metrics::CommitResult::kOk : Metrics::CommitResult::kDropped);
  }
}

void Request::abort() {
  if (stage_ == Stage::kDone) return;
  // A client that has "[DONE]" has everything, and some close at once instead of waiting for the
  // end of the connection: that is how their responses end. Nobody is asked for that any more.
  if (stage_ == Stage::kResponding && seen().done && seen().usage && answer_is_there()) {
    return finish();
  }
  if (stage_ != Stage::kNew) count_abort();
  stage_ = Stage::kDone;
  commit_ = CommitState::kVetoAborted;
  if (running_) running_->end(Classification::End::kAbandoned);
}

void Request::finish() {
  classify_now();
  stage_ = Stage::kDone;
  count_drift();
  decide_commit();
}

// A template or a tokenizer that is not the upstream's shows here first.
void Request::count_drift() {
  if (!outcome_.render_total || !seen().prompt_tokens) return;
  const std::uint64_t ours = *outcome_.render_total;
  const std::uint64_t theirs = *seen().prompt_tokens;
  Metrics& metrics = cache_->metrics();
  metrics.drift_compared.add();
  metrics.drift_tokens.add(ours > theirs ? ours - theirs : theirs - ours);
  if (drift_alarm(ours, theirs)) metrics.drift_alarms.add();
}

bool Request::must_wait() {
  if (!no_wait_ || classified_) return false;
  if (!running_) start({});
  return !running_->ended();
}

void Request::give_up_waiting() { running_->end(Classification::End::kTooFarAhead); }

UsageEdit Request::judge(bool terminal) {
  if (terminal) {
    classify_now();
  } else if (!classified_ && running_ && running_->ended()) {
    take_answer();
  }
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
  // Once it is over, counts that went into no usage are not to be charged for.
  const bool may_count = stage_ != Stage::kDone || (!cache_->config().inject && result.seen.usage);
  if (injected_) {
    result.usage = result.seen.written;
  } else if (outcome_.active && may_count) {
    result.usage = capped(outcome_.usage, result.seen.prompt_tokens);
  }
  return result;
}

}  // namespace satchel::prompt_cache
