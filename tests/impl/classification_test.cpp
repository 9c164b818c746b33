// Classification on the library's own threads: what a host sees of it while a tokenizer hangs.
#include "prompt_cache/classification.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "classification_fixture.hpp"

namespace satchel::prompt_cache {
namespace {

// ---------------------------------------------------------------------------- the usual course

TEST_F(ClassificationTest, WhatWasStartedIsTheAnswerThatAWaitingCallWouldGive) {
  gate.open();
  auto made = streaming();
  Endings endings;
  ASSERT_TRUE(made->classify_start(endings.done()));
  EXPECT_EQ(respond(*made, std::string(kToken) + std::string(kUsage) + std::string(kDone)),
            injected_stream());
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
  EXPECT_EQ(endings.await_first(), End::kClassified);
  EXPECT_TRUE(endings.on_library_thread());
  made.reset();
  EXPECT_EQ(endings.all().size(), 1U);
  EXPECT_EQ(written(), 1U);
}

TEST_F(ClassificationTest, AClassifyBehindAStartWaitsForIt) {
  auto made = sent();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  std::thread opener([&] { gate.open(); });
  EXPECT_TRUE(made->classify());
  opener.join();
  EXPECT_TRUE(made->result().active);
  EXPECT_EQ(cache()->index().counts().lookups, 1U);
}

TEST_F(ClassificationTest, WhereThereIsNothingToAskItEndsInsideTheCall) {
  gate.open();
  Endings behind_another;
  auto classified = sent();
  ASSERT_TRUE(classified->classify());
  ASSERT_TRUE(classified->classify_start(behind_another.done()));
  EXPECT_EQ(behind_another.all(), std::vector{End::kClassified});
  EXPECT_TRUE(classified->result().active);

  Endings no_model;
  auto nameless = sent(R"({"messages":[]})");
  ASSERT_TRUE(nameless->classify_start(no_model.done()));
  EXPECT_EQ(no_model.all(), std::vector{End::kClassified});
  EXPECT_FALSE(no_model.on_library_thread());
  EXPECT_EQ(metrics().classified.value(Classified::kOk), 1U);
}

TEST_F(ClassificationTest, ItIsStartedOnceAndBehindTheBody) {
  Endings endings;
  auto made = std::make_unique<Request>(cache(), kTarget, "", "sk-1");
  EXPECT_EQ(made->classify_start(endings.done()).error().status, Status::kState);
  EXPECT_EQ(made->descriptor().error().status, Status::kState);
  ASSERT_TRUE(made->body(kBody));
  EXPECT_EQ(made->descriptor().error().status, Status::kState);
  gate.open();
  ASSERT_TRUE(made->classify_start({}));
  EXPECT_EQ(made->classify_start(endings.done()).error().status, Status::kState);
  made.reset();
  EXPECT_TRUE(endings.all().empty());
}

TEST_F(ClassificationTest, FramesBeforeTheLastTakeTheAnswerWhenItIsThere) {
  gate.open();
  auto made = streaming();
  Endings endings;
  ASSERT_TRUE(made->classify_start(endings.done()));
  endings.await_first();
  const std::string early = taken(made->write(
      "data: {\"choices\":[{\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":50}}\n\n"));
  EXPECT_NE(early.find("\"cache_creation_input_tokens\":10"), std::string::npos) << early;
}

TEST_F(ClassificationTest, TheForwardedBodyIsKeptForACountThatRunsLater) {
  config_text = R"({"exact":true,"models":{"*":{"min_prefix_tokens":1}}})";
  const std::string messages =
      R"([{"role":"system","content":[{"type":"text","text":"forty bytes of a system prompt, in all.."}]},)"
      R"({"role":"user","content":"hi"}])";
  ASSERT_GT(messages.size(), 71U);
  auto made = std::make_unique<Request>(cache(), kTarget, "", "sk-exact");
  {
    std::string body(kBody);
    ASSERT_TRUE(made->body(body));
    ASSERT_TRUE(made->classify_start({}));
    std::fill(body.begin(), body.end(), 'x');
  }
  gate.open();
  ASSERT_TRUE(made->response(200, "", ""));
  respond(*made, kAnswer);
  EXPECT_EQ(made->result().usage, (CacheUsage{0, 10, 0, 0}));
  EXPECT_EQ(metrics().drift_compared.value(), 1U);
  EXPECT_EQ(metrics().drift_tokens.value(), messages.size() - 50);
  EXPECT_EQ(metrics().drift_alarms.value(), 1U);
}

// --------------------------------------------------------------------- never held, never late

TEST_F(ClassificationTest, NothingBeforeTheUsageWaits) {
  auto made = streaming();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(taken(made->write(kToken)), kToken);
  EXPECT_EQ(taken(made->write("data: {\"choices\":[{\"finish_reason\":null}],"
                              "\"usage\":{\"cache_discount\":1}}\n\n")),
            "data: {\"choices\":[{\"finish_reason\":null}],\"usage\":{}}\n\n");
}

TEST_F(ClassificationTest, TheUsageWaitsForTheDeadlineAndNoLonger) {
  config_text = R"({"classify_deadline_ms":50,"models":{"*":{"min_prefix_tokens":1}}})";
  auto made = streaming();
  Endings endings;
  ASSERT_TRUE(made->classify_start(endings.done()));
  gate.await_inside(1);
  EXPECT_EQ(respond(*made, kUsage), kUsage);
  EXPECT_EQ(endings.all(), std::vector{End::kDeadline});
  EXPECT_FALSE(made->result().active);
  EXPECT_EQ(made->result().commit, CommitState::kNothing);
  // The answer that comes later is dropped.
  gate.open();
  gate.await_nobody_inside();
  EXPECT_EQ(written(), 0U);
  EXPECT_EQ(metrics().classified.value(Classified::kDeadlineExceeded), 1U);
  EXPECT_EQ(metrics().classified.value(Classified::kOk), 0U);
  EXPECT_EQ(metrics().requests.value(RequestOutcome::kInactive), 1U);
}

TEST_F(ClassificationTest, TheDeadlineIsKeptWhileEveryThreadIsInsideACallback) {
  config_text = R"({"classify_deadline_ms":50,"classify_threads":1,
                    "models":{"*":{"min_prefix_tokens":1}}})";
  auto running = streaming();
  auto queued = streaming();
  Endings endings[2];
  ASSERT_TRUE(running->classify_start(endings[0].done()));
  gate.await_inside(1);
  ASSERT_TRUE(queued->classify_start(endings[1].done()));
  const int fd = *queued->descriptor();
  EXPECT_EQ(endings[0].await_first(), End::kDeadline);
  EXPECT_EQ(endings[1].await_first(), End::kDeadline);
  EXPECT_TRUE(readable(fd));
}

