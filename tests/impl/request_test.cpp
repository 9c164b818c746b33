#include "prompt_cache/request.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "core/json_canonical.hpp"
#include "core/json_tape.hpp"
#include "prompt_cache/prompt_cache.hpp"

namespace satchel::prompt_cache {
namespace {

using core::Status;
using std::string_view_literals::operator""sv;

class HandClock final : public core::Clock {
 public:
  std::int64_t unix_ns() override { return unix_ += 1000; }
  std::int64_t monotonic_ns() override { return monotonic_ += 1000; }

 private:
  std::int64_t unix_ = 1'700'000'000 * core::kNanosPerSecond;
  std::int64_t monotonic_ = 0;
};

class LinesLog final : public core::Log {
 public:
  LinesLog() : Log(core::LogLevel::kDebug) {}
  std::vector<std::string> lines;

 protected:
  void emit(core::LogLevel, std::string_view, std::string_view message) override {
    lines.emplace_back(message);
  }
};

constexpr std::string_view kTarget = "/v1/chat/completions";

// A body whose system prompt is marked: 40 bytes, ten tokens by the estimate.
constexpr std::string_view kBody =
    R"({"model":"m","messages":[{"role":"system","content":[{"type":"text",)"
    R"("text":"forty bytes of a system prompt, in all..","cache_control":{"type":"ephemeral"}}]},)"
    R"({"role":"user","content":"hi"}]})";
constexpr std::string_view kUnmarked =
    R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
constexpr std::string_view kAnswer =
    R"({"id":"x","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":3}})";
constexpr std::string_view kTerminalFrame =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3}}\n\n";

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
  LinesLog log;

 private:
  HandClock clock_;
  std::shared_ptr<PromptCache> cache_;
};

Status status_of(const core::Result<std::string_view>& result) {
  return result ? Status::kOk : result.error().status;
}

std::string canonical(std::string_view text) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(text)) << text;
  std::string out;
  core::JsonCanonical().append(tape.root(), out);
  return out;
}

struct Response {
  int status = 200;
  std::string_view type = "application/json";
  std::string_view encoding = "";
};

// Runs a response through and gives what the client gets.
std::string respond(Request& request, std::string_view body, const Response& response = {}) {
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

constexpr Response kStream{200, "text/event-stream", ""};

std::uint64_t usage_number(std::string_view answer, std::string_view name) {
  core::JsonTape tape;
  EXPECT_TRUE(tape.read(answer)) << answer;
  std::uint64_t value = 999;
  tape.root().member("usage").member(name).as_u64(&value);
  return value;
}

// ------------------------------------------------------------------------- which requests

TEST(IsCacheable, OnlyAPostToChatCompletionsIs) {
  EXPECT_TRUE(is_cacheable("POST", "/v1/chat/completions"));
  EXPECT_TRUE(is_cacheable("POST", "/chat/completions"));
  EXPECT_TRUE(is_cacheable("POST", "/openai/deployments/x/chat/completions?api-version=1"));
  EXPECT_TRUE(is_cacheable("POST", "/v1/chat/completions?"));
  EXPECT_FALSE(is_cacheable("GET", "/v1/chat/completions"));
  EXPECT_FALSE(is_cacheable("post", "/v1/chat/completions"));
  EXPECT_FALSE(is_cacheable("POST", "/v1/completions"));
  EXPECT_FALSE(is_cacheable("POST", "/v1/embeddings"));
  EXPECT_FALSE(is_cacheable("POST", "/v1/chat/completions/x"));
  EXPECT_FALSE(is_cacheable("POST", "/v1/models?next=/chat/completions"));
  EXPECT_FALSE(is_cacheable("POST", "/v1/chat/Completions"));
  EXPECT_FALSE(is_cacheable("POST", "completions"));
  EXPECT_FALSE(is_cacheable("", ""));
}

// ------------------------------------------------------------------------------- the body

TEST_F(RequestTest, MarkersAreRemovedFromTheBodyThatIsForwarded) {
  auto made = request();
  const auto forward = made->body(kBody);
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->kind, Forward::Kind::kSend);
  EXPECT_TRUE(forward->body_changed);
  EXPECT_FALSE(forward->target_changed);
  EXPECT_EQ(forward->target, kTarget);
  EXPECT_EQ(forward->body.find("cache_control"), std::string_view::npos);
  EXPECT_TRUE(made->result().had_markers);
}

