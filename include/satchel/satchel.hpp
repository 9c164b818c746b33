// satchel.hpp - satchel.h for C++17 and later: handles that release themselves, errors that are
// thrown. Header-only; it adds nothing to the contract, so satchel.h stays the manual.
//
// - Handles are movable and not copyable. Using one that was moved from throws ERR_HANDLE.
// - A call that returns an error there throws satchel::Error here. Answers that are no errors
//   (pass through, rejected, unchanged) are return values, with one exception: parse() and
//   validate() have nothing to return for a bad marker and throw an Error whose rejected() is true.
// - Inputs are std::string_view, borrowed for the call. Outputs that are views say how long they
//   live; structs are those of satchel.h, text() reads the views inside them.
// - The host's parts are classes to derive from. They may be called from several threads at once.
//   Whatever they throw is caught: an Error passes its status on, NotHandled asks for the built-in,
//   anything else counts as "the callback failed".
#pragma once

#include <satchel/satchel.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace satchel {

// ------------------------------------------------------------------------------------------ errors

class Error : public std::runtime_error {
 public:
  explicit Error(satchel_status status, const std::string& message = {}, int os_errno = 0,
                 int reason = SATCHEL_MARKER_NONE)
      : std::runtime_error(message.empty() ? satchel_status_name(status) : message),
        status_(status),
        os_errno_(os_errno),
        reason_(reason) {}
  Error(satchel_status status, const satchel_error& details)
      : Error(status, details.message, details.os_errno, details.reason) {}

  [[nodiscard]] satchel_status status() const noexcept { return status_; }
  [[nodiscard]] const char* status_name() const noexcept { return satchel_status_name(status_); }
  [[nodiscard]] int os_errno() const noexcept { return os_errno_; }
  [[nodiscard]] int reason() const noexcept { return reason_; }  // SATCHEL_MARKER_*
  [[nodiscard]] std::string_view message() const noexcept { return what(); }
  // The client's mistake, not ours: a marker is at fault, reason() says which way.
  [[nodiscard]] bool rejected() const noexcept { return status_ == SATCHEL_REJECTED; }

 private:
  satchel_status status_;
  int os_errno_;
  int reason_;
};

// Thrown by a part of the host to have the built-in do this call.
struct NotHandled {};

// ------------------------------------------------------------------------------------ views, bytes

inline std::string_view text(const satchel_view& view) noexcept {
  return view.len == 0 ? std::string_view() : std::string_view(view.data, view.len);
}

// Bytes that the library made; view() is valid as long as the Buffer is.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& other) noexcept : raw_(std::exchange(other.raw_, satchel_buffer{})) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      satchel_buffer_free(&raw_);
      raw_ = std::exchange(other.raw_, satchel_buffer{});
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { satchel_buffer_free(&raw_); }

  [[nodiscard]] std::string_view view() const noexcept {
    return raw_.len == 0 ? std::string_view() : std::string_view(raw_.data, raw_.len);
  }
  [[nodiscard]] std::string str() const { return std::string(view()); }
  // For calls of satchel.h that fill a buffer.
  [[nodiscard]] satchel_buffer* raw() noexcept { return &raw_; }

 private:
  satchel_buffer raw_ = SATCHEL_BUFFER_INIT;
};

namespace detail {

// The library wants a pointer even where there is nothing to read.
inline const char* data(std::string_view view) noexcept { return view.empty() ? "" : view.data(); }

inline satchel_view view(std::string_view text) noexcept { return {data(text), text.size()}; }

// Calls `function` with a satchel_error behind the arguments and throws what is an error. Returns
// OK or a positive answer.
template <class... Parameters, class... Arguments>
satchel_status call(satchel_status (*function)(Parameters...), Arguments... arguments) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = function(arguments..., &error);
  if (status < 0) throw Error(status, error);
  return status;
}

// The same for calls whose positive answers have no value to give.
template <class... Parameters, class... Arguments>
void require_ok(satchel_status (*function)(Parameters...), Arguments... arguments) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = function(arguments..., &error);
  if (status != SATCHEL_OK) throw Error(status, error);
}

