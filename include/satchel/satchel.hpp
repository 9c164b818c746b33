// satchel.hpp - satchel.h for C++17 and later: handles that release themselves, errors that are
// thrown. Header-only; it adds nothing to the contract, so satchel.h stays the manual.
//
// - Handles are movable and not copyable. Using one that was moved from throws ERR_HANDLE.
// - A call that returns an error there throws satchel::Error here. Answers that are no errors
//   (pass through, rejected, unchanged, miss) are return values, with one exception: parse() and
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
#include <functional>
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

// A request that the library asks of another machine; valid until send() returns. Header values may
// be secrets.
struct HttpRequest {
  std::string_view method;
  std::string_view url;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  std::uint32_t timeout_ms = 0;
  std::uint64_t max_body = 0;  // bytes of the answer's body, decoded
};

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

class Http {
 public:
  virtual ~Http() = default;
  // Follows no redirect. Throws Error(SATCHEL_ERR_TIMEOUT) where it is not done in time.
  virtual HttpAnswer send(const HttpRequest& request) = 0;
};

// What the host lends to every engine; each optional.
struct Host {
  std::unique_ptr<Clock> clock;
  std::unique_ptr<Log> log;
  std::unique_ptr<Http> http;
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

// A prompt to be written out by the model's chat template; views, valid until render() returns.
struct RenderRequest {
  std::string_view messages;  // JSON
  std::string_view tools;     // JSON; empty: none
  std::vector<satchel_prefix> prefixes;
  std::uint32_t timeout_ms = 0;
};

struct RenderCounts {
  std::int32_t failure = 0;  // SATCHEL_RENDER_*, where it cannot be rendered
  std::uint32_t total = 0;
  std::vector<std::int64_t> prefixes;  // SATCHEL_NOT_COUNTED where the template refuses
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // The models it knows. Without the one asked for, that one is not mapped.
  virtual std::vector<TokenizerModel> versions(std::string_view model) = 0;
  // The tokens up to and including each segment.
  virtual std::vector<std::uint32_t> tokenize(std::string_view model, const Segments& segments) = 0;
  // Whether render() is there, for exact counting.
  [[nodiscard]] virtual bool renders() const { return false; }
  virtual RenderCounts render(std::string_view /*model*/, const RenderRequest& /*request*/) {
    throw NotHandled();
  }
};

// The host's own index. From any thread; commit() from one thread at a time.
class Index {
 public:
  virtual ~Index() = default;
  // Those of `hashes`, 32 bytes each, the longest prefix first, that the scope has and that expire
  // after `live_after`, Unix nanoseconds. An Error: nothing can be said, no caching.
  virtual std::vector<satchel_entry> find(const satchel_scope& scope, const std::uint8_t* hashes,
                                          std::size_t hash_count, std::int64_t live_after) = 0;
  // All of it or an Error: that of SATCHEL_ERR_BUSY, _IO, _TIMEOUT and _UNAVAILABLE is tried again.
  // Whether the entry to refresh was there.
  virtual bool commit(const satchel_commit& commit) = 0;
  virtual void clear() = 0;
};

// The parts of a prompt cache that the host replaces; each optional.
struct PromptParts {
  std::unique_ptr<Principals> principals;
  std::unique_ptr<Models> models;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Index> index;
};

namespace detail {

inline satchel_status send_http(Http& http, const satchel_http_request& raw,
                                satchel_http_answer* out) {
  HttpRequest request{text(raw.method), text(raw.url),  {},
                      text(raw.body),   raw.timeout_ms, raw.max_body};
  for (std::size_t i = 0; i < raw.header_count; ++i) {
    request.headers.emplace_back(text(raw.headers[i].name), text(raw.headers[i].value));
  }
  const HttpAnswer answer = http.send(request);
  satchel_status status = satchel_http_status_set(out, answer.status);
  for (const auto& [name, value] : answer.headers) {
    if (status != SATCHEL_OK) return status;
    status = satchel_http_header_add(out, name.data(), name.size(), value.data(), value.size());
  }
  if (status != SATCHEL_OK) return status;
  return satchel_http_body_add(out, answer.body.data(), answer.body.size());
}

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
  if (host->http) {
    table.http = [](void* user, const satchel_http_request* request, satchel_http_answer* answer) {
      return guard([&] { return send_http(*static_cast<Host*>(user)->http, *request, answer); });
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

inline satchel_status render(Tokenizer& tokenizer, std::string_view model,
                             const satchel_render_request& raw, satchel_render_answer* answer) {
  RenderRequest request{text(raw.messages), text(raw.tools), {}, raw.timeout_ms};
  for (std::size_t i = 0; i < raw.prefix_count; ++i) request.prefixes.push_back(raw.prefixes[i]);
  const RenderCounts counts = tokenizer.render(model, request);
  if (counts.failure != 0) return satchel_render_fail(answer, counts.failure);
  return satchel_render_set(answer, counts.total, counts.prefixes.data(), counts.prefixes.size());
}

inline satchel_tokenizer tokenizer_table(std::unique_ptr<Tokenizer> part) {
  satchel_tokenizer table = SATCHEL_TOKENIZER_INIT;
  if (part->renders()) {
    table.render = [](void* user, const char* model, std::size_t model_len,
                      const satchel_render_request* request, satchel_render_answer* answer) {
      return guard([&] {
        return render(*static_cast<Tokenizer*>(user), {model, model_len}, *request, answer);
      });
    };
  }
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

inline satchel_index index_table(std::unique_ptr<Index> part) {
  satchel_index table = SATCHEL_INDEX_INIT;
  table.user = part.release();
  table.release = destroy<Index>;
  table.find = [](void* user, const satchel_scope* scope, const std::uint8_t* hashes,
                  std::size_t hash_count, std::int64_t live_after, satchel_index_answer* answer) {
    return guard([&]() -> satchel_status {
      for (const satchel_entry& entry :
           static_cast<Index*>(user)->find(*scope, hashes, hash_count, live_after)) {
        const satchel_status status = satchel_index_add(answer, &entry);
        if (status != SATCHEL_OK) return status;
      }
      return SATCHEL_OK;
    });
  };
  table.commit = [](void* user, const satchel_commit* commit, std::int32_t* refreshed) {
    return guard([&] {
      *refreshed = static_cast<Index*>(user)->commit(*commit) ? 1 : 0;
      return SATCHEL_OK;
    });
  };
  table.clear = [](void* user) {
    return guard([&] {
      static_cast<Index*>(user)->clear();
      return SATCHEL_OK;
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

  // The same on a thread of the library. `done(user, status)` as satchel.h says.
  void classify_start(satchel_classify_done done = nullptr, void* user = nullptr) {
    detail::require_ok(satchel_request_classify_start, raw(), done, user);
  }
  // Readable once what was started has ended. Valid until the request is released.
  [[nodiscard]] std::int32_t descriptor() {
    std::int32_t fd = -1;
    detail::require_ok(satchel_request_descriptor, raw(), &fd);
    return fd;
  }
  // From now on write() and end() do not wait for classification: see pending().
  void no_wait() { detail::require_ok(satchel_request_no_wait, raw()); }
  // The last write() or end() kept bytes back: call it again, with nothing, once classification
  // has ended.
  [[nodiscard]] bool pending() const noexcept { return pending_; }

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
    pending_ = detail::call(satchel_request_write, raw(), detail::data(data), data.size(), &view) ==
               SATCHEL_PENDING;
    return text(view);
  }

  // The last bytes; as write(). Hands the entries over for writing.
  [[nodiscard]] std::string_view end() {
    satchel_view view = {nullptr, 0};
    pending_ = detail::call(satchel_request_end, raw(), &view) == SATCHEL_PENDING;
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
  bool pending_ = false;
};

// ------------------------------------------------------------------------------------ prompt cache

class PromptCache : public detail::Handle<&satchel_prompt_cache_close> {
 public:
  explicit PromptCache(const Library& library, std::string_view config = {},
                       PromptParts parts = {}) {
    satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
    satchel_models models = SATCHEL_MODELS_INIT;
    satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
    satchel_index index = SATCHEL_INDEX_INIT;
    satchel_prompt_parts table = SATCHEL_PROMPT_PARTS_INIT;
    // First, because it asks the host's tokenizer, which may throw: what is in a table by then
    // would be nobody's.
    if (parts.tokenizer) {
      tokenizer = detail::tokenizer_table(std::move(parts.tokenizer));
      table.tokenizer = &tokenizer;
    }
    if (parts.principals) {
      principals = detail::principals_table(std::move(parts.principals));
      table.principals = &principals;
    }
    if (parts.models) {
      models = detail::models_table(std::move(parts.models));
      table.models = &models;
    }
    if (parts.index) {
      index = detail::index_table(std::move(parts.index));
      table.index = &index;
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

  // Prometheus text.
  [[nodiscard]] std::string metrics() const {
    Buffer text;
    detail::require_ok(satchel_prompt_cache_metrics, raw(), text.raw());
    return text.str();
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

// -------------------------------------------------------------------------------------- tool cache

// The key of a call: 64 hexadecimal digits, from its canonical input.
inline std::string tool_key(std::string_view input) {
  char key[65] = "";
  detail::require_ok(satchel_tool_key, detail::data(input), input.size(), &key[0]);
  return key;
}
// The key under which a result's own bytes are known.
inline std::string tool_result_key(std::string_view content) {
  char key[65] = "";
  detail::require_ok(satchel_tool_result_key, detail::data(content), content.size(), &key[0]);
  return key;
}

// A file or directory that a result depends on, with its fingerprint.
struct ToolRoot {
  std::string path;
  std::string expected_hash;
};

// What is stored beside a payload.
struct ToolMeta {
  std::string kind;
  std::vector<ToolRoot> roots;
  std::vector<std::string> upstreams;  // keys
};

// What a caller is about to compute. Of a root's expected_hash only the prefix is read: the form.
struct ToolCall {
  std::string kind;
  std::string args_summary;
  std::vector<ToolRoot> roots;
  std::uint32_t wait_ms = 0;
  std::uint32_t lease_ms = 0;  // 0: as configured
};

// A store of the host's own. Called from several threads at once; whatever it throws fails the call
// with ERR_CALLBACK.
class ToolStore {
 public:
  struct Entry {
    std::string payload;
    std::string meta;
  };

  virtual ~ToolStore() = default;
  virtual void persist(std::string_view key, std::string_view payload, std::string_view meta) = 0;
  virtual std::optional<Entry> lookup(std::string_view key) = 0;
  virtual bool remove(std::string_view key) = 0;  // whether anything was there
  virtual bool contains(std::string_view key) = 0;
  using Visit = std::function<void(std::string_view key, std::string_view meta)>;
  virtual void iterate(const Visit& visit) = 0;
  virtual std::uint64_t total_bytes() = 0;
  virtual std::vector<std::string> evict_to_cap(std::uint64_t cap) = 0;  // the keys removed
};

// Where a cache lives: a directory, or a store of the host.
struct ToolPlace {
  std::string store;
  std::string workspace;  // empty: the working directory at this moment
  std::unique_ptr<ToolStore> host_store;
};

namespace detail {

inline void require_added(satchel_status status) {
  if (status != SATCHEL_OK) throw Error(status);
}

inline satchel_tool_store tool_store_table(std::unique_ptr<ToolStore> part) {
  satchel_tool_store table = SATCHEL_TOOL_STORE_INIT;
  table.user = part.release();
  table.release = destroy<ToolStore>;
  table.persist = [](void* user, const char* key, std::size_t key_len, const char* payload,
                     std::size_t payload_len, const char* meta, std::size_t meta_len) {
    return guard([&]() -> satchel_status {
      static_cast<ToolStore*>(user)->persist({key, key_len}, {payload, payload_len},
                                             {meta, meta_len});
      return SATCHEL_OK;
    });
  };
  table.lookup = [](void* user, const char* key, std::size_t key_len,
                    satchel_stored_answer* answer) {
    return guard([&]() -> satchel_status {
      const auto found = static_cast<ToolStore*>(user)->lookup({key, key_len});
      if (!found) return SATCHEL_OK;
      return satchel_stored_set(answer, found->payload.data(), found->payload.size(),
                                found->meta.data(), found->meta.size());
    });
  };
  table.remove = [](void* user, const char* key, std::size_t key_len, std::int32_t* removed) {
    return guard([&]() -> satchel_status {
      *removed = static_cast<ToolStore*>(user)->remove({key, key_len}) ? 1 : 0;
      return SATCHEL_OK;
    });
  };
  table.contains = [](void* user, const char* key, std::size_t key_len, std::int32_t* present) {
    return guard([&]() -> satchel_status {
      *present = static_cast<ToolStore*>(user)->contains({key, key_len}) ? 1 : 0;
      return SATCHEL_OK;
    });
  };
  table.iterate = [](void* user, satchel_keys_answer* answer) {
    return guard([&]() -> satchel_status {
      static_cast<ToolStore*>(user)->iterate([&](std::string_view key, std::string_view meta) {
        require_added(satchel_keys_add(answer, key.data(), key.size(), meta.data(), meta.size()));
      });
      return SATCHEL_OK;
    });
  };
  table.total_bytes = [](void* user, std::uint64_t* bytes) {
    return guard([&]() -> satchel_status {
      *bytes = static_cast<ToolStore*>(user)->total_bytes();
      return SATCHEL_OK;
    });
  };
  table.evict_to_cap = [](void* user, std::uint64_t cap, satchel_keys_answer* answer) {
    return guard([&]() -> satchel_status {
      for (const std::string& key : static_cast<ToolStore*>(user)->evict_to_cap(cap)) {
        require_added(satchel_keys_add(answer, key.data(), key.size(), nullptr, 0));
      }
      return SATCHEL_OK;
    });
  };
  return table;
}

inline std::vector<satchel_root> roots(const std::vector<ToolRoot>& from) {
  std::vector<satchel_root> out;
  out.reserve(from.size());
  for (const ToolRoot& root : from) out.push_back({view(root.path), view(root.expected_hash)});
  return out;
}

// A satchel_tool_meta over a ToolMeta, which must outlive it.
class MetaView {
 public:
  explicit MetaView(const ToolMeta& from) : roots_(roots(from.roots)) {
    for (const std::string& key : from.upstreams) upstreams_.push_back(view(key));
    raw_.kind = view(from.kind);
    raw_.roots = roots_.data();
    raw_.root_count = roots_.size();
    raw_.upstreams = upstreams_.data();
    raw_.upstream_count = upstreams_.size();
  }
  MetaView(const MetaView&) = delete;
  MetaView& operator=(const MetaView&) = delete;
  [[nodiscard]] const satchel_tool_meta* raw() const noexcept { return &raw_; }

 private:
  std::vector<satchel_root> roots_;
  std::vector<satchel_view> upstreams_;
  satchel_tool_meta raw_ = SATCHEL_TOOL_META_INIT;
};

}  // namespace detail

// A result that was stored. Any thread, and for longer than its cache.
class ToolResult : public detail::Handle<&satchel_tool_result_free> {
 public:
  // Views in it, and those below, are valid as long as the ToolResult is.
  [[nodiscard]] satchel_tool_result_info info() const {
    satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
    detail::require_ok(satchel_tool_result_info_get, raw(), &info);
    return info;
  }
  [[nodiscard]] satchel_root root(std::size_t index) const {
    satchel_root root = {{nullptr, 0}, {nullptr, 0}};
    detail::require_ok(satchel_tool_result_root, raw(), index, &root);
    return root;
  }
  [[nodiscard]] std::string_view upstream(std::size_t index) const {
    satchel_view key = {nullptr, 0};
    detail::require_ok(satchel_tool_result_upstream, raw(), index, &key);
    return text(key);
  }
  // All of it, in memory from then on.
  [[nodiscard]] std::string_view payload() const {
    satchel_view payload = {nullptr, 0};
    detail::require_ok(satchel_tool_result_payload, raw(), &payload);
    return text(payload);
  }
  // How many bytes were read; 0 at the end.
  std::size_t read(std::uint64_t offset, char* data, std::size_t capacity) const {
    std::size_t got = 0;
    detail::require_ok(satchel_tool_result_read, raw(), offset, data, capacity, &got);
    return got;
  }

 private:
  friend class ToolCache;
};

// What a lookup found.
struct ToolLookup {
  enum class Answer : std::uint8_t { kHit, kMiss, kInvalidated };
  Answer answer = Answer::kMiss;
  std::optional<ToolResult> result;  // of a hit
  std::string why;                   // kInvalidated: which root
};

// Whether a result was kept. It may be used in either case.
struct ToolKept {
  bool stored = true;
  std::string why_not;
};

namespace detail {

template <class... Parameters, class... Arguments>
ToolKept kept(satchel_status (*function)(Parameters...), Arguments... arguments) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = function(arguments..., &error);
  if (status == SATCHEL_OK) return {};
  if (status == SATCHEL_NOT_STORED) return {false, error.message};
  throw Error(status, error);
}

}  // namespace detail

// A payload on its way into the store, piece by piece. One thread at a time. Destroyed before
// commit(), nothing was stored.
class ToolWriter : public detail::Handle<&satchel_tool_writer_free> {
 public:
  void write(std::string_view data) {
    detail::require_ok(satchel_tool_writer_write, raw(), detail::data(data), data.size());
  }
  // That of a lease may have been in vain; see ToolLease::commit().
  ToolKept commit() { return detail::kept(satchel_tool_writer_commit, raw()); }

 private:
  friend class ToolCache;
  friend class ToolLease;
};

// One's turn to compute. One thread at a time. Destroyed before commit(), it was abandoned.
class ToolLease : public detail::Handle<&satchel_tool_lease_free> {
 public:
  // Not stored where a root changed while the tool ran, or the lease had passed on.
  ToolKept commit(std::string_view payload) { return commit_with(payload, nullptr); }
  // `extra`: upstreams, more roots, another kind.
  ToolKept commit(std::string_view payload, const ToolMeta& extra) {
    return commit_with(payload, detail::MetaView(extra).raw());
  }
  // Its commit() ends the lease, which must live until then.
  [[nodiscard]] ToolWriter writer(const ToolMeta& extra = {}) {
    ToolWriter writer;
    detail::require_ok(satchel_tool_lease_writer, raw(), detail::MetaView(extra).raw(),
                       writer.out());
    return writer;
  }
  void abandon() { detail::require_ok(satchel_tool_lease_abandon, raw()); }

 private:
  friend class ToolCache;
  ToolKept commit_with(std::string_view payload, const satchel_tool_meta* extra) {
    return detail::kept(satchel_tool_lease_commit, raw(), detail::data(payload), payload.size(),
                        extra);
  }
};

// What became of get_or_begin(): a result, a lease, or neither: somebody else is computing.
struct ToolBegun {
  enum class Answer : std::uint8_t { kHit, kLeased, kWait };
  Answer answer = Answer::kWait;
  std::optional<ToolResult> result;
  std::optional<ToolLease> lease;
};

// Errors ERR_INTEGRITY and ERR_META of lookups are thrown as all others.
class ToolCache : public detail::Handle<&satchel_tool_cache_close> {
 public:
  explicit ToolCache(const Library& library, ToolPlace place, std::string_view config = {}) {
    satchel_tool_store store = SATCHEL_TOOL_STORE_INIT;
    satchel_tool_place where = SATCHEL_TOOL_PLACE_INIT;
    if (place.host_store) {
      store = detail::tool_store_table(std::move(place.host_store));
      where.host_store = &store;
    }
    where.store = detail::view(place.store);
    where.workspace = detail::view(place.workspace);
    detail::require_ok(satchel_tool_cache_open, library.raw(), &where, detail::data(config),
                       config.size(), out());
  }

  // Results stay readable.
  void close() { release(); }

  [[nodiscard]] ToolLookup lookup(std::string_view key) {
    return look_up(satchel_tool_lookup, key);
  }
  [[nodiscard]] ToolLookup lookup_revalidate(std::string_view key) {
    return look_up(satchel_tool_lookup_revalidate, key);
  }

  void persist(std::string_view key, std::string_view payload, const ToolMeta& meta) {
    detail::require_ok(satchel_tool_persist, raw(), detail::data(key), key.size(),
                       detail::data(payload), payload.size(), detail::MetaView(meta).raw());
  }
  [[nodiscard]] ToolWriter writer(std::string_view key, const ToolMeta& meta) {
    ToolWriter writer;
    detail::require_ok(satchel_tool_writer_new, raw(), detail::data(key), key.size(),
                       detail::MetaView(meta).raw(), writer.out());
    return writer;
  }
  [[nodiscard]] ToolBegun get_or_begin(std::string_view key, const ToolCall& call) {
    const std::vector<satchel_root> roots = detail::roots(call.roots);
    satchel_tool_call asked = SATCHEL_TOOL_CALL_INIT;
    asked.kind = detail::view(call.kind);
    asked.args_summary = detail::view(call.args_summary);
    asked.roots = roots.data();
    asked.root_count = roots.size();
    asked.wait_ms = call.wait_ms;
    asked.lease_ms = call.lease_ms;
    ToolResult result;
    ToolLease lease;
    const satchel_status status = detail::call(satchel_tool_get_or_begin, raw(), detail::data(key),
                                               key.size(), &asked, result.out(), lease.out());
    ToolBegun begun;
    if (status == SATCHEL_OK) {
      begun.answer = ToolBegun::Answer::kHit;
      begun.result = std::move(result);
    } else if (status == SATCHEL_LEASED) {
      begun.answer = ToolBegun::Answer::kLeased;
      begun.lease = std::move(lease);
    }
    return begun;
  }

  [[nodiscard]] bool contains(std::string_view key) {
    std::int32_t present = 0;
    detail::require_ok(satchel_tool_contains, raw(), detail::data(key), key.size(), &present);
    return present != 0;
  }
  void mark_dirty(std::string_view key) {
    detail::require_ok(satchel_tool_mark_dirty, raw(), detail::data(key), key.size());
  }
  // How many entries went.
  std::uint64_t invalidate_upstream(std::string_view key) {
    std::uint64_t dropped = 0;
    detail::require_ok(satchel_tool_invalidate_upstream, raw(), detail::data(key), key.size(),
                       &dropped);
    return dropped;
  }
  // How many had the path itself among their roots.
  std::uint64_t invalidate_path(std::string_view path) {
    std::uint64_t matches = 0;
    detail::require_ok(satchel_tool_invalidate_path, raw(), detail::data(path), path.size(),
                       &matches);
    return matches;
  }

  // `form` is SATCHEL_FINGERPRINT_*. Nothing: too large to be hashed.
  [[nodiscard]] std::optional<std::string> fingerprint(
      std::string_view path, std::int32_t form = SATCHEL_FINGERPRINT_CONTENT) {
    Buffer taken;
    const satchel_status status = detail::call(satchel_tool_fingerprint, raw(), detail::data(path),
                                               path.size(), form, taken.raw());
    if (status == SATCHEL_OVERSIZED) return std::nullopt;
    return taken.str();
  }

  [[nodiscard]] std::uint64_t entry_count() { return number(satchel_tool_entry_count); }
  [[nodiscard]] std::uint64_t total_bytes() { return number(satchel_tool_total_bytes); }
  std::uint64_t evict() { return number(satchel_tool_evict); }
  std::uint64_t evict_to_cap(std::uint64_t cap) {
    std::uint64_t dropped = 0;
    detail::require_ok(satchel_tool_evict_to_cap, raw(), cap, &dropped);
    return dropped;
  }
  std::uint64_t sweep(std::uint64_t min_age_ms) {
    std::uint64_t removed = 0;
    detail::require_ok(satchel_tool_sweep, raw(), min_age_ms, &removed);
    return removed;
  }
  void rebuild() { detail::require_ok(satchel_tool_rebuild, raw()); }
  // Waits for what runs in the background. False: not within the time.
  [[nodiscard]] bool flush(std::uint32_t timeout_ms) {
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = satchel_tool_cache_flush(raw(), timeout_ms, &error);
    if (status == SATCHEL_ERR_TIMEOUT) return false;
    if (status != SATCHEL_OK) throw Error(status, error);
    return true;
  }

  // JSON, but for the metrics: Prometheus text.
  [[nodiscard]] std::string known_kinds() { return document(satchel_tool_known_kinds); }
  [[nodiscard]] std::string stats() { return document(satchel_tool_stats); }
  [[nodiscard]] std::string metrics() { return document(satchel_tool_metrics); }
  [[nodiscard]] std::string list(std::string_view after = {}, std::string_view kind = {},
                                 std::uint32_t limit = 1000) {
    Buffer page;
    detail::require_ok(satchel_tool_list, raw(), detail::data(after), after.size(),
                       detail::data(kind), kind.size(), limit, page.raw());
    return page.str();
  }
  [[nodiscard]] std::string why(std::string_view key) {
    Buffer why;
    detail::require_ok(satchel_tool_why, raw(), detail::data(key), key.size(), why.raw());
    return why.str();
  }
  // False: there is no such entry, or half of it. Throws ERR_INTEGRITY and ERR_META.
  [[nodiscard]] bool verify(std::string_view key) {
    return detail::call(satchel_tool_verify, raw(), detail::data(key), key.size()) == SATCHEL_OK;
  }
  void record(std::string_view tool, std::string_view outcome, std::uint64_t duration_us,
              std::string_view args_summary = {}, std::string_view reason = {}) {
    detail::require_ok(satchel_tool_record, raw(), detail::data(tool), tool.size(),
                       detail::data(outcome), outcome.size(), duration_us,
                       detail::data(args_summary), args_summary.size(), detail::data(reason),
                       reason.size());
  }

 private:
  using Lookup = satchel_status (*)(satchel_tool_cache*, const char*, std::size_t,
                                    satchel_tool_result**, satchel_error*);
  ToolLookup look_up(Lookup function, std::string_view key) {
    ToolResult result;
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status =
        function(raw(), detail::data(key), key.size(), result.out(), &error);
    if (status < 0) throw Error(status, error);
    ToolLookup found;
    if (status == SATCHEL_OK) {
      found.answer = ToolLookup::Answer::kHit;
      found.result = std::move(result);
    } else if (status == SATCHEL_INVALIDATED) {
      found.answer = ToolLookup::Answer::kInvalidated;
      found.why = error.message;
    }
    return found;
  }
  std::uint64_t number(satchel_status (*function)(satchel_tool_cache*, std::uint64_t*,
                                                  satchel_error*)) {
    std::uint64_t value = 0;
    detail::require_ok(function, raw(), &value);
    return value;
  }
  std::string document(satchel_status (*function)(satchel_tool_cache*, satchel_buffer*,
                                                  satchel_error*)) {
    Buffer text;
    detail::require_ok(function, raw(), text.raw());
    return text.str();
  }
};

// ----------------------------------------------------------------------------------------- cascade

// What a part of a cascade throws to say why it has nothing: SATCHEL_USAGE_ERROR_*.
struct UsageUnknown {
  std::int32_t error = SATCHEL_USAGE_ERROR_NO_CREDENTIALS;
};

// The three small files, somewhere else than in a directory; `file` is SATCHEL_FILE_*.
class UsageFiles {
 public:
  struct File {
    std::string bytes;
    std::int64_t written_at = 0;  // Unix nanoseconds
  };

  virtual ~UsageFiles() = default;
  virtual std::optional<File> read(std::int32_t file) = 0;
  virtual void write(std::int32_t file, std::string_view bytes) = 0;
  virtual void remove(std::int32_t file) = 0;
};

class Credentials {
 public:
  virtual ~Credentials() = default;
  // Throws UsageUnknown where there is none. The library wipes its copy after use.
  virtual std::string token() = 0;
};

// What was used, as the host counted it.
struct TranscriptWindows {
  struct Block {
    std::int64_t start = 0;  // Unix nanoseconds
    satchel_tokens tokens = {0, 0, 0, 0};
  };
  std::optional<Block> five_hour;  // the block that is active
  satchel_tokens seven_day = {0, 0, 0, 0};
};

class Transcripts {
 public:
  virtual ~Transcripts() = default;
  // Nothing: there are no entries.
  virtual std::optional<TranscriptWindows> windows(std::int64_t now) = 0;
};

// Where a cascade looks, and the parts that the host replaces; everything may be left empty.
struct CascadeParts {
  std::string cache_dir;
  std::optional<std::vector<std::string>> config_dirs;
  std::unique_ptr<UsageFiles> files;
  std::unique_ptr<Credentials> credentials;
  std::unique_ptr<Transcripts> transcripts;
};

namespace detail {

inline satchel_usage_files usage_files_table(std::unique_ptr<UsageFiles> part) {
  satchel_usage_files table = SATCHEL_USAGE_FILES_INIT;
  table.user = part.release();
  table.release = destroy<UsageFiles>;
  table.read = [](void* user, std::int32_t file, satchel_file_answer* answer) {
    return guard([&]() -> satchel_status {
      const auto found = static_cast<UsageFiles*>(user)->read(file);
      if (!found) return SATCHEL_OK;
      return satchel_file_set(answer, found->bytes.data(), found->bytes.size(), found->written_at);
    });
  };
  table.write = [](void* user, std::int32_t file, const char* data, std::size_t len) {
    return guard([&]() -> satchel_status {
      static_cast<UsageFiles*>(user)->write(file, {data, len});
      return SATCHEL_OK;
    });
  };
  table.remove = [](void* user, std::int32_t file) {
    return guard([&]() -> satchel_status {
      static_cast<UsageFiles*>(user)->remove(file);
      return SATCHEL_OK;
    });
  };
  return table;
}

inline satchel_credentials credentials_table(std::unique_ptr<Credentials> part) {
  satchel_credentials table = SATCHEL_CREDENTIALS_INIT;
  table.user = part.release();
  table.release = destroy<Credentials>;
  table.token = [](void* user, satchel_token_answer* answer) {
    return guard([&]() -> satchel_status {
      try {
        const std::string token = static_cast<Credentials*>(user)->token();
        return satchel_token_set(answer, token.data(), token.size());
      } catch (const UsageUnknown& unknown) {
        return satchel_token_fail(answer, unknown.error);
      }
    });
  };
  return table;
}

inline satchel_transcripts transcripts_table(std::unique_ptr<Transcripts> part) {
  satchel_transcripts table = SATCHEL_TRANSCRIPTS_INIT;
  table.user = part.release();
  table.release = destroy<Transcripts>;
  table.windows = [](void* user, std::int64_t now, satchel_transcripts_answer* answer) {
    return guard([&]() -> satchel_status {
      const auto windows = static_cast<Transcripts*>(user)->windows(now);
      if (!windows) return SATCHEL_OK;
      if (windows->five_hour) {
        const auto& block = *windows->five_hour;
        satchel_transcripts_five_hour_set(answer, block.start, &block.tokens);
      }
      return satchel_transcripts_seven_day_set(answer, &windows->seven_day);
    });
  };
  return table;
}

}  // namespace detail

// What a resolve found. Any thread, and for longer than its cascade.
class Usage : public detail::Handle<&satchel_usage_free> {
 public:
  Usage() noexcept = default;
  // Takes over what a satchel_usage_done was given.
  explicit Usage(satchel_usage* raw) noexcept { *out() = raw; }

  [[nodiscard]] satchel_usage_summary summary() const {
    satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
    detail::require_ok(satchel_usage_summary_get, raw(), &summary);
    return summary;
  }
  [[nodiscard]] std::string json() const {
    Buffer json;
    detail::require_ok(satchel_usage_json, raw(), json.raw());
    return json.str();
  }

 private:
  friend class Cascade;
};

// The name of a SATCHEL_USAGE_ERROR_*.
inline std::string_view usage_error_name(std::int32_t error) {
  return satchel_usage_error_name(error);
}

class Cascade : public detail::Handle<&satchel_cascade_close> {
 public:
  explicit Cascade(const Library& library, CascadeParts parts = {}, std::string_view config = {}) {
    satchel_cascade_parts raw_parts = SATCHEL_CASCADE_PARTS_INIT;
    raw_parts.cache_dir = detail::view(parts.cache_dir);
    std::vector<satchel_view> config_dirs;
    if (parts.config_dirs) {
      config_dirs.reserve(parts.config_dirs->size() + 1);  // data() is not null where it is empty
      for (const std::string& dir : *parts.config_dirs) config_dirs.push_back(detail::view(dir));
      raw_parts.config_dirs = config_dirs.data();
      raw_parts.config_dir_count = config_dirs.size();
    }
    satchel_usage_files files = SATCHEL_USAGE_FILES_INIT;
    satchel_credentials credentials = SATCHEL_CREDENTIALS_INIT;
    satchel_transcripts transcripts = SATCHEL_TRANSCRIPTS_INIT;
    if (parts.files) {
      files = detail::usage_files_table(std::move(parts.files));
      raw_parts.files = &files;
    }
    if (parts.credentials) {
      credentials = detail::credentials_table(std::move(parts.credentials));
      raw_parts.credentials = &credentials;
    }
    if (parts.transcripts) {
      transcripts = detail::transcripts_table(std::move(parts.transcripts));
      raw_parts.transcripts = &transcripts;
    }
    detail::require_ok(satchel_cascade_open, library.raw(), &raw_parts, detail::data(config),
                       config.size(), out());
  }

  void close() { release(); }

  // Throws ERR_UNAVAILABLE where nothing is known; reason() is a SATCHEL_USAGE_ERROR_*.
  [[nodiscard]] Usage resolve() {
    Usage usage;
    detail::require_ok(satchel_cascade_resolve, raw(), usage.out());
    return usage;
  }

  // The same on a thread of the library. `done` gets the usage, or the error.
  using Done = std::function<void(std::optional<Usage>, const Error*)>;
  void resolve_start(Done done) {
    auto kept = std::make_unique<Done>(std::move(done));
    detail::require_ok(
        satchel_cascade_resolve_start, raw(),
        static_cast<satchel_usage_done>([](void* user, satchel_status status, satchel_usage* usage,
                                           const satchel_error* details) {
          const std::unique_ptr<Done> owned(static_cast<Done*>(user));
          detail::guard([&]() -> satchel_status {
            if (status == SATCHEL_OK) {
              (*owned)(Usage(usage), nullptr);
            } else {
              const Error error(status, *details);
              (*owned)(std::nullopt, &error);
            }
            return SATCHEL_OK;
          });
        }),
        static_cast<void*>(kept.get()));
    kept.release();
  }

  // False: the headers say nothing of the quota.
  bool observe(const std::vector<std::pair<std::string_view, std::string_view>>& headers) {
    std::vector<satchel_http_header> raw_headers;
    raw_headers.reserve(headers.size());
    for (const auto& [name, value] : headers) {
      raw_headers.push_back({detail::view(name), detail::view(value)});
    }
    const satchel_status status = detail::call(
        satchel_cascade_observe, raw(), static_cast<const satchel_http_header*>(raw_headers.data()),
        raw_headers.size());
    return status == SATCHEL_OK;
  }

  // JSON. Nothing: the transcripts are the host's.
  [[nodiscard]] std::optional<std::string> report(
      const satchel_report_range& range = SATCHEL_REPORT_RANGE_INIT) {
    Buffer report;
    const satchel_status status = detail::call(satchel_cascade_report, raw(), &range, report.raw());
    if (status == SATCHEL_NOT_HANDLED) return std::nullopt;
    return report.str();
  }

  // Prometheus text.
  [[nodiscard]] std::string metrics() {
    Buffer text;
    detail::require_ok(satchel_cascade_metrics, raw(), text.raw());
    return text.str();
  }
};

}  // namespace satchel