TEST_F(ClassificationTest, AFullQueueLeavesARequestUncached) {
  config_text = R"({"classify_threads":1,"classify_queue":1,
                    "models":{"*":{"min_prefix_tokens":1}}})";
  auto running = streaming();
  auto queued = streaming();
  auto third = streaming();
  Endings endings[3];
  ASSERT_TRUE(running->classify_start(endings[0].done()));
  gate.await_inside(1);
  ASSERT_TRUE(queued->classify_start(endings[1].done()));
  ASSERT_TRUE(third->classify_start(endings[2].done()));
  EXPECT_EQ(endings[2].all(), std::vector{End::kQueueFull});
  EXPECT_EQ(respond(*third, kUsage), kUsage);
  EXPECT_FALSE(third->result().active);
  EXPECT_EQ(metrics().classified.value(Classified::kQueueFull), 1U);
  // One that gave up makes room.
  queued->abort();
  EXPECT_EQ(endings[1].all(), std::vector{End::kAbandoned});
  auto fourth = streaming();
  ASSERT_TRUE(fourth->classify_start({}));
  gate.open();
  respond(*running, kUsage);
  respond(*fourth, kUsage);
  EXPECT_TRUE(running->result().active);
  EXPECT_TRUE(fourth->result().active);
  EXPECT_EQ(written(), 2U);
}

TEST_F(ClassificationTest, ManyRequestsShareTheThreads) {
  config_text = R"({"classify_threads":3,"models":{"*":{"min_prefix_tokens":1}}})";
  constexpr int kRequests = 300;
  Endings endings;
  std::vector<std::unique_ptr<Request>> requests;
  for (int i = 0; i < kRequests; ++i) {
    requests.push_back(streaming());
    ASSERT_TRUE(requests.back()->classify_start(endings.done()));
  }
  gate.await_inside(3);
  gate.open();
  for (auto& request : requests) {
    respond(*request, kUsage);
    EXPECT_EQ(request->result().usage, (CacheUsage{0, 10, 0, 0}));
  }
  requests.clear();
  EXPECT_EQ(endings.all(), std::vector(kRequests, End::kClassified));
  EXPECT_EQ(written(), std::uint64_t{kRequests});
}

// ----------------------------------------------------------------------------- giving it up

TEST_F(ClassificationTest, AnAbortDoesNotWaitForACallback) {
  Endings endings;
  auto made = streaming();
  ASSERT_TRUE(made->classify_start(endings.done()));
  const int fd = *made->descriptor();
  gate.await_inside(1);
  made->abort();
  EXPECT_EQ(endings.all(), std::vector{End::kAbandoned});
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
  made.reset();  // returns while the tokenizer is held
  EXPECT_EQ(metrics().classified.value(Classified::kAbandoned), 1U);
  EXPECT_EQ(metrics().requests.value(RequestOutcome::kAborted), 1U);
  gate.open();
  gate.await_nobody_inside();
  EXPECT_EQ(written(), 0U);
  EXPECT_EQ(endings.all().size(), 1U);
}

