// What the client gets, and what is committed behind it.
#include "request_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

using namespace request_fixture;
using core::Status;

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

}  // namespace
}  // namespace satchel::prompt_cache