template <class Release>
struct Released;
template <class T>
struct Released<satchel_status (*)(T**)> {
  using type = T;
};

// Owns one handle, released by the function that satchel.h names beside it.
template <auto Release>
class Handle {
 public:
  using Raw = typename Released<decltype(Release)>::type;

  Handle() noexcept = default;
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      Release(&raw_);
      raw_ = std::exchange(other.raw_, nullptr);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { Release(&raw_); }

  // For calls of satchel.h; the object still owns it.
  [[nodiscard]] Raw* raw() const noexcept { return raw_; }
  explicit operator bool() const noexcept { return raw_ != nullptr; }

 protected:
  [[nodiscard]] Raw** out() noexcept { return &raw_; }

  // Releases now and throws where the destructor would have to keep silent: ERR_BUSY from inside
  // a callback of the handle, which then stays open.
  void release() {
    const satchel_status status = Release(&raw_);
    if (status != SATCHEL_OK) throw Error(status);
  }

 private:
  Raw* raw_ = nullptr;
};

// What a callback's exception becomes: nothing may unwind into C.
template <class Body>
satchel_status guard(Body&& body) noexcept {
  try {
    return body();
  } catch (const NotHandled&) {
    return SATCHEL_NOT_HANDLED;
  } catch (const Error& error) {
    return error.status() < 0 ? error.status() : SATCHEL_ERR_CALLBACK;
  } catch (const std::bad_alloc&) {
    return SATCHEL_ERR_MEMORY;
  } catch (...) {
    return SATCHEL_ERR_CALLBACK;
  }
}

template <class T>
void destroy(void* user) {
  delete static_cast<T*>(user);
}

}  // namespace detail

// -------------------------------------------------------------------------------- the host's parts

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t unix_ns() = 0;       // since 1970-01-01 UTC
  virtual std::int64_t monotonic_ns() = 0;  // since any fixed point, never going back
};

class Log {
 public:
  virtual ~Log() = default;
  // One line; `level` is SATCHEL_LOG_*. What it throws is dropped.
  virtual void write(int level, std::string_view component, std::string_view message) = 0;
};

// What the host lends to every engine; both optional.
struct Host {
  std::unique_ptr<Clock> clock;
  std::unique_ptr<Log> log;
};

class Principals {
 public:
  virtual ~Principals() = default;
  // Nothing: nobody known, the request stays uncached.
  virtual std::optional<std::string> resolve(std::string_view api_key) = 0;
};

struct ModelSettings {
  bool enabled = true;
  std::uint32_t min_prefix_tokens = 0;
};

class Models {
 public:
  virtual ~Models() = default;
  // Nothing: the model is not enabled.
  virtual std::optional<ModelSettings> resolve(std::string_view model) = 0;
};

struct TokenizerModel {
  std::string model;
  std::string tokenizer_version;
  std::string template_version;  // may be empty
};

// The texts to count; valid until tokenize() returns.
class Segments {
 public:
  Segments(const satchel_view* first, std::size_t count) noexcept : first_(first), count_(count) {}
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  std::string_view operator[](std::size_t index) const noexcept { return text(first_[index]); }

 private:
  const satchel_view* first_;
  std::size_t count_;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // The models it knows. Without the one asked for, that one is not mapped.
  virtual std::vector<TokenizerModel> versions(std::string_view model) = 0;
  // The tokens up to and including each segment.
  virtual std::vector<std::uint32_t> tokenize(std::string_view model, const Segments& segments) = 0;
};

// The parts of a prompt cache that the host replaces; each optional.
struct PromptParts {
  std::unique_ptr<Principals> principals;
  std::unique_ptr<Models> models;
  std::unique_ptr<Tokenizer> tokenizer;
};

