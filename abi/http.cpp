#include "http.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "core/clock.hpp"
#include "satchel/satchel.h"

// What the callback fills: it lives on the stack of the call that asks.
struct satchel_http_answer {
  std::optional<std::int32_t> status;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::size_t max_body = 0;
  satchel::core::Status refused = satchel::core::Status::kOk;  // what was given, and not taken
};

namespace satchel::abi {

using core::Error;
using core::HttpAnswer;
using core::HttpRequest;
using core::Result;
using core::Status;

namespace {

satchel_http_request view_of_request(const HttpRequest& request,
                                     const std::vector<satchel_http_header>& headers) {
  const std::int64_t ms = (request.timeout_ns + core::kNanosPerMilli - 1) / core::kNanosPerMilli;
  return {sizeof(satchel_http_request),
          view_of(request.method),
          view_of(request.url),
          headers.data(),
          headers.size(),
          view_of(request.body),
          request.max_body_bytes,
          static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, UINT32_MAX)),
          0};
}

class HostTransport final : public core::Transport {
 public:
  explicit HostTransport(std::shared_ptr<HostTable<satchel_host>> host) : host_(std::move(host)) {}

  Result<HttpAnswer> send(const HttpRequest& request) override {
    std::vector<satchel_http_header> headers;
    headers.reserve(request.headers.size());
    for (const auto& [name, value] : request.headers) {
      headers.push_back({view_of(name), view_of(value)});
    }
    const satchel_http_request asked = view_of_request(request, headers);
    satchel_http_answer answer;
    answer.max_body = request.max_body_bytes;
    const satchel_status status = (*host_)->http((*host_)->user, &asked, &answer);
    if (status == SATCHEL_NOT_HANDLED) return Error{Status::kNotHandled, "not handled", 0, 0};
    if (answer.refused != Status::kOk) {
      return Error{answer.refused, "the answer of host.http could not be taken", 0, 0};
    }
    if (status == SATCHEL_ERR_TIMEOUT) return Error{Status::kTimeout, "host.http: too late", 0, 0};
    if (Result<void> ok = answered("host.http", status); !ok) return ok.take_error();
    if (!answer.status) {
      return Error{Status::kCallback, "host.http answered OK without a status", 0, 0};
    }
    return HttpAnswer{*answer.status, std::move(answer.headers), std::move(answer.body)};
  }

  // How long its requests take is the host's affair: it was told the time.
  void stop() override {}

 private:
  const std::shared_ptr<HostTable<satchel_host>> host_;
};

}  // namespace

std::unique_ptr<core::Transport> make_host_transport(const std::shared_ptr<Context>& context) {
  if (context->host == nullptr || (*context->host)->http == nullptr) return nullptr;
  return std::make_unique<HostTransport>(context->host);
}

}  // namespace satchel::abi

namespace abi = satchel::abi;
using satchel::core::Result;
using satchel::core::Status;

extern "C" {

satchel_status satchel_http_status_set(satchel_http_answer* answer, int32_t status) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    if (status < 100 || status > 999) return abi::argument_error("status", "is no HTTP status");
    answer->status = status;
    return Status::kOk;
  });
}

satchel_status satchel_http_header_add(satchel_http_answer* answer, const char* name,
                                       size_t name_len, const char* value, size_t value_len) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> key = abi::bytes_of(name, name_len, "name");
    if (!key) return key.error();
    const Result<std::string_view> text = abi::bytes_of(value, value_len, "value");
    if (!text) return text.error();
    answer->headers.emplace_back(*key, *text);
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->refused = Status::kMemory;
  return status;
}

satchel_status satchel_http_body_add(satchel_http_answer* answer, const char* data, size_t len) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> bytes = abi::bytes_of(data, len, "data");
    if (!bytes) return bytes.error();
    if (bytes->size() > answer->max_body - answer->body.size()) {
      answer->refused = Status::kLimit;
      return satchel::core::Error{Status::kLimit, "the body is longer than max_body", 0, 0};
    }
    answer->body.append(*bytes);
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->refused = Status::kMemory;
  return status;
}

}  // extern "C"
