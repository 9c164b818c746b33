// Which requests take part, what is sent upstream, and the order of calls.
#include "request_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

using namespace request_fixture;
using core::Status;
using std::string_view_literals::operator""sv;

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

}  // namespace
}  // namespace satchel::prompt_cache