TEST_F(RequestTest, ABodyWithNothingToEditIsTheCallersOwn) {
  auto made = request();
  const auto forward = made->body(kUnmarked);
  ASSERT_TRUE(forward);
  EXPECT_FALSE(forward->body_changed);
  EXPECT_EQ(forward->body.data(), kUnmarked.data());
  EXPECT_EQ(forward->body.size(), kUnmarked.size());
  EXPECT_FALSE(made->result().had_markers);
}

TEST_F(RequestTest, ABodyThatIsNoJsonPassesAsItIs) {
  for (const std::string_view body : {"", "{", "not json", "{\"model\":\"m\"} x", "\xff"}) {
    auto made = request();
    const auto forward = made->body(body);
    ASSERT_TRUE(forward);
    EXPECT_EQ(forward->kind, Forward::Kind::kPassThrough);
    EXPECT_EQ(forward->body.data(), body.data());
    EXPECT_EQ(forward->target, kTarget);
    EXPECT_EQ(made->result().commit, CommitState::kNothing);
    EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
  }
}

TEST_F(RequestTest, JsonThatIsNoObjectIsForwarded) {
  for (const std::string_view body : {"[]", "null", "\"x\"", "[{\"cache_control\":1}]"}) {
    auto made = request();
    const auto forward = made->body(body);
    ASSERT_TRUE(forward);
    EXPECT_EQ(forward->kind, Forward::Kind::kSend);
    EXPECT_EQ(forward->body, body);
    EXPECT_EQ(respond(*made, kAnswer), kAnswer);
    EXPECT_FALSE(made->result().active);
  }
}

TEST_F(RequestTest, ABodyOverTheLimitIsRejected) {
  config_text = R"({"max_body_bytes":100})";
  std::string body = R"({"a":")" + std::string(92, 'x') + "\"}";
  ASSERT_EQ(body.size(), 100U);
  EXPECT_EQ(request()->body(body)->kind, Forward::Kind::kSend);
  body.insert(6, "x");
  auto made = request("/v1/chat/completions?cacheBreakpoint=wrong");  // the limit comes first
  const auto forward = made->body(body);
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->kind, Forward::Kind::kReject);
  EXPECT_EQ(forward->http_status, 400);
  EXPECT_EQ(forward->body,
            R"({"error":{"message":"failed to read request body: longer than 100 bytes",)"
            R"("type":"invalid_request_error","code":"body_read_failed"}})");
  EXPECT_EQ(forward->error.status, Status::kRejected);
  EXPECT_EQ(made->result().commit, CommitState::kNothing);
}

TEST_F(RequestTest, AnUnknownValueOfTheQueryParameterIsRejected) {
  auto made = request("/v1/chat/completions?cacheBreakpoint=last\"x");
  const auto forward = made->body(R"({"cache_control":1})");  // the query comes before the markers
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->kind, Forward::Kind::kReject);
  EXPECT_EQ(forward->http_status, 400);
  EXPECT_TRUE(forward->target.empty());
  EXPECT_EQ(
      forward->body,
      R"({"error":{"message":"invalid cacheBreakpoint value \"last\\\"x\"; supported values: )"
      R"(\"lastUserMessage\"","type":"invalid_request_error","code":"invalid_cache_breakpoint",)"
      R"("param":"cacheBreakpoint"}})");
}

// A target is bytes off the wire; the answer must be JSON all the same.
TEST_F(RequestTest, ARejectionIsJsonWhateverBytesTheTargetHas) {
  for (const std::string_view value :
       {"\xff"sv, "\xc3"sv, "\xc3\""sv, "\xed\xa0\x80"sv, "a\x01z"sv, "\xf0\x9f\x98"sv, "\0"sv,
        "\x80\x80"sv, "\xf8\x88\x80\x80"sv, "\xe2\x28\xa1"sv}) {
    auto made = request("/v1/chat/completions?cacheBreakpoint=" + std::string(value));
    const auto forward = made->body(kBody);
    ASSERT_TRUE(forward);
    ASSERT_EQ(forward->kind, Forward::Kind::kReject);
    core::JsonTape tape;
    EXPECT_TRUE(tape.read(forward->body)) << forward->body;
  }
}

