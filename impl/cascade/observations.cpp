#include "cascade/observations.hpp"

#include <utility>

namespace satchel::cascade {
namespace {

constexpr std::int64_t kShareEvery = core::kNanosPerSecond;

using Seen = std::shared_ptr<const Observation>;

// What was seen in the future was seen before the clock was set back, or by another clock. It hides
// nothing that was seen since.
bool counts(const Seen& seen, core::Timestamp now) { return seen && seen->observed_at <= now; }

}  // namespace

void Observations::add(Observation observation) {
  auto seen = std::make_shared<const Observation>(std::move(observation));
  const std::lock_guard lock(mutex_);
  // Another thread was faster.
  if (counts(own_, now()) && own_->observed_at > seen->observed_at) return;
  own_ = std::move(seen);
  const bool due = shared_ == nullptr || shared_->headers != own_->headers ||
                   clock_.monotonic_ns() - shared_at_ns_ >= kShareEvery;
  if (due) share(own_);
}

std::shared_ptr<const Observation> Observations::newest() {
  std::shared_ptr<const Observation> others = files_.observation();
  const std::lock_guard lock(mutex_);
  const core::Timestamp at = now();
  if (!counts(own_, at)) return others;
  return counts(others, at) && others->observed_at > own_->observed_at ? others : own_;
}

void Observations::flush() {
  const std::lock_guard lock(mutex_);
  if (own_ && own_ != shared_) share(own_);
}

// With the mutex held, so that an older one never replaces a newer one of this process.
void Observations::share(const std::shared_ptr<const Observation>& observation) {
  shared_ = observation;
  shared_at_ns_ = clock_.monotonic_ns();
  const std::shared_ptr<const Observation> others = files_.observation();
  const bool others_newer = counts(others, now()) && others->observed_at > observation->observed_at;
  if (!others_newer) files_.write_observation(*observation);
}

}  // namespace satchel::cascade