TEST_F(ClassificationTest, NorDoesOneBehindAStreamThatSaidItIsDone) {
  for (const bool started : {true, false}) {
    Endings endings;
    auto made = streaming();
    if (started) {
      ASSERT_TRUE(made->classify_start(endings.done()));
      gate.await_inside(1);
    }
    // Usage that nobody waited for, for its choice never ends.
    taken(made->write("data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":50}}\n\n"));
    taken(made->write(kDone));
    made->abort();
    EXPECT_EQ(endings.all(), std::vector(started ? 1U : 0U, End::kAbandoned));
    EXPECT_FALSE(made->result().classified);
    EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
    made.reset();
    gate.open();
  }
  EXPECT_EQ(written(), 0U);
}

TEST_F(ClassificationTest, ARequestThatIsFreedHasAbortedItsClassification) {
  Endings endings;
  auto made = streaming();
  ASSERT_TRUE(made->classify_start(endings.done()));
  gate.await_inside(1);
  made.reset();
  EXPECT_EQ(endings.all(), std::vector{End::kAbandoned});
  EXPECT_EQ(metrics().requests.value(RequestOutcome::kAborted), 1U);
}

TEST_F(ClassificationTest, ClosingTheCacheEndsWhatWaitsAndDropsWhatRuns) {
  config_text = R"({"classify_threads":2,"models":{"*":{"min_prefix_tokens":1}}})";
  Endings endings;
  std::vector<std::unique_ptr<Request>> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(streaming());
    ASSERT_TRUE(requests.back()->classify_start(endings.done()));
  }
  gate.await_inside(2);
  auto closing = std::async(std::launch::async, [&] { cache()->shut_down(); });
  // Nothing but the callbacks themselves is waited for.
  while (metrics().classified.value(Classified::kAbandoned) == 0 &&
         closing.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout) {
    gate.open();
  }
  closing.get();
  const std::vector<End> all = endings.all();
  EXPECT_EQ(all.size(), 6U);
  for (const End end : all) EXPECT_TRUE(end == End::kClosed || end == End::kClassified);
  requests.clear();  // they may only be freed now
}

// ------------------------------------------------------------------------------------- counting

TEST_F(ClassificationTest, EveryRequestIsCountedOnce) {
  gate.open();
  config_text = R"({"models":{"m":{"min_prefix_tokens":1}},"max_body_bytes":2000})";
  respond(*streaming(), kUsage);  // creates
  auto again = std::make_unique<Request>(cache(), kTarget, "", "sk-1");
  ASSERT_TRUE(again->body(kBody));
  ASSERT_TRUE(again->response(500, "text/event-stream", ""));
  respond(*again, kUsage);        // reads, but fails
  respond(*streaming(), kToken);  // creates, no usage
  {
    auto left = streaming();
    ASSERT_TRUE(left->classify());
  }  // creates, aborted behind the classification
  streaming()->abort();
  auto unknown = sent(R"({"model":"another","messages":[]})");
  ASSERT_TRUE(unknown->response(200, "", ""));
  respond(*unknown, kAnswer);
  sent("no json");
  sent(std::string(3000, ' '));
  sent(R"({"cache_control":{"type":"ephemeral","ttl":"2h"}})");

  Metrics& counted = metrics();
  EXPECT_EQ(counted.requests.value(RequestOutcome::kCreateOnly), 3U);
  EXPECT_EQ(counted.requests.value(RequestOutcome::kRead), 1U);
  EXPECT_EQ(counted.requests.value(RequestOutcome::kAborted), 1U);
  EXPECT_EQ(counted.requests.value(RequestOutcome::kInactive), 2U);
  EXPECT_EQ(counted.marker_requests.value(Metrics::Marked::kYes), 5U);
  EXPECT_EQ(counted.marker_requests.value(Metrics::Marked::kNo), 1U);
  EXPECT_EQ(counted.body_too_long.value(), 1U);
  EXPECT_EQ(counted.markers_rejected[3].value(), 1U);
  EXPECT_EQ(counted.classified.value(Classified::kOk), 5U);
  EXPECT_EQ(counted.commits.value(Metrics::CommitResult::kOk), 1U);
  EXPECT_EQ(counted.vetoes.value(Metrics::Veto::kNon2xx), 1U);
  EXPECT_EQ(counted.vetoes.value(Metrics::Veto::kNoUsage), 1U);
  EXPECT_EQ(counted.vetoes.value(Metrics::Veto::kAborted), 1U);
  const std::string text = counted.text({});
  EXPECT_NE(text.find("satchel_prompt_cache_read_input_tokens_total{model=\"m\"} 10\n"),
            std::string::npos);
  EXPECT_NE(text.find("satchel_prompt_cache_creation_input_tokens_total{model=\"m\",tier=\"5m\"} "
                      "30\n"),
            std::string::npos);
  EXPECT_EQ(text.find("another"), std::string::npos);
}

}  // namespace
}  // namespace satchel::prompt_cache