TEST_F(RequestTest, ABadMarkerIsRejectedWithItsMessage) {
  auto made = request();
  const auto forward = made->body(
      R"({"messages":[{"content":[{"cache_control":{"type":"ephemeral","ttl":"2h"}}]}]})");
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->kind, Forward::Kind::kReject);
  EXPECT_EQ(forward->http_status, 400);
  EXPECT_EQ(forward->body, R"({"error":{"message":"invalid cache_control ttl: \"2h\"",)"
                           R"("type":"invalid_request_error","code":"invalid_cache_control",)"
                           R"("param":"cache_control"}})");
  EXPECT_EQ(forward->error.reason, static_cast<int>(MarkerFault::kInvalidTtl));
}

TEST_F(RequestTest, ATierThatIsOffIsRejectedWithThoseThatAreOn) {
  config_text = R"({"enabled_ttls":["1h","5m"]})";
  auto made = request();
  const auto forward =
      made->body(R"({"tools":[{"cache_control":{"type":"ephemeral","ttl":"24h"}}]})");
  ASSERT_TRUE(forward);
  ASSERT_EQ(forward->kind, Forward::Kind::kReject);
  EXPECT_EQ(forward->error.message,
            "cache_control ttl tier '24h' is not currently available; available tiers: 1h, 5m");
  EXPECT_NE(forward->body.find("; available tiers: 1h, 5m"), std::string_view::npos);
}

TEST_F(RequestTest, TheQueryParameterMarksTheLastBlockForAnHour) {
  auto made = request("/v1/chat/completions?a=1&cacheBreakpoint=lastUserMessage&b=2");
  const auto forward = made->body(kUnmarked);
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->target, "/v1/chat/completions?a=1&b=2");
  EXPECT_TRUE(forward->target_changed);
  EXPECT_EQ(canonical(forward->body), canonical(kUnmarked));
  EXPECT_TRUE(made->result().had_markers);
}

TEST_F(RequestTest, TheQueryParameterLeavesWhatIsNoJsonAlone) {
  auto made = request("/v1/chat/completions?cacheBreakpoint=lastUserMessage");
  const std::string_view body = "{nope";
  const auto forward = made->body(body);
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->kind, Forward::Kind::kPassThrough);
  EXPECT_EQ(forward->target, "/v1/chat/completions");
  EXPECT_TRUE(forward->target_changed);
  EXPECT_EQ(forward->body.data(), body.data());
}

TEST_F(RequestTest, AMarkerInTheBodyWinsOverTheQuery) {
  auto made = request("/v1/chat/completions?cacheBreakpoint=lastUserMessage");
  const auto forward = made->body(R"({"cache_control":{"type":"wrong"},"messages":[]})");
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->error.reason, static_cast<int>(MarkerFault::kUnsupportedType));
}

TEST_F(RequestTest, AStreamIsAskedToReportItsUsage) {
  auto made = request();
  const auto forward = made->body(R"({"model":"m","stream":true})");
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->body,
            R"({"model":"m","stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_FALSE(made->result().had_markers);
}

// ------------------------------------------------------------------------------ the order

TEST_F(RequestTest, NothingComesBeforeTheBody) {
  auto made = request();
  EXPECT_EQ(made->classify().error().status, Status::kState);
  EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
  EXPECT_EQ(status_of(made->write("x")), Status::kState);
  EXPECT_EQ(status_of(made->end()), Status::kState);
  EXPECT_EQ(made->result().commit, CommitState::kOpen);
  EXPECT_TRUE(made->body(kBody));  // and nothing was spoilt
}

TEST_F(RequestTest, TheBodyIsTakenOnce) {
  auto made = sent();
  EXPECT_EQ(made->body(kBody).error().status, Status::kState);
}

TEST_F(RequestTest, BytesComeBehindTheHead) {
  auto made = sent();
  EXPECT_EQ(status_of(made->write("x")), Status::kState);
  EXPECT_EQ(status_of(made->end()), Status::kState);
  EXPECT_TRUE(made->response(200, "", ""));
  EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
}

