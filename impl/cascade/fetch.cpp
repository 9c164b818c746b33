#include "cascade/fetch.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cascade/usage_reader.hpp"
#include "core/http_date.hpp"
#include "core/text.hpp"

namespace satchel::cascade {

using core::HttpAnswer;
using core::LogLevel;

namespace {

constexpr const char* kComponent = "cascade.fetch";
constexpr std::string_view kPath = "/api/oauth/usage";
constexpr std::string_view kBearer = "Bearer ";
// The reference reads up to 64 KiB and takes a body that long for one that goes on.
constexpr std::size_t kMaxBodyBytes = (std::size_t{64} << 10) - 1;
constexpr std::int64_t kLongestWait = 24 * 60 * 60;

core::Secret bearer(const core::Secret& token) {
  core::Secret value(kBearer.size() + token.view().size());
  std::memcpy(value.data(), kBearer.data(), kBearer.size());
  std::memcpy(value.data() + kBearer.size(), token.view().data(), token.view().size());
  return value;
}

Fetched failed(UsageError error) { return {error, {}, nullptr, false, false}; }

Fetched read_answer(const HttpAnswer& answer, core::Log& log) {
  ReadUsage read = read_endpoint_body(answer.body);
  for (const std::string& what : read.dropped) {
    log.write(LogLevel::kWarn, kComponent, "the endpoint's answer: " + what + ", left out");
  }
  if (!read.usage) {
    log.write(LogLevel::kDebug, kComponent,
              "the endpoint's answer of " + std::to_string(answer.body.size()) +
                  " bytes cannot be understood");
    return failed(UsageError::kParseError);
  }
  Fetched fetched;
  fetched.usage = std::make_shared<const EndpointUsage>(std::move(*read.usage));
  return fetched;
}

Fetched interpret(const HttpAnswer& answer, core::Timestamp now, core::Log& log) {
  if (answer.status >= 200 && answer.status <= 299) return read_answer(answer, log);
  // The status alone: what a body says of an account is nobody else's business.
  log.write(LogLevel::kDebug, kComponent, "the endpoint answered " + std::to_string(answer.status));
  switch (answer.status) {
    case 401:
      return failed(UsageError::kUnauthorized);
    case 403:
      return failed(UsageError::kForbidden);
    case 429: {
      Fetched fetched = failed(UsageError::kRateLimited);
      if (const std::string* value = answer.header("retry-after")) {
        fetched.retry_after_s = retry_after_s(*value, now);
      }
      return fetched;
    }
    default:
      return failed(UsageError::kNetworkError);
  }
}

}  // namespace

std::string usage_url(std::string_view base) {
  while (base.ends_with('/')) base.remove_suffix(1);
  return std::string(base) + std::string(kPath);
}

std::optional<std::int64_t> retry_after_s(std::string_view value, core::Timestamp now) {
  const std::string_view text = core::trim(value);
  if (const std::optional<std::uint64_t> seconds = core::parse_rust_u64(text)) {
    return static_cast<std::int64_t>(std::min<std::uint64_t>(*seconds, kLongestWait));
  }
  const std::optional<std::int64_t> date = core::parse_http_date(text);
  if (!date || core::Timestamp{*date, 0} < now) return std::nullopt;
  // Whole seconds of what is left, rounded down.
  const std::int64_t left = *date - now.seconds - (now.nanos > 0 ? 1 : 0);
  return std::min(left, kLongestWait);
}

Fetched fetch_usage(core::Transport& transport, const FetchTerms& terms, const core::Secret& token,
                    core::Timestamp now, core::Log& log) {
  const core::Secret authorization = bearer(token);
  core::HttpRequest request;
  request.url = terms.url;
  request.headers = {{"Authorization", authorization.view()},
                     {"anthropic-beta", "oauth-2025-04-20"},
                     {"User-Agent", terms.user_agent}};
  request.timeout_ns = terms.timeout_ns;
  request.max_body_bytes = kMaxBodyBytes;
  const core::Result<HttpAnswer> answer = transport.send(request);
  if (answer) return interpret(*answer, now, log);
  log.write(LogLevel::kDebug, kComponent, answer.error().message);
  return failed(answer.error().status == core::Status::kTimeout ? UsageError::kTimeout
                                                                : UsageError::kNetworkError);
}

}  // namespace satchel::cascade
