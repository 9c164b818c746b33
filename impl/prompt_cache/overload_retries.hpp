// When to ask an overloaded service again: after 100 ms, 200 ms, ... 2 s, each cut by up to half so
// that many who were refused together do not come back together; and of all who ask at most 10 a
// second, 8 at a time, so that retries do not become the load themselves.
// Source: dwctl prompt_cache/tokenizer_retry.rs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "core/clock.hpp"
#include "prompt_cache/patience.hpp"

namespace satchel::prompt_cache {

// Any thread.
class OverloadRetries {
 public:
  explicit OverloadRetries(core::Clock& clock) : clock_(clock) {}
  OverloadRetries(const OverloadRetries&) = delete;
  OverloadRetries& operator=(const OverloadRetries&) = delete;

  // Somebody's turn to ask again, until it ends.
  class Turn {
   public:
    explicit Turn(OverloadRetries& retries) : retries_(&retries) {}
    Turn(Turn&& other) noexcept : retries_(std::exchange(other.retries_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (retries_ != nullptr) retries_->end();
    }

   private:
    OverloadRetries* retries_;
  };

  // Waits for the turn of the nth retry of a question, from 1. Nothing: it would come too late.
  std::optional<Turn> wait(unsigned n, Patience patience);
  // Ends all waiting, and whatever comes later. Turns taken go on.
  void stop();

 private:
  using Steady = std::chrono::steady_clock;

  bool sleep(std::chrono::nanoseconds time, Patience patience);
  // Zero: the turn is taken. Else how long to wait before trying again.
  std::chrono::nanoseconds take();
  void end();
  std::chrono::nanoseconds pause(unsigned n);

  core::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;  // stopped
  bool stopped_ = false;
  unsigned running_ = 0;
  double tokens_ = 10;
  Steady::time_point refilled_ = Steady::now();
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace satchel::prompt_cache