namespace detail {

inline satchel_host host_table(std::unique_ptr<Host> host) {
  satchel_host table = SATCHEL_HOST_INIT;
  table.release = destroy<Host>;
  if (host->clock) {
    table.clock = [](void* user, std::int64_t* ns) {
      return guard([&] {
        *ns = static_cast<Host*>(user)->clock->unix_ns();
        return SATCHEL_OK;
      });
    };
    table.monotonic = [](void* user, std::int64_t* ns) {
      return guard([&] {
        *ns = static_cast<Host*>(user)->clock->monotonic_ns();
        return SATCHEL_OK;
      });
    };
  }
  if (host->log) {
    table.log = [](void* user, std::int32_t level, const char* component, std::size_t component_len,
                   const char* message, std::size_t message_len) {
      guard([&] {
        static_cast<Host*>(user)->log->write(level, {component, component_len},
                                             {message, message_len});
        return SATCHEL_OK;
      });
    };
  }
  table.user = host.release();
  return table;
}

inline satchel_principals principals_table(std::unique_ptr<Principals> part) {
  satchel_principals table = SATCHEL_PRINCIPALS_INIT;
  table.user = part.release();
  table.release = destroy<Principals>;
  table.resolve = [](void* user, const char* api_key, std::size_t api_key_len,
                     satchel_principal_answer* answer) {
    return guard([&]() -> satchel_status {
      const auto id = static_cast<Principals*>(user)->resolve({api_key, api_key_len});
      return id ? satchel_principal_set(answer, id->data(), id->size()) : SATCHEL_OK;
    });
  };
  return table;
}

inline satchel_models models_table(std::unique_ptr<Models> part) {
  satchel_models table = SATCHEL_MODELS_INIT;
  table.user = part.release();
  table.release = destroy<Models>;
  table.resolve = [](void* user, const char* model, std::size_t model_len,
                     satchel_model_answer* answer) {
    return guard([&]() -> satchel_status {
      const auto found = static_cast<Models*>(user)->resolve({model, model_len});
      if (!found) return SATCHEL_OK;
      return satchel_model_set(answer, found->enabled ? 1 : 0, found->min_prefix_tokens);
    });
  };
  return table;
}

inline satchel_tokenizer tokenizer_table(std::unique_ptr<Tokenizer> part) {
  satchel_tokenizer table = SATCHEL_TOKENIZER_INIT;
  table.user = part.release();
  table.release = destroy<Tokenizer>;
  table.versions = [](void* user, const char* model, std::size_t model_len,
                      satchel_versions_answer* answer) {
    return guard([&]() -> satchel_status {
      for (const TokenizerModel& known :
           static_cast<Tokenizer*>(user)->versions({model, model_len})) {
        const satchel_status status =
            satchel_versions_add(answer, known.model.data(), known.model.size(),
                                 known.tokenizer_version.data(), known.tokenizer_version.size(),
                                 known.template_version.data(), known.template_version.size());
        if (status != SATCHEL_OK) return status;
      }
      return SATCHEL_OK;
    });
  };
  table.tokenize = [](void* user, const char* model, std::size_t model_len,
                      const satchel_view* segments, std::size_t segment_count,
                      satchel_counts_answer* answer) {
    return guard([&]() -> satchel_status {
      const std::vector<std::uint32_t> counts = static_cast<Tokenizer*>(user)->tokenize(
          {model, model_len}, Segments(segments, segment_count));
      return satchel_counts_set(answer, counts.data(), counts.size());
    });
  };
  return table;
}

}  // namespace detail

// ----------------------------------------------------------------------------------------- library

// What engines share: the clock and the log.
class Library : public detail::Handle<&satchel_close> {
 public:
  // Throws where the library loaded at run time is older than the header compiled with.
  explicit Library(std::string_view config = {}, Host host = {}) {
    if (satchel_abi_version() < SATCHEL_ABI_VERSION) {
      throw Error(SATCHEL_ERR_STATE, std::string("libsatchel ") + satchel_version() +
                                         " is older than the headers of this program");
    }
    const satchel_host table = detail::host_table(std::make_unique<Host>(std::move(host)));
    detail::require_ok(satchel_open, &table, detail::data(config), config.size(), out());
  }

  // Engines opened from it stay usable.
  void close() { release(); }
};

// ----------------------------------------------------------------------------- parts of the engine

