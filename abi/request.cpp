// The ABI of a request: from its first byte to its commit.
#include "prompt_cache/request.hpp"

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "boundary.hpp"
#include "prompt_handles.hpp"
#include "satchel/satchel.h"

using satchel::abi::Exclusive;
using satchel::abi::HandleType;
using satchel::abi::OpenCache;
using satchel::abi::Pin;
using satchel::abi::Turn;
using satchel::core::Result;
using satchel::core::Status;
using satchel::prompt_cache::Classification;
using satchel::prompt_cache::CommitState;
using satchel::prompt_cache::Forward;
using satchel::prompt_cache::MarkerFault;
using satchel::prompt_cache::Request;
using satchel::prompt_cache::RequestResult;
using satchel::prompt_cache::ResponsePlan;
namespace abi = satchel::abi;
namespace prompt_cache = satchel::prompt_cache;

static_assert(static_cast<int>(ResponsePlan::kAsIs) == SATCHEL_RESPONSE_AS_IS);
static_assert(static_cast<int>(ResponsePlan::kStream) == SATCHEL_RESPONSE_STREAM);
static_assert(static_cast<int>(ResponsePlan::kHeld) == SATCHEL_RESPONSE_HELD);
static_assert(static_cast<int>(CommitState::kOpen) == SATCHEL_COMMIT_OPEN);
static_assert(static_cast<int>(CommitState::kNothing) == SATCHEL_COMMIT_NOTHING);
static_assert(static_cast<int>(CommitState::kHandedOver) == SATCHEL_COMMIT_HANDED_OVER);
static_assert(static_cast<int>(CommitState::kVetoNon2xx) == SATCHEL_COMMIT_VETO_NON_2XX);
static_assert(static_cast<int>(CommitState::kVetoNoUsage) == SATCHEL_COMMIT_VETO_NO_USAGE);
static_assert(static_cast<int>(CommitState::kVetoErrorFrame) == SATCHEL_COMMIT_VETO_ERROR_FRAME);
static_assert(static_cast<int>(CommitState::kVetoAborted) == SATCHEL_COMMIT_VETO_ABORTED);
static_assert(static_cast<int>(CommitState::kDropped) == SATCHEL_COMMIT_DROPPED);
static_assert(static_cast<int>(MarkerFault::kNone) == SATCHEL_MARKER_NONE);
static_assert(static_cast<int>(MarkerFault::kJson) == SATCHEL_MARKER_JSON);
static_assert(static_cast<int>(MarkerFault::kTooManyBreakpoints) ==
              SATCHEL_MARKER_TOO_MANY_BREAKPOINTS);
static_assert(static_cast<int>(MarkerFault::kInvalidTtl) == SATCHEL_MARKER_INVALID_TTL);
static_assert(static_cast<int>(MarkerFault::kUnsupportedType) == SATCHEL_MARKER_UNSUPPORTED_TYPE);
static_assert(static_cast<int>(MarkerFault::kDisabledTier) == SATCHEL_MARKER_DISABLED_TIER);
static_assert(static_cast<int>(MarkerFault::kMalformed) == SATCHEL_MARKER_MALFORMED);
static_assert(static_cast<int>(MarkerFault::kAutomaticTtlConflict) ==
              SATCHEL_MARKER_AUTOMATIC_TTL_CONFLICT);
static_assert(static_cast<int>(MarkerFault::kNoAutomaticSlot) == SATCHEL_MARKER_NO_AUTOMATIC_SLOT);

namespace {

struct OpenRequest {
  OpenRequest(const void* from, const std::shared_ptr<prompt_cache::PromptCache>& engine,
              std::string_view target, std::string_view principal, std::string_view api_key)
      : cache(from), request(engine, target, principal, api_key) {}

  const void* cache;  // the handle it came from: pinned while a call runs
  std::uint64_t library_ns = 0;
  Request request;
};

using ExclusiveRequest = Exclusive<OpenRequest>;

// Adds the time of a call to what the library took for this request.
class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t& sum) : sum_(sum) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    sum_ += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count());
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t& sum_;
  const Clock::time_point start_ = Clock::now();
};

