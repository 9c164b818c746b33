// One classification on the library's own threads: what it asks, owned, and how it ended. A request
// may be gone long before a callback of the host comes back to it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/result.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/metrics.hpp"
#include "prompt_cache/prompt_digest.hpp"

namespace satchel::prompt_cache {

// It ends once, by whoever comes first: the thread that classifies, the deadline, or whoever gives
// it up. What comes later is dropped.
class Classification {
 public:
  enum class End : std::uint8_t {
    kClassified,
    kFailed,  // no memory
    kDeadline,
    kQueueFull,    // never begun
    kTooFarAhead,  // too many bytes of the response waited for it
    kAbandoned,    // the request was aborted or freed
    kClosed,       // the cache was closed
  };
  // Called once, by whoever ends it; on no account after let_go() has returned.
  using Done = std::function<void(End)>;

  struct Asked {
    Asker asker;
    std::string model;  // empty: none was named, there is nothing to ask
    bool parsed = false;
    PromptDigest digest;
    std::shared_ptr<const std::string> forwarded;  // where the classifier wants it
  };

  // The deadline counts from here. It is taken from the system's clock as well as from the cache's:
  // a host's clock that stands still must not hold a response.
  Classification(Done done, std::int64_t deadline_ns, Metrics& metrics, core::Clock& clock);
  Classification(const Classification&) = delete;
  Classification& operator=(const Classification&) = delete;
  ~Classification();

  // To be filled in before anything else. Here and not handed over: a key that is moved leaves its
  // letters behind.
  [[nodiscard]] Asked& asked() { return asked_; }

  // Asks and ends. Once, any thread.
  void run(Classifier& classifier);
  // Ends it without an answer, unless it has ended.
  void end(End how) { end(how, {}); }
  // As if it had run: for a request that was classified already, or names no model.
  void end_as_known(Outcome outcome) { end(End::kClassified, std::move(outcome)); }
  // The thread that runs it hurries back; it ends as kClosed then.
  void hurry() { given_up_.store(true, std::memory_order_relaxed); }

  // Any thread.
  [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  // Waits for the end, which the deadline brings at the latest.
  void wait();
  // Once it has ended: moves the answer out, inactive if there is none.
  Outcome take();
  // A descriptor that is readable once it has ended. Made at the first call, closed by let_go().
  core::Result<int> descriptor();
  // The request goes: ends it, waits for a `done` that is being called.
  void let_go();

 private:
  void end(End how, Outcome outcome);
  void count(End how) const;
  void make_readable() const;

  Asked asked_;
  const Done done_;
  const std::chrono::steady_clock::time_point deadline_;
  const std::int64_t until_ns_;
  Metrics& metrics_;
  core::Clock& clock_;
  std::atomic<bool> given_up_{false};
  std::atomic<bool> ended_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  Outcome outcome_;
  bool calling_done_ = false;
  int descriptor_ = -1;
};

}  // namespace satchel::prompt_cache
