#include "prompt_cache/classification.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <limits>
#include <utility>

#include "core/secret.hpp"

namespace satchel::prompt_cache {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

Classification::Classification(Done done, std::int64_t deadline_ns, Metrics& metrics,
                               core::Clock& clock)
    : done_(std::move(done)),
      deadline_(steady_clock::now() + nanoseconds(deadline_ns)),
      until_ns_(clock.monotonic_ns() + deadline_ns),
      metrics_(metrics),
      clock_(clock) {}

Classification::~Classification() {
  core::wipe(asked_.asker.api_key);
  if (descriptor_ >= 0) close(descriptor_);
}

void Classification::run(Classifier& classifier) {
  const Patience patience{until_ns_, &given_up_};
  End how = End::kClassified;
  Outcome outcome;
  try {
    outcome = classifier.classify(
        {asked_.asker, asked_.model, asked_.parsed ? &asked_.digest : nullptr,
         asked_.forwarded ? std::string_view(*asked_.forwarded) : std::string_view{}},
        patience);
    if (given_up_.load(std::memory_order_relaxed)) {
      how = End::kClosed;
    } else if (patience.over(clock_)) {
      how = End::kDeadline;
    }
  } catch (const std::exception&) {
    how = End::kFailed;  // no memory: nothing can be said
  }
  core::wipe(asked_.asker.api_key);
  end(how, how == End::kClassified ? std::move(outcome) : Outcome{});
}

void Classification::end(End how, Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (ended()) return;
    outcome_ = std::move(outcome);
    calling_done_ = done_ != nullptr;
    // Whoever is late notices that by himself, and says so in the log.
    if (how != End::kDeadline) given_up_.store(true, std::memory_order_relaxed);
    count(how);
    ended_.store(true, std::memory_order_release);
    if (descriptor_ >= 0) make_readable();
    changed_.notify_all();
  }
  if (!done_) return;
  done_(how);
  const std::lock_guard lock(mutex_);
  calling_done_ = false;
  changed_.notify_all();
}

void Classification::count(End how) const {
  using Classified = Metrics::Classified;
  if (asked_.model.empty()) return;
  switch (how) {
    case End::kClassified:
      return metrics_.classified.add(Classified::kOk);
    case End::kFailed:
      return metrics_.classified.add(Classified::kError);
    case End::kDeadline:
      return metrics_.classified.add(Classified::kDeadlineExceeded);
    case End::kQueueFull:
      return metrics_.classified.add(Classified::kQueueFull);
    case End::kTooFarAhead:
    case End::kAbandoned:
    case End::kClosed:
      return metrics_.classified.add(Classified::kAbandoned);
  }
}

void Classification::wait() {
  std::unique_lock lock(mutex_);
  if (changed_.wait_until(lock, deadline_, [&] { return ended(); })) return;
  lock.unlock();
  end(End::kDeadline);
}

Outcome Classification::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcome_, {});
}

core::Result<int> Classification::descriptor() {
  const std::lock_guard lock(mutex_);
  if (descriptor_ < 0) {
    descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (descriptor_ < 0) return core::Error{core::Status::kIo, "eventfd failed", errno};
    if (ended()) make_readable();
  }
  return descriptor_;
}

// A host that reads from it takes one of these away: it stays readable all the same.
void Classification::make_readable() const {
  const std::uint64_t many = std::numeric_limits<std::uint32_t>::max();
  // Cannot fail: the descriptor is ours, and nothing was written to it before.
  [[maybe_unused]] const ssize_t written = write(descriptor_, &many, sizeof many);
}

void Classification::let_go() {
  end(End::kAbandoned);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !calling_done_; });
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
}

}  // namespace satchel::prompt_cache
