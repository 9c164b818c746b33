// Classification on the library's own threads: what a host sees of it while a tokenizer hangs.
#include "prompt_cache/classification.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/library_thread.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_cache/request.hpp"

namespace satchel::prompt_cache {
namespace {

using core::Status;
using std::chrono::seconds;
using End = Classification::End;
using Classified = Metrics::Classified;
using RequestOutcome = Metrics::RequestOutcome;

constexpr std::string_view kTarget = "/v1/chat/completions";
constexpr std::string_view kBody =
    R"({"model":"m","stream":true,"messages":[{"role":"system","content":[{"type":"text",)"
    R"("text":"forty bytes of a system prompt, in all..","cache_control":{"type":"ephemeral"}}]},)"
    R"({"role":"user","content":"hi"}]})";
constexpr std::string_view kToken = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
constexpr std::string_view kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3}}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";
constexpr std::string_view kAnswer =
    R"({"id":"x","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":3}})";

// Holds the tokenizer's callers until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --inside_;
    changed_.notify_all();
  }
  void open() { set(true); }
  void close() { set(false); }
  void await_inside(int callers) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(60), [&] { return inside_ >= callers; }));
  }
  void await_nobody_inside() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, seconds(60), [&] { return inside_ == 0; }));
  }

 private:
  void set(bool open) {
    const std::lock_guard lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int inside_ = 0;
};

class GatedTokenizer final : public Tokenizer {
 public:
  explicit GatedTokenizer(Gate& gate) : gate_(gate) {}
  [[nodiscard]] bool wants_text() const override { return true; }
  [[nodiscard]] bool can_render() const override { return true; }
  core::Result<std::vector<ModelVersions>> versions(std::string_view model, Patience) override {
    return std::vector<ModelVersions>{{std::string(model), "v", "t"}};
  }
  core::Result<RenderCounts> render(std::string_view, const RenderRequest& request,
                                    Patience) override {
    gate_.pass();
    // The messages lie in the body as it is forwarded, which nobody else keeps.
    RenderCounts counts{static_cast<std::uint32_t>(request.messages.size()), {}};
    for (std::size_t i = 0; i < request.prefixes.size(); ++i) counts.prefixes.emplace_back(10);
    return counts;
  }
  core::Result<std::vector<std::uint32_t>> tokenize(std::string_view,
                                                    std::span<const Segment> segments,
                                                    Patience) override {
    gate_.pass();
    std::vector<std::uint32_t> counts;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      EXPECT_EQ(segments[i].text.size(), segments[i].bytes);
      counts.push_back(static_cast<std::uint32_t>(10 * (i + 1)));
    }
    return counts;
  }

 private:
  Gate& gate_;
};

class SilentLog final : public core::Log {
 public:
  SilentLog() : Log(core::LogLevel::kOff) {}

 protected:
  void emit(core::LogLevel, std::string_view, std::string_view) override {}
};

// What `done` was called with.
class Endings {
 public:
  Classification::Done done() {
    return [this](End end) {
      const std::lock_guard lock(mutex_);
      endings_.push_back(end);
      on_library_thread_ = core::LibraryThread::here();
      changed_.notify_all();
    };
  }
  End await_first() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(60), [&] { return !endings_.empty(); }));
    return endings_.empty() ? End::kFailed : endings_.front();
  }
  std::vector<End> all() {
    const std::lock_guard lock(mutex_);
    return endings_;
  }
  bool on_library_thread() {
    const std::lock_guard lock(mutex_);
    return on_library_thread_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<End> endings_;
  bool on_library_thread_ = false;
};

class ClassificationTest : public testing::Test {
 protected:
  ~ClassificationTest() override { gate.open(); }

  const std::shared_ptr<PromptCache>& cache() {
    if (!cache_) {
      auto config = read_prompt_cache_config(config_text);
      EXPECT_TRUE(config) << config.error().message;
      ClassifierParts parts;
      parts.tokenizer = std::make_unique<GatedTokenizer>(gate);
      cache_ = std::make_shared<PromptCache>(*config, std::move(parts), nullptr,
                                             core::system_clock(), log_);
    }
    return cache_;
  }
  // A request of its own principal, whose body was sent: ten tokens are new.
  std::unique_ptr<Request> sent(std::string_view body = kBody) {
    auto made =
        std::make_unique<Request>(cache(), kTarget, "", "sk-" + std::to_string(++requests_));
    EXPECT_TRUE(made->body(body));
    return made;
  }
  std::unique_ptr<Request> streaming() {
    auto made = sent();
    EXPECT_TRUE(made->response(200, "text/event-stream", ""));
    return made;
  }
  Metrics& metrics() { return cache()->metrics(); }
  std::uint64_t written() {
    EXPECT_TRUE(cache()->index().flush(60 * core::kNanosPerSecond));
    return cache()->index().counts().entries_written;
  }

  Gate gate;
  std::string config_text = R"({"models":{"*":{"min_prefix_tokens":1}}})";

 private:
  SilentLog log_;
  int requests_ = 0;
  std::shared_ptr<PromptCache> cache_;
};

std::string taken(core::Result<std::string_view> out) {
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? std::string(*out) : "(error)";
}

bool readable(int fd, int timeout_ms = 0) {
  pollfd waits{fd, POLLIN, 0};
  return poll(&waits, 1, timeout_ms) == 1 && (waits.revents & POLLIN) != 0;
}

std::string respond(Request& request, std::string_view body) {
  std::string out = taken(request.write(body));
  return out + taken(request.end());
}