TEST_F(RequestTest, NothingComesBehindTheEnd) {
  auto made = sent();
  respond(*made, kAnswer);
  EXPECT_EQ(status_of(made->write("x")), Status::kState);
  EXPECT_EQ(status_of(made->end()), Status::kState);
  EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
  EXPECT_EQ(made->body(kBody).error().status, Status::kState);
  EXPECT_TRUE(made->classify());
  made->abort();
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
}

TEST_F(RequestTest, ARejectedRequestIsOver) {
  auto made = request();
  ASSERT_EQ(made->body(R"({"cache_control":1})")->kind, Forward::Kind::kReject);
  EXPECT_EQ(made->body(kBody).error().status, Status::kState);
  EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
  EXPECT_TRUE(made->classify());
  EXPECT_FALSE(made->result().classified);
}

TEST_F(RequestTest, AnyCallMayBeTheLast) {
  request();
  sent();
  {
    auto made = sent();
    EXPECT_TRUE(made->classify());
  }
  {
    auto made = sent();
    EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  }
  {
    auto made = sent();
    EXPECT_TRUE(made->response(200, "", ""));
    EXPECT_TRUE(made->write(kAnswer));
  }
  EXPECT_TRUE(cache().index().flush(core::kNanosPerSecond));
  EXPECT_EQ(cache().index().counts().entries_written, 0U);
}

TEST_F(RequestTest, ClassifyingAgainDoesNothing) {
  auto made = sent();
  EXPECT_TRUE(made->classify());
  EXPECT_TRUE(made->classify());
  EXPECT_EQ(cache().index().counts().lookups, 1U);
  respond(*made, kAnswer);
  EXPECT_EQ(cache().index().counts().lookups, 1U);
}

// --------------------------------------------------------------------------- the response

TEST_F(RequestTest, TheFirstRequestCreatesAndTheSecondReads) {
  auto first = sent();
  const std::string created = respond(*first, kAnswer);
  EXPECT_EQ(usage_number(created, "cache_creation_input_tokens"), 10U);
  EXPECT_EQ(usage_number(created, "cache_read_input_tokens"), 0U);
  EXPECT_EQ(first->result().commit, CommitState::kHandedOver);
  auto second = sent();
  const std::string read = respond(*second, kAnswer);
  EXPECT_EQ(usage_number(read, "cache_creation_input_tokens"), 0U);
  EXPECT_EQ(usage_number(read, "cache_read_input_tokens"), 10U);
  EXPECT_EQ(second->result().usage, (CacheUsage{10, 0, 0, 0}));
  EXPECT_EQ(second->result().commit, CommitState::kHandedOver);  // the refresh
}

TEST_F(RequestTest, AnotherKeyReadsNothingOfIt) {
  respond(*sent(), kAnswer);
  auto other = request(kTarget, "sk-2");
  ASSERT_TRUE(other->body(kBody));
  EXPECT_EQ(usage_number(respond(*other, kAnswer), "cache_read_input_tokens"), 0U);
}

TEST_F(RequestTest, TheContentTypeSaysHowABodyIsRead) {
  struct Row {
    std::string_view type;
    ResponsePlan plan;
  };
  for (const Row& row :
       {Row{"", ResponsePlan::kHeld}, Row{"  ", ResponsePlan::kHeld},
        Row{"application/json", ResponsePlan::kHeld},
        Row{"application/json; charset=utf-8", ResponsePlan::kHeld},
        Row{" Application/JSON ;x", ResponsePlan::kHeld},
        Row{"text/event-stream", ResponsePlan::kStream},
        Row{"text/event-stream;charset=utf-8", ResponsePlan::kStream},
        Row{"TEXT/Event-Stream", ResponsePlan::kStream}, Row{"text/html", ResponsePlan::kAsIs},
        Row{"application/jsonl", ResponsePlan::kAsIs},
        Row{"text/event-streams", ResponsePlan::kAsIs},
        Row{"application/octet-stream", ResponsePlan::kAsIs}}) {
    auto made = sent();
    const auto plan = made->response(200, row.type, "");
    ASSERT_TRUE(plan);
    EXPECT_EQ(*plan, row.plan) << row.type;
  }
}