// A body as the cache sees it. Views in blocks are valid as long as the Prompt is.
class Prompt : public detail::Handle<&satchel_prompt_free> {
 public:
  [[nodiscard]] std::size_t block_count() const {
    std::size_t count = 0;
    detail::require_ok(satchel_prompt_block_count, raw(), &count);
    return count;
  }
  [[nodiscard]] satchel_block block(std::size_t index) const {
    satchel_block block = SATCHEL_BLOCK_INIT;
    detail::require_ok(satchel_prompt_block, raw(), index, &block);
    return block;
  }
  [[nodiscard]] std::size_t breakpoint_count() const {
    std::size_t count = 0;
    detail::require_ok(satchel_prompt_breakpoint_count, raw(), &count);
    return count;
  }
  [[nodiscard]] satchel_breakpoint breakpoint(std::size_t index) const {
    satchel_breakpoint breakpoint = SATCHEL_BREAKPOINT_INIT;
    detail::require_ok(satchel_prompt_breakpoint, raw(), index, &breakpoint);
    return breakpoint;
  }

 private:
  friend class PromptCache;
};

// What classification found, and what it would write.
class Outcome : public detail::Handle<&satchel_outcome_free> {
 public:
  // Views in it are valid as long as the Outcome is.
  [[nodiscard]] satchel_outcome_summary summary() const {
    satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
    detail::require_ok(satchel_outcome_summary_get, raw(), &summary);
    return summary;
  }
  [[nodiscard]] satchel_entry entry(std::size_t index) const {
    satchel_entry entry = SATCHEL_ENTRY_INIT;
    detail::require_ok(satchel_outcome_entry, raw(), index, &entry);
    return entry;
  }
  void commit() { detail::require_ok(satchel_outcome_commit, raw()); }

 private:
  friend class PromptCache;
};

// The body to forward as the cache makes it.
struct ForwardedBody {
  std::optional<Buffer> body;  // nothing: the original
  bool had_markers = false;    // one that is not null was removed
};

// One response body on its way to the client, with its usage edited.
class UsageFilter : public detail::Handle<&satchel_usage_filter_free> {
 public:
  struct Saw {
    bool changed = false;
    bool usage = false;
    bool error_frame = false;
  };

  // `kind` is SATCHEL_BODY_*; without `usage` the provider's own accounting is only removed.
  explicit UsageFilter(std::int32_t kind, const satchel_cache_usage* usage = nullptr) {
    detail::require_ok(satchel_usage_filter_new, kind, usage, out());
  }
  // Bytes for the client: valid until the next call, possibly those passed in.
  [[nodiscard]] std::string_view write(std::string_view data) {
    satchel_view view = {nullptr, 0};
    detail::require_ok(satchel_usage_filter_write, raw(), detail::data(data), data.size(), &view);
    return text(view);
  }
  // The last bytes; as write().
  [[nodiscard]] std::string_view end() {
    satchel_view view = {nullptr, 0};
    detail::require_ok(satchel_usage_filter_end, raw(), &view);
    return text(view);
  }
  [[nodiscard]] Saw saw() const {
    std::int32_t changed = 0;
    std::int32_t usage = 0;
    std::int32_t error_frame = 0;
    detail::require_ok(satchel_usage_filter_saw, raw(), &changed, &usage, &error_frame);
    return {changed != 0, usage != 0, error_frame != 0};
  }
};

struct QueryBreakpoint {
  enum class Kind : std::uint8_t { kAbsent, kMarker, kInvalid };
  Kind kind = Kind::kAbsent;
  std::string_view value;  // what the client wrote, inside the target passed in
  Buffer target;           // the target to forward
};

inline QueryBreakpoint query_breakpoint(std::string_view target) {
  QueryBreakpoint found;
  satchel_view value = {nullptr, 0};
  const satchel_status status = detail::call(satchel_query_breakpoint, detail::data(target),
                                             target.size(), &value, found.target.raw());
  found.value = text(value);
  if (status == SATCHEL_OK) found.kind = QueryBreakpoint::Kind::kMarker;
  if (status == SATCHEL_REJECTED) found.kind = QueryBreakpoint::Kind::kInvalid;
  return found;
}

