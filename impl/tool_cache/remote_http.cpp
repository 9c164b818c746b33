#include "tool_cache/remote_http.hpp"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/lowercase.hpp"
#include "core/secret.hpp"
#include "tool_cache/remote_entry.hpp"
#include "tool_cache/remote_wire.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::HttpAnswer;
using core::Result;
using core::Status;

namespace {

constexpr std::string_view kBearer = "Bearer ";
constexpr std::size_t kSmallAnswer = 64 << 10;

core::Secret bearer(std::string_view token) {
  core::Secret value(kBearer.size() + token.size());
  std::memcpy(value.data(), kBearer.data(), kBearer.size());
  if (!token.empty()) std::memcpy(value.data() + kBearer.size(), token.data(), token.size());
  return value;
}

// Without a path, and without what may stand before the host.
std::string origin_of(std::string_view url) {
  const std::size_t host = url.find("://") + 3;
  std::string_view place = url.substr(host, url.find_first_of("/?#", host) - host);
  if (const std::size_t at = place.rfind('@'); at != std::string_view::npos) {
    place.remove_prefix(at + 1);
  }
  return std::string(place);
}

bool is_utf8_path(const Root& root) {
  // What is not UTF-8 would be written lossily, and could be another file's path there.
  return core::utf8_lossy(root.path) == root.path;
}

class HttpRemote final : public RemoteStore {
 public:
  HttpRemote(const RemoteConfig& config, std::unique_ptr<core::Transport> transport)
      : config_(config),
        authorization_(bearer(config.token->view())),
        transport_(std::move(transport)) {
    while (config_.url.ends_with('/')) config_.url.pop_back();
  }

  [[nodiscard]] std::string name() const override {
    return "cache server at " + origin_of(config_.url);
  }

  Result<std::optional<RemoteEntry>> fetch(const Key& key) override {
    const std::size_t most =
        static_cast<std::size_t>(config_.max_payload_bytes) / 3 * 4 + 2 * kRemoteMaxMetaBytes;
    const Result<HttpAnswer> answer =
        post("/v1/cache/lookup", wire_lookup(key, config_.allow_shared), config_.timeout_ms, most);
    if (!answer) {
      // Longer than anything that we would take: a fault of the entry, not of the server.
      if (answer.error().status == Status::kLimit) {
        return Error{Status::kIntegrity, "it is longer than max_payload_bytes allows", 0, 0};
      }
      return answer.error();
    }
    if (answer->status != 200) return unexpected(*answer);
    return read_wire_lookup(answer->body);
  }

  Result<void> send(const Key& key, std::string_view payload, const Meta& meta) override {
    for (const Root& root : meta.file_roots) {
      if (!is_utf8_path(root)) {
        return Error{Status::kNotStored, "a root's path cannot be said in this protocol", 0, 0};
      }
    }
    const std::string body = wire_persist(key, payload, meta, config_.promote_to_shared);
    const Result<HttpAnswer> answer =
        post("/v1/cache/persist", body, config_.send_timeout_ms, kSmallAnswer);
    if (!answer) return answer.error();
    if (answer->status == 413) {
      return Error{Status::kNotStored, "it is longer than the server takes", 0, 0};
    }
    const bool rate_limited = answer->status == 429 && answer->header("retry-after") != nullptr;
    const bool says_more = answer->status == 200 || answer->status == 422 || answer->status == 429;
    if (!says_more || rate_limited) return unexpected(*answer);
    return read_wire_persist(answer->body);
  }

  Result<void> remove(const Key& key) override { return invalidate(key); }
  Result<std::vector<Key>> remove_dependents(const Key& key) override {
    if (Result<void> done = invalidate(key); !done) return done.take_error();
    return std::vector<Key>();  // it tells their number alone
  }

  void stop() override { transport_->stop(); }

 private:
  Result<void> invalidate(const Key& key) {
    const Result<HttpAnswer> answer = post("/v1/cache/invalidate-upstream", wire_invalidate(key),
                                           config_.send_timeout_ms, kSmallAnswer);
    if (!answer) return answer.error();
    if (answer->status != 200) return unexpected(*answer);
    return read_wire_invalidate(answer->body);
  }

  Result<HttpAnswer> post(std::string_view path, std::string_view body, std::int64_t timeout_ms,
                          std::size_t max_answer) {
    const std::string url = config_.url + std::string(path);
    core::HttpRequest request;
    request.method = "POST";
    request.url = url;
    request.headers = {{"Authorization", authorization_.view()},
                       {"Content-Type", "application/json"}};
    request.body = body;
    request.timeout_ns = timeout_ms * core::kNanosPerMilli;
    request.max_body_bytes = max_answer;
    return transport_->send(request);
  }

  // The status alone: a body may say anything.
  static Error unexpected(const HttpAnswer& answer) {
    const bool token = answer.status == 401 || answer.status == 403;
    return {token ? Status::kUnavailable : Status::kIo,
            (token ? "it refuses our token: status " : "it answers with status ") +
                std::to_string(answer.status),
            0, 0};
  }

  RemoteConfig config_;
  const core::Secret authorization_;
  const std::unique_ptr<core::Transport> transport_;
};

}  // namespace

std::unique_ptr<RemoteStore> make_http_remote(const RemoteConfig& config,
                                              std::unique_ptr<core::Transport> transport) {
  return std::make_unique<HttpRemote>(config, std::move(transport));
}

}  // namespace satchel::tool_cache