TEST_F(RequestTest, ACompressedBodyPassesAndCommitsNothing) {
  for (const std::string_view encoding : {"gzip", "br", "deflate", "GZIP", "identity, gzip"}) {
    auto made = sent();
    EXPECT_EQ(*made->response(200, "application/json", encoding), ResponsePlan::kAsIs) << encoding;
    const std::string_view bytes = "\x1f\x8b not really";
    EXPECT_EQ(made->write(bytes)->data(), bytes.data());
    EXPECT_TRUE(made->end());
    EXPECT_EQ(made->result().commit, CommitState::kVetoNoUsage);
  }
  for (const std::string_view encoding : {"", " ", "identity", " Identity "}) {
    EXPECT_EQ(*sent()->response(200, "", encoding), ResponsePlan::kHeld) << encoding;
  }
}

TEST_F(RequestTest, ABodyThatPassesIsTheCallersOwnBytes) {
  auto made = sent();
  ASSERT_EQ(*made->response(200, "text/html", ""), ResponsePlan::kAsIs);
  const std::string_view bytes = R"({"usage":{"cache_discount":1}})";
  EXPECT_EQ(made->write(bytes)->data(), bytes.data());
  EXPECT_TRUE(made->end()->empty());
}

TEST_F(RequestTest, CountsNeverExceedWhatTheUpstreamSawOfThePrompt) {
  auto made = sent();
  const std::string answer = respond(*made, R"({"usage":{"prompt_tokens":9}})");
  EXPECT_EQ(usage_number(answer, "cache_creation_input_tokens"), 0U);
  EXPECT_EQ(made->result().usage, CacheUsage{});
}

// -------------------------------------------------------------------- inactive, and options

TEST_F(RequestTest, ARequestNobodyIsKnownForIsScrubbed) {
  auto made = request(kTarget, "");
  ASSERT_TRUE(made->body(kBody));
  EXPECT_EQ(respond(*made, R"({"usage":{"prompt_tokens":5,"cache_discount":1}})"),
            R"({"usage":{"prompt_tokens":5}})");
  EXPECT_FALSE(made->result().active);
  EXPECT_EQ(made->result().commit, CommitState::kNothing);
}

TEST_F(RequestTest, ARequestThatNamesNoModelIsInactive) {
  for (const std::string_view body :
       {R"({"messages":[]})", R"({"model":1})", R"({"model":null})"}) {
    auto made = sent(body);
    EXPECT_EQ(respond(*made, R"({"usage":{"cache_discount":1}})"), R"({"usage":{}})");
    EXPECT_TRUE(made->result().classified);
    EXPECT_FALSE(made->result().active);
  }
}

TEST_F(RequestTest, WithScrubOffAnInactiveResponseStaysAsItIs) {
  config_text = R"({"scrub":false,"models":{}})";
  const std::string_view answer =
      R"({"usage":{"prompt_tokens_details":{"cached_tokens":7},"cache_discount":1}})";
  EXPECT_EQ(respond(*sent(), answer), answer);
  const std::string_view frame = "data: {\"usage\":{\"cache_discount\":1}}\n\n";
  EXPECT_EQ(respond(*sent(), frame, kStream), frame);
}

TEST_F(RequestTest, WithInjectOffAnActiveResponseIsScrubbedOrLeftButStillCommitted) {
  config_text = R"({"inject":false,"models":{"*":{"min_prefix_tokens":1}}})";
  auto made = sent();
  const std::string answer = respond(*made, kAnswer);
  EXPECT_EQ(answer.find("cache_read_input_tokens"), std::string::npos);
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
  EXPECT_EQ(made->result().usage, (CacheUsage{0, 10, 0, 0}));
}

TEST_F(RequestTest, WithBothOffTheProvidersAccountingPassesOn) {
  config_text = R"({"inject":false,"scrub":false,"models":{"*":{"min_prefix_tokens":1}}})";
  const std::string_view answer =
      R"({"usage":{"prompt_tokens":50,"prompt_tokens_details":{"cached_tokens":7},"cache_discount":1}})";
  auto made = sent();
  EXPECT_EQ(respond(*made, answer), answer);
  EXPECT_EQ(made->result().seen.upstream_cached_tokens, 7U);
}

// ------------------------------------------------------------------------ the commit gate