// Runs `use(open_request)` with the request and its cache pinned, one thread at a time.
template <class Use>
satchel_status with_request(satchel_request* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kRequest);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kRequest);
    auto& exclusive = pin.object<ExclusiveRequest>();
    const Turn turn(exclusive.busy);
    if (!turn.mine()) return abi::busy_error(HandleType::kRequest);
    Pin cache;
    if (Result<Status> open = abi::pin_cache(cache, exclusive.value.cache); !open) {
      return open.take_error();
    }
    const Stopwatch stopwatch(exclusive.value.library_ns);
    return use(exclusive.value);
  });
}

Result<std::string_view> who_asks(const satchel_request_head& head) {
  if (head.api_key.len != 0) return abi::bytes_of(head.api_key.data, head.api_key.len, "api_key");
  const Result<std::string_view> header =
      abi::bytes_of(head.authorization.data, head.authorization.len, "authorization");
  if (!header) return header.error();
  return prompt_cache::bearer_token(*header);
}

Result<Status> give(const Request& request, const Result<std::string_view>& bytes,
                    satchel_view* out, satchel_error* error) {
  if (!bytes) return bytes.error();
  *out = abi::view_of(*bytes);
  return abi::answer(error, request.pending() ? Status::kPending : Status::kOk);
}

satchel_status status_of(Classification::End end) {
  switch (end) {
    case Classification::End::kClassified:
      return SATCHEL_OK;
    case Classification::End::kFailed:
      return SATCHEL_ERR_MEMORY;
    case Classification::End::kDeadline:
      return SATCHEL_ERR_TIMEOUT;
    case Classification::End::kQueueFull:
    case Classification::End::kTooFarAhead:
      return SATCHEL_ERR_LIMIT;
    case Classification::End::kAbandoned:
      return SATCHEL_ERR_STATE;
    case Classification::End::kClosed:
      return SATCHEL_ERR_HANDLE;
  }
  return SATCHEL_ERR_INTERNAL;
}

}  // namespace

extern "C" {

void satchel_request_head_init(satchel_request_head* head) {
  if (head != nullptr) *head = SATCHEL_REQUEST_HEAD_INIT;
}

void satchel_forward_init(satchel_forward* forward) {
  if (forward != nullptr) *forward = SATCHEL_FORWARD_INIT;
}

satchel_status satchel_request_new(satchel_prompt_cache* cache, const satchel_request_head* head,
                                   satchel_request** out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    Pin pin;
    if (Result<Status> pinned = abi::pin_cache(pin, cache); !pinned) return pinned.take_error();
    if (Result<void> checked = abi::check_input_struct(head, sizeof *head, "head"); !checked) {
      return checked.take_error();
    }
    const Result<std::string_view> method =
        abi::bytes_of(head->method.data, head->method.len, "method");
    if (!method) return method.error();
    const Result<std::string_view> target =
        abi::bytes_of(head->target.data, head->target.len, "target");
    if (!target) return target.error();
    if (!prompt_cache::is_cacheable(*method, *target)) {
      return abi::answer(error, Status::kPassThrough);
    }
    const Result<std::string_view> principal =
        abi::bytes_of(head->principal.data, head->principal.len, "principal");
    if (!principal) return principal.error();
    const Result<std::string_view> api_key = who_asks(*head);
    if (!api_key) return api_key.error();
    auto request = std::make_shared<ExclusiveRequest>(cache, pin.object<OpenCache>().engine,
                                                      *target, *principal, *api_key);
    *out =
        static_cast<satchel_request*>(abi::open_handle(HandleType::kRequest, std::move(request)));
    return Status::kOk;
  });
}

satchel_status satchel_request_body(satchel_request* request, const char* body, size_t body_len,
                                    satchel_forward* forward, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(forward, sizeof *forward, "forward");
        !checked) {
      return checked.take_error();
    }
    const Result<std::string_view> bytes = abi::bytes_of(body, body_len, "body");
    if (!bytes) return bytes.error();
    Result<Forward> made = open.request.body(*bytes);
    if (!made) return made.take_error();
    static constexpr char kJson[] = "application/json";
    forward->body = abi::view_of(made->body);
    forward->target = abi::view_of(made->target);
    forward->body_changed = made->body_changed ? 1 : 0;
    forward->target_changed = made->target_changed ? 1 : 0;
    forward->http_status = made->http_status;
    forward->reserved = 0;
    forward->content_type = {nullptr, 0};
    switch (made->kind) {
      case Forward::Kind::kSend:
        return Status::kOk;
      case Forward::Kind::kPassThrough:
        return abi::answer(error, Status::kPassThrough);
      case Forward::Kind::kReject:
        forward->content_type = {kJson, sizeof kJson - 1};
        abi::report(error, made->error);
        return Status::kRejected;
    }
    return Status::kInternal;
  });
}