const std::string& injected_stream() {
  static const std::string text =
      std::string(kToken) +
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3,"
      "\"prompt_tokens_details\":{\"cached_tokens\":0},\"cache_read_input_tokens\":0,"
      "\"cache_creation_input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,"
      "\"ephemeral_1h_input_tokens\":0,\"ephemeral_24h_input_tokens\":0}}}\n\n" +
      std::string(kDone);
  return text;
}

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

// ------------------------------------------------------------------------------- not waiting

TEST_F(ClassificationTest, ADescriptorIsReadableForEverOnceItHasEnded) {
  auto made = sent();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  const int fd = *made->descriptor();
  EXPECT_EQ(*made->descriptor(), fd);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(readable(fd));
  gate.open();
  EXPECT_TRUE(readable(fd, 60'000));
  std::uint64_t read_away = 0;
  EXPECT_EQ(read(fd, &read_away, sizeof read_away), 8);
  EXPECT_TRUE(readable(fd));
  made.reset();
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);

  auto late = sent();
  ASSERT_TRUE(late->classify());
  ASSERT_TRUE(late->classify_start({}));
  EXPECT_TRUE(readable(*late->descriptor()));
}

TEST_F(ClassificationTest, AHostThatMayNotWaitGetsTheRestLater) {
  auto made = streaming();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  gate.await_inside(1);
  EXPECT_EQ(taken(made->write(kToken)), kToken);
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(taken(made->write(std::string(kToken) + std::string(kUsage))), kToken);
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(taken(made->write(kDone)), "");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(made->write("x").error().status, Status::kState);
  EXPECT_EQ(made->result().commit, CommitState::kOpen);
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_EQ(std::string(kToken) + taken(made->write("")), injected_stream());
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
}

TEST_F(ClassificationTest, AJsonAnswerIsKeptUntilItCanBeEdited) {
  auto made = sent();
  made->no_wait();  // and it starts by itself when it is needed
  ASSERT_TRUE(made->response(200, "application/json", ""));
  EXPECT_EQ(taken(made->write(kAnswer)), "");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  EXPECT_EQ(taken(made->end()), "");
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_NE(taken(made->end()).find("\"cache_creation_input_tokens\":10"), std::string::npos);
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(made->end().error().status, Status::kState);
}

TEST_F(ClassificationTest, AnAnswerWithoutUsageWaitsOnlyToBeDecided) {
  auto made = sent();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  ASSERT_TRUE(made->response(200, "text/html", ""));
  EXPECT_EQ(taken(made->write("page")), "page");
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_TRUE(made->pending());
  gate.open();
  ASSERT_TRUE(readable(*made->descriptor(), 60'000));
  EXPECT_EQ(taken(made->end()), "");
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(made->result().commit, CommitState::kVetoNoUsage);
}

TEST_F(ClassificationTest, WhatIsKeptBackIsBounded) {
  config_text = R"({"max_event_bytes":300,"models":{"*":{"min_prefix_tokens":1}}})";
  auto made = streaming();
  made->no_wait();
  Endings endings;
  ASSERT_TRUE(made->classify_start(endings.done()));
  gate.await_inside(1);
  std::string in(kUsage);
  std::string out = taken(made->write(kUsage));
  EXPECT_TRUE(made->pending());
  for (int i = 0; i < 20; ++i) {
    in.append(kToken);
    out += taken(made->write(kToken));
  }
  EXPECT_FALSE(made->pending());
  EXPECT_EQ(out, in);
  EXPECT_EQ(endings.all(), std::vector{End::kTooFarAhead});
  taken(made->end());
  EXPECT_FALSE(made->result().active);
}

TEST_F(ClassificationTest, AHostThatMayNotWaitCanLeaveAtAnyTime) {
  auto made = streaming();
  made->no_wait();
  ASSERT_TRUE(made->classify_start({}));
  taken(made->write(std::string(kUsage) + std::string(kDone)));
  made->abort();
  EXPECT_EQ(made->result().commit, CommitState::kVetoAborted);
  EXPECT_EQ(made->end().error().status, Status::kState);
}

// The gate opens somewhere in the stream: whatever was kept by then, the client gets the same.
TEST_F(ClassificationTest, WaitingAndNotWaitingGiveTheSameBytesWhateverTheCuts) {
  std::mt19937 random(7);
  std::string stream;
  for (int i = 0; i < 5; ++i) stream.append(kToken);
  stream.append(": a comment\r\n\r\n").append(kUsage).append(kToken).append(kDone);
  gate.open();
  auto waiting = streaming();
  ASSERT_TRUE(waiting->classify_start({}));
  const std::string expected = respond(*waiting, stream);
  for (int round = 0; round < 60; ++round) {
    gate.close();
    auto made = streaming();
    made->no_wait();
    ASSERT_TRUE(made->classify_start({}));
    const std::size_t opens_at = random() % (stream.size() + 1);
    std::string out;
    bool open = false;
    for (std::size_t at = 0; at < stream.size();) {
      if (at >= opens_at && !open) {
        open = true;
        gate.open();
        ASSERT_TRUE(readable(*made->descriptor(), 60'000));
      }
      const std::size_t size = std::min<std::size_t>(1 + random() % 90, stream.size() - at);
      out += taken(made->write(std::string_view(stream).substr(at, size)));
      at += size;
    }
    out += taken(made->end());
    if (made->pending()) {
      gate.open();
      ASSERT_TRUE(readable(*made->descriptor(), 60'000));
      out += taken(made->end());
    }
    EXPECT_EQ(out, expected) << round;
    EXPECT_EQ(made->result().commit, CommitState::kHandedOver);
  }
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