TEST_F(RequestTest, OnlyA2xxCommits) {
  for (const int status : {200, 201, 299}) {
    auto made = sent();
    respond(*made, kAnswer, {status, "", ""});
    EXPECT_EQ(made->result().commit, CommitState::kHandedOver) << status;
  }
  for (const int status : {0, 100, 199, 300, 304, 400, 429, 500, 529}) {
    auto made = sent();
    respond(*made, kAnswer, {status, "", ""});
    EXPECT_EQ(made->result().commit, CommitState::kVetoNon2xx) << status;
  }
}

TEST_F(RequestTest, WithoutUsageNothingIsCommitted) {
  for (const std::string_view answer : {"", "{}", R"({"usage":null})", R"({"usage":[]})", "[1]",
                                        "no json", R"({"choices":[{"usage":{}}]})"}) {
    auto made = sent();
    EXPECT_EQ(respond(*made, answer), answer);
    EXPECT_EQ(made->result().commit, CommitState::kVetoNoUsage) << answer;
  }
  auto stream = sent();
  respond(*stream, "data: {\"choices\":[]}\n\ndata: [DONE]\n\n", kStream);
  EXPECT_EQ(stream->result().commit, CommitState::kVetoNoUsage);
}

TEST_F(RequestTest, AnErrorFrameVetoes) {
  auto made = sent();
  respond(*made, std::string(kTerminalFrame) + "data: {\"error\":{\"message\":\"x\"}}\n\n",
          kStream);
  EXPECT_TRUE(made->result().seen.error_frame);
  EXPECT_EQ(made->result().commit, CommitState::kVetoErrorFrame);
}

TEST_F(RequestTest, AnAbortVetoesAtAnyTime) {
  {
    auto made = request();
    made->abort();
    EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
    EXPECT_EQ(made->body(kBody).error().status, Status::kState);
  }
  {
    auto made = sent();
    EXPECT_TRUE(made->classify());
    made->abort();
    made->abort();
    EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
    EXPECT_EQ(made->response(200, "", "").error().status, Status::kState);
  }
  auto made = sent();
  EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  EXPECT_TRUE(made->write(kTerminalFrame));
  made->abort();
  EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
  EXPECT_EQ(status_of(made->write("x")), Status::kState);
  EXPECT_EQ(status_of(made->end()), Status::kState);
  EXPECT_EQ(cache().index().counts().entries_written, 0U);
}

TEST_F(RequestTest, ARequestThatIsAbortedBeforeItsUsageIsNotClassified) {
  auto made = sent();
  EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  EXPECT_TRUE(made->write("data: {\"choices\":[{\"delta\":{}}]}\n\n"));
  made->abort();
  EXPECT_FALSE(made->result().classified);
  EXPECT_EQ(cache().index().counts().lookups, 0U);
}

TEST_F(RequestTest, AStreamThatBreaksVetoesAndNeverEndsCleanly) {
  config_text = R"({"max_event_bytes":100,"models":{"*":{"min_prefix_tokens":1}}})";
  auto made = sent();
  EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  EXPECT_TRUE(made->write(kTerminalFrame));
  EXPECT_EQ(status_of(made->write("data: " + std::string(200, 'x'))), Status::kStream);
  EXPECT_EQ(status_of(made->write("\n\n")), Status::kStream);
  EXPECT_EQ(status_of(made->end()), Status::kStream);
  EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
}

TEST_F(RequestTest, WithoutAMarkerThereIsNothingToCommit) {
  auto made = sent(kUnmarked);
  const std::string answer = respond(*made, kAnswer);
  EXPECT_EQ(usage_number(answer, "cache_creation_input_tokens"), 0U);
  EXPECT_TRUE(made->result().active);
  EXPECT_EQ(made->result().commit, CommitState::kNothing);
}

// ---------------------------------------------------------------------------- the stream

constexpr std::string_view kEarlyUsage =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}],"
    "\"usage\":{\"prompt_tokens\":50,\"prompt_tokens_details\":{\"cached_tokens\":9}}}\n\n";

