#include "prompt_cache/overload_retries.hpp"

#include <algorithm>
#include <utility>

namespace satchel::prompt_cache {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{2'000};
constexpr double kPerSecond = 10;
constexpr double kBurst = 10;
constexpr unsigned kAtOnce = 8;
// How often those who wait look whether anybody still waits for them.
constexpr milliseconds kSlice{20};

}  // namespace

std::optional<OverloadRetries::Turn> OverloadRetries::wait(unsigned n, Patience patience) {
  const nanoseconds before = pause(n);
  if (before.count() >= patience.left_ns(clock_)) return std::nullopt;
  if (!sleep(before, patience)) return std::nullopt;
  for (;;) {
    const nanoseconds more = take();
    if (more.count() == 0) return Turn(*this);
    if (!sleep(more, patience)) return std::nullopt;
  }
}

void OverloadRetries::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

// Nominal pauses double; the actual one is between half of it and all of it.
nanoseconds OverloadRetries::pause(unsigned n) {
  const nanoseconds nominal =
      n > 5 ? nanoseconds(kLongestPause)
            : std::min<nanoseconds>(kFirstPause * (1U << (n - 1)), kLongestPause);
  const std::lock_guard lock(mutex_);
  std::uniform_int_distribution<std::int64_t> cut(0, nominal.count() / 2);
  return nominal - nanoseconds(cut(random_));
}

// False: stopped, or nobody waits any more.
bool OverloadRetries::sleep(nanoseconds time, Patience patience) {
  const Steady::time_point until = Steady::now() + time;
  for (;;) {
    if (patience.over(clock_)) return false;  // not under the lock: it may ask the host
    std::unique_lock lock(mutex_);
    if (stopped_) return false;
    const nanoseconds left = until - Steady::now();
    if (left.count() <= 0) return true;
    changed_.wait_for(lock, std::min<nanoseconds>(left, kSlice));
  }
}

nanoseconds OverloadRetries::take() {
  const std::lock_guard lock(mutex_);
  const Steady::time_point now = Steady::now();
  const std::chrono::duration<double> passed = now - refilled_;
  tokens_ = std::min(tokens_ + passed.count() * kPerSecond, kBurst);
  refilled_ = now;
  if (running_ >= kAtOnce || tokens_ < 1) return kSlice;
  tokens_ -= 1;
  ++running_;
  return nanoseconds(0);
}

void OverloadRetries::end() {
  const std::lock_guard lock(mutex_);
  --running_;
}

}  // namespace satchel::prompt_cache
