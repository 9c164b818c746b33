// What the tests of classification on the library's threads share: requests whose tokenizer hangs
// until it is let go.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/library_thread.hpp"
#include "prompt_cache/classification.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_cache/request.hpp"

namespace satchel::prompt_cache {

using core::Status;
using std::chrono::seconds;
using End = Classification::End;
using Classified = Metrics::Classified;
using RequestOutcome = Metrics::RequestOutcome;

inline constexpr std::string_view kTarget = "/v1/chat/completions";
inline constexpr std::string_view kBody =
    R"({"model":"m","stream":true,"messages":[{"role":"system","content":[{"type":"text",)"
    R"("text":"forty bytes of a system prompt, in all..","cache_control":{"type":"ephemeral"}}]},)"
    R"({"role":"user","content":"hi"}]})";
inline constexpr std::string_view kToken =
    "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
inline constexpr std::string_view kUsage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3}}\n\n";
inline constexpr std::string_view kDone = "data: [DONE]\n\n";
inline constexpr std::string_view kAnswer =
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

inline std::string taken(core::Result<std::string_view> out) {
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? std::string(*out) : "(error)";
}

inline bool readable(int fd, int timeout_ms = 0) {
  pollfd waits{fd, POLLIN, 0};
  return poll(&waits, 1, timeout_ms) == 1 && (waits.revents & POLLIN) != 0;
}

inline std::string respond(Request& request, std::string_view body) {
  std::string out = taken(request.write(body));
  return out + taken(request.end());
}

inline const std::string& injected_stream() {
  static const std::string text =
      std::string(kToken) +
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":3,"
      "\"prompt_tokens_details\":{\"cached_tokens\":0},\"cache_read_input_tokens\":0,"
      "\"cache_creation_input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,"
      "\"ephemeral_1h_input_tokens\":0,\"ephemeral_24h_input_tokens\":0}}}\n\n" +
      std::string(kDone);
  return text;
}

}  // namespace satchel::prompt_cache