TEST_F(RequestTest, AnEarlyUsageFrameIsScrubbedWhileNothingIsKnown) {
  auto made = sent();
  EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  const auto early = made->write(kEarlyUsage);
  ASSERT_TRUE(early);
  EXPECT_NE(early->find("\"cached_tokens\":0"), std::string_view::npos) << *early;
  EXPECT_EQ(early->find("cache_read_input_tokens"), std::string_view::npos);
  EXPECT_FALSE(made->result().classified);
  EXPECT_EQ(made->result().seen.upstream_cached_tokens, 9U);
}

TEST_F(RequestTest, AnEarlyUsageFrameIsRewrittenOnceTheCountsAreKnown) {
  auto made = sent();
  EXPECT_TRUE(made->classify());
  EXPECT_TRUE(made->response(200, "text/event-stream", ""));
  const auto early = made->write(kEarlyUsage);
  ASSERT_TRUE(early);
  EXPECT_NE(early->find("\"cache_creation_input_tokens\":10"), std::string_view::npos) << *early;
}

TEST_F(RequestTest, TheTerminalFrameIsClassifiedForAndWritten) {
  auto made = sent();
  const std::string stream = "data: {\"choices\":[{\"delta\":{}}]}\r\n\r\n" +
                             std::string(kEarlyUsage) + std::string(kTerminalFrame) +
                             "data: [DONE]\n\n";
  const std::string out = respond(*made, stream, kStream);
  EXPECT_NE(out.find("\"cache_creation_input_tokens\":10"), std::string::npos) << out;
  EXPECT_NE(out.find("data: {\"choices\":[{\"delta\":{}}]}\r\n\r\n"), std::string::npos);
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
}

TEST_F(RequestTest, UsageInAFrameBehindTheEndOfTheAnswerIsClassifiedForAndCommitted) {
  auto made = sent();
  const std::string stream =
      "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n"
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" +
      std::string(kEarlyUsage) + "data: [DONE]\n\n";
  const std::string out = respond(*made, stream, kStream);
  EXPECT_NE(out.find("\"cache_creation_input_tokens\":10"), std::string::npos) << out;
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
}

TEST_F(RequestTest, CountsThatNobodyWasToldAreNoneOnceItIsOver) {
  const CacheUsage created{0, 10, 0, 0};
  for (const bool inject : {true, false}) {
    forget_cache();
    config_text = std::string(R"({"inject":)") + (inject ? "true" : "false") +
                  R"(,"models":{"*":{"min_prefix_tokens":1}}})";
    const auto classified = [&] {
      auto made = sent();
      EXPECT_TRUE(made->classify());
      EXPECT_EQ(made->result().usage, created);  // as far as is known by now
      return made;
    };
    auto without_usage = classified();
    respond(*without_usage, R"({"id":"x"})");
    EXPECT_EQ(without_usage->result().usage, CacheUsage{});
    auto refused = classified();
    respond(*refused, R"({"error":{}})", {500});
    EXPECT_EQ(refused->result().usage, CacheUsage{});
    auto compressed = classified();
    respond(*compressed, "\x1f\x8b", {200, "application/json", "gzip"});
    EXPECT_EQ(compressed->result().usage, CacheUsage{});
    auto left = classified();
    left->abort();
    EXPECT_EQ(left->result().usage, CacheUsage{});

    auto told = classified();
    EXPECT_TRUE(told->response(200, "text/event-stream", ""));
    EXPECT_TRUE(told->write(kTerminalFrame));
    told->abort();
    EXPECT_EQ(told->result().usage, created);
  }
  // Scrubbed, and no terminal frame follows.
  forget_cache();
  config_text = R"({"models":{"*":{"min_prefix_tokens":1}}})";
  auto early = sent();
  respond(*early, kEarlyUsage, kStream);
  EXPECT_EQ(early->result().usage, CacheUsage{});
}

TEST_F(RequestTest, UsageThatTheClientNeverSawIsNotCommitted) {
  auto made = sent();
  respond(*made, kEarlyUsage, kStream);  // scrubbed, and no terminal frame follows
  EXPECT_EQ(made->result().commit, CommitState::kVetoNoUsage);
}

// ----------------------------------------------------------------------------- memory

