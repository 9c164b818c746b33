#include "prompt_cache/http_tokenizer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "core/secret.hpp"
#include "prompt_cache/overload_retries.hpp"
#include "prompt_cache/tokenizer_wire.hpp"

namespace satchel::prompt_cache {

using core::Error;
using core::HttpAnswer;
using core::Result;

namespace {

constexpr const char* kModels = "/v1/models";
constexpr const char* kTokenize = "/v1/tokenize";
constexpr const char* kRender = "/v1/render";
constexpr std::string_view kBearer = "Bearer ";
constexpr int kOverloaded = 503;

// How long an answer may be: what it must say, with room for what else it may.
constexpr std::size_t kMaxAnswer = std::size_t{1} << 20;
constexpr std::size_t kMaxModels = std::size_t{8} << 20;
constexpr std::size_t kMaxCount = 64;  // a count of a segment, twice

bool is_success(int status) { return status >= 200 && status <= 299; }

core::Secret bearer(std::string_view key) {
  if (key.empty()) return {};
  core::Secret value(kBearer.size() + key.size());
  std::memcpy(value.data(), kBearer.data(), kBearer.size());
  std::memcpy(value.data() + kBearer.size(), key.data(), key.size());
  return value;
}

std::string base_of(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url);
}

// The status alone: what a body quotes of a prompt is nobody else's business.
std::string answered_with(int status, const char* path) {
  return "it answered " + std::to_string(status) + " to " + path;
}

class HttpTokenizer final : public Tokenizer {
 public:
  HttpTokenizer(const TokenizerConfig& config, std::unique_ptr<core::Transport> transport,
                core::Counter& retries, core::Clock& clock)
      : base_(base_of(config.url)),
        authorization_(bearer(config.api_key)),
        timeout_ns_(config.timeout_ms * core::kNanosPerMilli),
        clock_(clock),
        retried_(retries),
        retries_(clock),
        transport_(std::move(transport)) {}

  [[nodiscard]] bool wants_text() const override { return true; }
  [[nodiscard]] bool can_render() const override { return true; }

  Result<std::vector<ModelVersions>> versions(std::string_view /*model*/,
                                              Patience patience) override {
    const Result<HttpAnswer> answer = ask(kModels, nullptr, kMaxModels, patience);
    if (!answer) return answer.error();
    if (is_success(answer->status)) return read_versions(answer->body);
    return tokenizer_error(TokenizerFault::kBadAnswer, answered_with(answer->status, kModels));
  }

  Result<std::vector<std::uint32_t>> tokenize(std::string_view model,
                                              std::span<const Segment> segments,
                                              Patience patience) override {
    const std::string body = tokenize_body(model, segments);
    const Result<HttpAnswer> answer =
        ask(kTokenize, &body, kMaxAnswer + kMaxCount * segments.size(), patience);
    if (!answer) return answer.error();
    if (is_success(answer->status)) return read_token_counts(answer->body);
    return tokenizer_error(fault_of_tokenize(answer->status, answer->body),
                           answered_with(answer->status, kTokenize));
  }

  Result<RenderCounts> render(std::string_view model, const RenderRequest& request,
                              Patience patience) override {
    const std::string body = render_body(model, request);
    const Result<HttpAnswer> answer = ask(kRender, &body, kMaxAnswer, patience);
    if (!answer) return answer.error();
    if (is_success(answer->status)) return read_render_counts(answer->body);
    return tokenizer_error(fault_of_render(answer->status, answer->body),
                           answered_with(answer->status, kRender));
  }

  void stop() override {
    retries_.stop();
    transport_->stop();
  }

 private:
  // Without a body: GET. The last answer, be it a refusal; an error: there was none.
  Result<HttpAnswer> ask(const char* path, const std::string* body, std::size_t max_answer,
                         Patience patience) {
    Result<HttpAnswer> answer = send(path, body, max_answer, patience);
    for (unsigned n = 1; answer && answer->status == kOverloaded; ++n) {
      const std::optional<OverloadRetries::Turn> turn = retries_.wait(n, patience);
      if (!turn) break;
      retried_.add();
      answer = send(path, body, max_answer, patience);
    }
    return answer;
  }

  Result<HttpAnswer> send(const char* path, const std::string* body, std::size_t max_answer,
                          Patience patience) {
    const std::int64_t left = patience.left_ns(clock_);
    if (left == 0) return tokenizer_error(TokenizerFault::kOutOfReach, "no time left");
    const std::string url = base_ + path;
    core::HttpRequest request;
    request.url = url;
    request.headers = {{"Accept", "application/json"}};
    if (!authorization_.empty()) {
      request.headers.emplace_back("Authorization", authorization_.view());
    }
    if (body != nullptr) {
      request.method = "POST";
      request.headers.emplace_back("Content-Type", "application/json");
      request.body = *body;
    }
    request.timeout_ns = std::min(timeout_ns_, left);
    request.max_body_bytes = max_answer;
    Result<HttpAnswer> answer = transport_->send(request);
    if (answer) return answer;
    Error error = answer.take_error();
    const bool too_long = error.status == core::Status::kLimit;
    return tokenizer_error(too_long ? TokenizerFault::kBadAnswer : TokenizerFault::kOutOfReach,
                           std::move(error.message));
  }

  const std::string base_;
  const core::Secret authorization_;
  const std::int64_t timeout_ns_;
  core::Clock& clock_;
  core::Counter& retried_;
  OverloadRetries retries_;
  const std::unique_ptr<core::Transport> transport_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_http_tokenizer(const TokenizerConfig& config,
                                               std::unique_ptr<core::Transport> transport,
                                               core::Counter& retries, core::Clock& clock) {
  return std::make_unique<HttpTokenizer>(config, std::move(transport), retries, clock);
}

}  // namespace satchel::prompt_cache