// The body with the marker that the query asked for; nothing: it stays as it is.
inline std::optional<Buffer> query_mark(std::string_view body) {
  Buffer marked;
  const satchel_status status =
      detail::call(satchel_query_mark, detail::data(body), body.size(), marked.raw());
  if (status != SATCHEL_OK) return std::nullopt;
  return marked;
}

inline Buffer json_canonical(std::string_view json) {
  Buffer canonical;
  detail::require_ok(satchel_json_canonical, detail::data(json), json.size(), canonical.raw());
  return canonical;
}

// ---------------------------------------------------------------------------------------- requests

// Who asks for what. The first of principal, api_key and authorization that is not empty says who.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  std::string_view authorization;
  std::string_view api_key;
  std::string_view principal;
};

namespace detail {

inline satchel_request_head head(const RequestHead& from) {
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  head.method = view(from.method);
  head.target = view(from.target);
  head.authorization = view(from.authorization);
  head.api_key = view(from.api_key);
  head.principal = view(from.principal);
  return head;
}

}  // namespace detail

// What to do with a request, once its body is known. Views are valid as long as the Request is; a
// body that was not changed is the one passed in.
struct Forward {
  enum class Action : std::uint8_t {
    kSend,         // body to target
    kPassThrough,  // everything as it came; nothing further is needed
    kReject        // http_status, content_type and body to the client
  };
  Action action = Action::kSend;
  std::string_view body;
  std::string_view target;
  std::string_view content_type;  // of a rejection
  int http_status = 0;            // of a rejection
  bool body_changed = false;
  bool target_changed = false;
  int reason = SATCHEL_MARKER_NONE;  // of a rejection
  std::string message;               // of a rejection
};

// One request from its first byte to its commit. One thread at a time. Destroyed before end(), it
// has been aborted.
class Request : public detail::Handle<&satchel_request_free> {
 public:
  Forward body(std::string_view body) {
    satchel_forward raw_forward = SATCHEL_FORWARD_INIT;
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status =
        satchel_request_body(raw(), detail::data(body), body.size(), &raw_forward, &error);
    if (status < 0) throw Error(status, error);
    Forward forward;
    if (status == SATCHEL_PASS_THROUGH) {
      forward.action = Forward::Action::kPassThrough;
      forward.body = body;
      return forward;
    }
    forward.body = text(raw_forward.body);
    if (status == SATCHEL_REJECTED) {
      forward.action = Forward::Action::kReject;
      forward.content_type = text(raw_forward.content_type);
      forward.http_status = raw_forward.http_status;
      forward.reason = error.reason;
      forward.message = error.message;
      return forward;
    }
    forward.target = text(raw_forward.target);
    forward.body_changed = raw_forward.body_changed != 0;
    forward.target_changed = raw_forward.target_changed != 0;
    return forward;
  }

  // May wait for the host's parts and the index; meant to run beside the upstream call.
  void classify() { detail::require_ok(satchel_request_classify, raw()); }

  // Returns SATCHEL_RESPONSE_*: what becomes of the response's length.
  std::int32_t response(int http_status, std::string_view content_type = {},
                        std::string_view content_encoding = {}) {
    std::int32_t plan = SATCHEL_RESPONSE_AS_IS;
    detail::require_ok(satchel_request_response, raw(), http_status, detail::data(content_type),
                       content_type.size(), detail::data(content_encoding), content_encoding.size(),
                       &plan);
    return plan;
  }

  // Bytes for the client: valid until the next call on this request, possibly those passed in.
  // An Error of ERR_STREAM: break the client's connection, never end it cleanly.
  [[nodiscard]] std::string_view write(std::string_view data) {
    satchel_view view = {nullptr, 0};
    detail::require_ok(satchel_request_write, raw(), detail::data(data), data.size(), &view);
    return text(view);
  }