satchel_status satchel_request_classify(satchel_request* request, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (Result<void> done = open.request.classify(); !done) return done.take_error();
    return Status::kOk;
  });
}

satchel_status satchel_request_classify_start(satchel_request* request, satchel_classify_done done,
                                              void* user, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    Classification::Done call;
    if (done != nullptr) {
      call = [done, user](Classification::End end) { done(user, status_of(end)); };
    }
    if (Result<void> started = open.request.classify_start(std::move(call)); !started) {
      return started.take_error();
    }
    return Status::kOk;
  });
}

satchel_status satchel_request_descriptor(satchel_request* request, int32_t* fd,
                                          satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (fd == nullptr) return abi::argument_error("fd", "is NULL");
    Result<int> made = open.request.descriptor();
    if (!made) return made.take_error();
    *fd = *made;
    return Status::kOk;
  });
}

satchel_status satchel_request_no_wait(satchel_request* request, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    open.request.no_wait();
    return Status::kOk;
  });
}

satchel_status satchel_request_response(satchel_request* request, int32_t http_status,
                                        const char* content_type, size_t content_type_len,
                                        const char* content_encoding, size_t content_encoding_len,
                                        int32_t* plan, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (plan == nullptr) return abi::argument_error("plan", "is NULL");
    const Result<std::string_view> type =
        abi::bytes_of(content_type, content_type_len, "content_type");
    if (!type) return type.error();
    const Result<std::string_view> encoding =
        abi::bytes_of(content_encoding, content_encoding_len, "content_encoding");
    if (!encoding) return encoding.error();
    Result<ResponsePlan> planned = open.request.response(http_status, *type, *encoding);
    if (!planned) return planned.take_error();
    *plan = static_cast<int32_t>(*planned);
    return Status::kOk;
  });
}

satchel_status satchel_request_write(satchel_request* request, const char* data, size_t len,
                                     satchel_view* out, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = {nullptr, 0};
    const Result<std::string_view> bytes = abi::bytes_of(data, len, "data");
    if (!bytes) return bytes.error();
    return give(open.request, open.request.write(*bytes), out, error);
  });
}

satchel_status satchel_request_end(satchel_request* request, satchel_view* out,
                                   satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = {nullptr, 0};
    return give(open.request, open.request.end(), out, error);
  });
}

satchel_status satchel_request_abort(satchel_request* request, satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    open.request.abort();
    return Status::kOk;
  });
}

satchel_status satchel_request_result_get(satchel_request* request, satchel_request_result* result,
                                          satchel_error* error) {
  return with_request(request, error, [&](OpenRequest& open) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(result, sizeof *result, "result");
        !checked) {
      return checked.take_error();
    }
    const RequestResult now = open.request.result();
    result->classified = now.classified ? 1 : 0;
    result->active = now.active ? 1 : 0;
    result->degraded = now.degraded ? 1 : 0;
    result->had_markers = now.had_markers ? 1 : 0;
    result->saw_usage = now.seen.usage ? 1 : 0;
    result->saw_error = now.seen.error_frame ? 1 : 0;
    result->commit = static_cast<int32_t>(now.commit);
    result->reserved = 0;
    result->read = now.usage.read;
    result->creation_5m = now.usage.creation_5m;
    result->creation_1h = now.usage.creation_1h;
    result->creation_24h = now.usage.creation_24h;
    result->prompt_tokens = now.seen.prompt_tokens.value_or(0);
    result->upstream_cached_tokens = now.seen.upstream_cached_tokens.value_or(0);
    result->library_ns = open.library_ns;
    return Status::kOk;
  });
}

satchel_status satchel_request_free(satchel_request** request) {
  return abi::close_and_forget(request, HandleType::kRequest);
}

}  // extern "C"
