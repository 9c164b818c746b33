// Something that a thread is asked to do between its other work, and that others wait for. Who asks
// while it is being done waits for the next time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "core/result.hpp"

namespace satchel::prompt_cache {

// All calls from any thread; wanted() and done() are for the one that does it.
class ThreadOrder {
 public:
  // The thread has to be woken by whoever gives it.
  std::uint64_t give() {
    const std::lock_guard lock(mutex_);
    return ++given_;
  }

  // What became of the order with this number, or of a later one; nothing where it is not done by
  // `until`.
  std::optional<core::Result<void>> wait(std::uint64_t number,
                                         std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, until, [&] { return done_ >= number; })) return std::nullopt;
    return result_;
  }

  // The last one given that is not done.
  std::optional<std::uint64_t> wanted() {
    const std::lock_guard lock(mutex_);
    return given_ == done_ ? std::nullopt : std::optional(given_);
  }

  void done(std::uint64_t number, core::Result<void> result) {
    {
      const std::lock_guard lock(mutex_);
      done_ = number;
      result_ = std::move(result);
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t given_ = 0;
  std::uint64_t done_ = 0;
  core::Result<void> result_;
};

}  // namespace satchel::prompt_cache