  // The last bytes; as write(). Hands the entries over for writing.
  [[nodiscard]] std::string_view end() {
    satchel_view view = {nullptr, 0};
    detail::require_ok(satchel_request_end, raw(), &view);
    return text(view);
  }

  void abort() { detail::require_ok(satchel_request_abort, raw()); }

  [[nodiscard]] satchel_request_result result() const {
    satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
    detail::require_ok(satchel_request_result_get, raw(), &result);
    return result;
  }

 private:
  friend class PromptCache;
};

// ------------------------------------------------------------------------------------ prompt cache

class PromptCache : public detail::Handle<&satchel_prompt_cache_close> {
 public:
  explicit PromptCache(const Library& library, std::string_view config = {},
                       PromptParts parts = {}) {
    satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
    satchel_models models = SATCHEL_MODELS_INIT;
    satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
    satchel_prompt_parts table = SATCHEL_PROMPT_PARTS_INIT;
    if (parts.principals) {
      principals = detail::principals_table(std::move(parts.principals));
      table.principals = &principals;
    }
    if (parts.models) {
      models = detail::models_table(std::move(parts.models));
      table.models = &models;
    }
    if (parts.tokenizer) {
      tokenizer = detail::tokenizer_table(std::move(parts.tokenizer));
      table.tokenizer = &tokenizer;
    }
    detail::require_ok(satchel_prompt_cache_open, library.raw(), &table, detail::data(config),
                       config.size(), out());
  }

  // Waits for calls inside and, within the configured deadline, for commits.
  void close() { release(); }

  // Nothing: not a POST to .../chat/completions, proxy it yourself.
  [[nodiscard]] std::optional<Request> request(const RequestHead& who) {
    Request request;
    const satchel_request_head head = detail::head(who);
    const satchel_status status = detail::call(satchel_request_new, raw(), &head, request.out());
    if (status == SATCHEL_PASS_THROUGH) return std::nullopt;
    return request;
  }

  // Waits until all commits handed over before are in the index. False: not within the time.
  [[nodiscard]] bool flush(std::uint32_t timeout_ms) {
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = satchel_prompt_cache_flush(raw(), timeout_ms, &error);
    if (status == SATCHEL_ERR_TIMEOUT) return false;
    if (status != SATCHEL_OK) throw Error(status, error);
    return true;
  }

  // Drops every entry, for all principals.
  void forget() { detail::require_ok(satchel_prompt_cache_forget, raw()); }

  [[nodiscard]] std::uint64_t max_body() const {
    std::uint64_t bytes = 0;
    detail::require_ok(satchel_prompt_cache_max_body, raw(), &bytes);
    return bytes;
  }

  [[nodiscard]] satchel_index_counts index_counts() const {
    satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
    detail::require_ok(satchel_prompt_cache_index_counts, raw(), &counts);
    return counts;
  }

  [[nodiscard]] Prompt parse(std::string_view body) {
    Prompt prompt;
    detail::require_ok(satchel_prompt_parse, raw(), detail::data(body), body.size(), prompt.out());
    return prompt;
  }

  void validate(std::string_view body) {
    detail::require_ok(satchel_prompt_validate, raw(), detail::data(body), body.size());
  }

  [[nodiscard]] ForwardedBody forward(std::string_view body) {
    Buffer edited;
    std::int32_t had_markers = 0;
    const satchel_status status = detail::call(satchel_prompt_forward, raw(), detail::data(body),
                                               body.size(), edited.raw(), &had_markers);
    ForwardedBody forwarded;
    forwarded.had_markers = had_markers != 0;
    if (status == SATCHEL_OK) forwarded.body = std::move(edited);
    return forwarded;
  }

  // What a request with this body would have read and created.
  [[nodiscard]] Outcome classify(const RequestHead& who, std::string_view model,
                                 std::string_view body) {
    Outcome outcome;
    const satchel_request_head head = detail::head(who);
    detail::require_ok(satchel_prompt_classify, raw(), &head, detail::data(model), model.size(),
                       detail::data(body), body.size(), outcome.out());
    return outcome;
  }
};

}  // namespace satchel
