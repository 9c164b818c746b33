// A cache that everybody takes part in, requests to it, and responses that run through them. In a
// namespace of its own: the tests of classification have other bodies under the same names.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/json_canonical.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_cache/request.hpp"
#include "surroundings.hpp"

namespace satchel::prompt_cache::request_fixture {

inline constexpr std::string_view kTarget = "/v1/chat/completions";

// A body whose system prompt is marked: 40 bytes, ten tokens by the estimate.
inline constexpr std::string_view kBody =
    R"({"model":"m","messages":[{"role":"system","content":[{"type":"text",)"
    R"("text":"forty bytes of a system prompt, in all..","cache_control":{"type":"ephemeral"}}]},)"
    R"({"role":"user","content":"hi"}]})";
inline constexpr std::string_view kUnmarked =
    R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
inline constexpr std::string_view kAnswer =
    R"({"id":"x","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":3}})";
inline constexpr std::string_view kTerminalFrame =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3}}\n\n";

// Usage in a frame whose choice goes on.
inline constexpr std::string_view kEarlyUsage =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}],"
    "\"usage\":{\"prompt_tokens\":50,\"prompt_tokens_details\":{\"cached_tokens\":9}}}\n\n";

class RequestTest : public testing::Test {
 protected:
  PromptCache& cache() { return *shared_cache(); }
  const std::shared_ptr<PromptCache>& shared_cache() {
    if (!cache_) {
      auto config = read_prompt_cache_config(config_text);
      EXPECT_TRUE(config) << config.error().message;
      cache_ = std::make_shared<PromptCache>(*config, ClassifierParts{}, nullptr, clock_, log);
    }
    return cache_;
  }
  void forget_cache() { cache_.reset(); }
  std::unique_ptr<Request> request(std::string_view target = kTarget,
                                   std::string_view key = "sk-1") {
    return std::make_unique<Request>(shared_cache(), target, "", key);
  }
  // A request whose body was sent.
  std::unique_ptr<Request> sent(std::string_view body = kBody) {
    auto made = request();
    const auto forward = made->body(body);
    EXPECT_TRUE(forward);
    EXPECT_EQ(forward->kind, Forward::Kind::kSend);
    return made;
  }

  std::string config_text = R"({"models":{"*":{"min_prefix_tokens":1}}})";
  core::CapturedLog log;

 private:
  core::ManualClock clock_;
  std::shared_ptr<PromptCache> cache_;
};

inline core::Status status_of(const core::Result<std::string_view>& result) {
  return result ? core::Status::kOk : result.error().status;
}

inline std::string canonical(std::string_view text) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(text)) << text;
  std::string out;
  core::JsonCanonical().append(tape.root(), out);
  return out;
}

struct ResponseHead {
  int status = 200;
  std::string_view type = "application/json";
  std::string_view encoding = "";
};

// Runs a response through and gives what the client gets.
inline std::string respond(Request& request, std::string_view body,
                           const ResponseHead& response = {}) {
  const auto plan = request.response(response.status, response.type, response.encoding);
  EXPECT_TRUE(plan);
  std::string out;
  const auto written = request.write(body);
  EXPECT_TRUE(written);
  if (written) out.append(*written);
  const auto rest = request.end();
  EXPECT_TRUE(rest);
  if (rest) out.append(*rest);
  return out;
}

inline constexpr ResponseHead kStream{200, "text/event-stream", ""};

inline std::uint64_t usage_number(std::string_view answer, std::string_view name) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(answer)) << answer;
  std::uint64_t value = 999;
  tape.root().member("usage").member(name).as_u64(&value);
  return value;
}

}  // namespace satchel::prompt_cache::request_fixture