// Whatever allocation fails: an error or an uncached request, never a crash, a leak, or a clean end
// of a response that lost bytes.
TEST_F(RequestTest, EveryAllocationMayFail) {
  bool failed = true;
  for (std::size_t nth = 1; failed && nth < 2000; ++nth) {
    forget_cache();  // so that nothing was made before
    std::unique_ptr<Request> made;
    (void)cache();
    {
      const test::FailingAllocation failing(nth);
      try {
        made = std::make_unique<Request>(
            shared_cache(), "/v1/chat/completions?cacheBreakpoint=lastUserMessage", "", "sk-1");
        if (const auto forward = made->body(kUnmarked)) {
          (void)made->classify();
          (void)made->response(200, "text/event-stream", "");
          (void)made->write(kEarlyUsage);
          (void)made->write(kTerminalFrame);
          (void)made->end();
        }
      } catch (const std::bad_alloc&) {
        // The ABI makes ERR_MEMORY of it.
      }
      made.reset();
      failed = failing.happened();
    }
  }
  EXPECT_FALSE(failed);
  EXPECT_EQ(usage_number(respond(*sent(), kAnswer), "cache_creation_input_tokens"), 10U);
}

// A conversation of an agent as clients send it: long texts, escapes, schemas, markers.
std::string agent_body(std::size_t bytes) {
  std::string body =
      R"({"model":"m","stream":true,"tools":[{"type":"function","function":{"name":"read",)"
      R"("parameters":{"type":"object","properties":{"path":{"type":"string"}}}}}],"messages":[)"
      R"({"role":"system","content":[{"type":"text","text":"You are an agent.",)"
      R"("cache_control":{"type":"ephemeral"}}]})";
  for (std::size_t turn = 0; body.size() < bytes; ++turn) {
    const std::string id = std::to_string(turn);
    body.append(R"(,{"role":"assistant","content":null,"tool_calls":[{"id":"call_)" + id +
                R"(","type":"function","function":{"name":"read","arguments":"{\"path\":\"src/)" +
                id + R"(.c\"}"}}]},{"role":"tool","tool_call_id":"call_)" + id +
                R"(","content":")");
    for (int line = 0; line < 20; ++line) body.append(R"(  if (x == \"y\") return f(x);\n)");
    body.append("\"}");
  }
  return body + R"(],"cache_control":{"type":"ephemeral","ttl":"1h"}})";
}

TEST_F(RequestTest, ABodyOfTwoMegabytesCostsAtMostFourTimesItsSizeWhileInFlight) {
  const std::string body = agent_body(2'000'000);
  const auto most = static_cast<std::ptrdiff_t>(4 * body.size());
  for (const std::string_view target :
       {"/v1/chat/completions", "/v1/chat/completions?cacheBreakpoint=lastUserMessage"}) {
    for (int round = 0; round < 2; ++round) {
      auto made = request(target);  // makes the cache
      const std::ptrdiff_t before = test::live_bytes();
      test::count_peak_from_now();
      ASSERT_EQ(made->body(body)->kind, Forward::Kind::kSend);
      EXPECT_LE(test::peak_bytes() - before, most) << target;
      EXPECT_LE(test::live_bytes() - before, most) << target;
      respond(*made, kTerminalFrame, kStream);
      EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
    }
  }
}

// Memory is bounded by configuration, not by the largest body that ever came.
TEST_F(RequestTest, WhatAHugeBodyNeededIsGivenBack) {
  std::string body = R"({"model":"m","messages":[{"role":"user","content":[0)";
  for (int i = 0; i < 2'000'000; ++i) body.append(",0");
  body.append(R"(]}],"x":{"m":")" + std::string(8'000'000, 'x') + R"(\/"}})");
  respond(*sent(), kAnswer);
  const std::ptrdiff_t before = test::live_bytes();
  sent(body).reset();
  EXPECT_LT(test::live_bytes() - before, 16 << 20);
}

// A request is over when it is freed, and freeing cannot report a failure.
TEST_F(RequestTest, FreeingARequestNeedsNoMemory) {
  for (int open = 0; open < 40; ++open) {
    std::vector<std::unique_ptr<Request>> requests;
    for (int i = 0; i <= open; ++i) requests.push_back(sent());
    for (auto& made : requests) {
      const std::size_t before = test::allocations();
      made.reset();
      EXPECT_EQ(test::allocations(), before);
    }
  }
}

}  // namespace
}  // namespace satchel::prompt_cache
