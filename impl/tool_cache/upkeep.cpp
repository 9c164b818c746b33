// Bounds, orphans, and the thread that does in the background what callers would otherwise wait
// for. Nothing depends on it: whatever it has not done yet is done by the call that needs it.
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "core/library_thread.hpp"
#include "tool_cache/tool_cache_impl.hpp"

namespace satchel::tool_cache {

using core::Result;

namespace {

// Until a file that was just changed can be remembered, and until changes that come in a row are
// looked at together.
constexpr std::chrono::milliseconds kSoon{50};

}  // namespace

Result<std::uint64_t> ToolCache::Impl::evict_to_cap(std::uint64_t cap) {
  Result<std::vector<Key>> removed = store_->evict_to_cap(cap);
  if (!removed) return removed.take_error();
  // They stay known, as the reference has it, until somebody asks for them: what the index knows of
  // them is taken over before it goes.
  for (const Key& key : *removed) known_.find(key);
  index_->removed(*removed);
  counters_.evicted += removed->size();
  return static_cast<std::uint64_t>(removed->size());
}

Result<std::uint64_t> ToolCache::Impl::evict() {
  const Bounds bounds{static_cast<std::uint64_t>(config_.max_bytes),
                      static_cast<std::uint64_t>(config_.max_entries),
                      config_.max_age_s * core::kNanosPerSecond};
  if (bounds.max_bytes == 0 && bounds.max_entries == 0 && bounds.max_age_ns == 0) {
    return std::uint64_t{0};
  }
  // Uses are kept with entries that the index has: it must have seen them.
  if (Result<void> refreshed = index_->refresh(); !refreshed) return refreshed.take_error();
  flush_uses();
  const Result<std::vector<Key>> over = index_->over_bounds(bounds);
  if (!over) return over.error();
  Result<std::uint64_t> dropped = drop(*over);
  if (dropped) counters_.evicted += *dropped;
  return dropped;
}

Result<std::uint64_t> ToolCache::Impl::sweep(std::int64_t min_age_ns) {
  if (files_ == nullptr) return std::uint64_t{0};
  Result<std::uint64_t> removed = files_->sweep(min_age_ns);
  if (removed) counters_.swept += *removed;
  return removed;
}

void ToolCache::Impl::flush_uses() {
  std::vector<std::pair<Key, std::int64_t>> uses;
  {
    const std::lock_guard lock(uses_mutex_);
    uses.assign(uses_.begin(), uses_.end());
    uses_.clear();
  }
  if (!uses.empty()) index_->used(uses);
}

void ToolCache::Impl::wake_soon() {
  const std::uint64_t hashed = fingerprints_->counts().hashed;
  if (hashed_seen_.exchange(hashed, std::memory_order_relaxed) == hashed) return;
  const std::lock_guard lock(mutex_);
  if (soon_) return;
  soon_ = true;
  wake_.notify_all();
}

bool ToolCache::Impl::flush(std::int64_t timeout_ns) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::nanoseconds(timeout_ns);
  std::unique_lock lock(mutex_);
  for (;;) {
    const std::uint64_t wanted = ++passes_wanted_;
    wake_.notify_all();
    const bool done = pass_done_.wait_until(
        lock, deadline, [&] { return breaking_off_ || passes_done_ >= wanted; });
    if (!done || breaking_off_) return false;
    if (unsettled_ == 0) {
      lock.unlock();
      return remote_ == nullptr || remote_->flush(deadline);
    }
    if (wake_.wait_until(lock, std::min(deadline, std::chrono::steady_clock::now() + kSoon),
                         [&] { return breaking_off_; })) {
      return false;
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

void ToolCache::Impl::maintain_once() {
  const auto complain = [&](const core::Error& error) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;  // closing broke it off
    }
    std::uint64_t suppressed = 0;
    if (!upkeep_complaint_.due(clock_.monotonic_ns(), &suppressed)) return false;
    log_.write(core::LogLevel::kWarn, "tool_cache.upkeep", error.message);
    return false;
  };
  bool fine = true;
  if (const Result<void> refreshed = index_->refresh(); !refreshed) {
    fine = complain(refreshed.error());
  }
  flush_uses();
  if (const Result<std::uint64_t> evicted = evict(); !evicted) fine = complain(evicted.error());
  if (clock_.monotonic_ns() >= next_sweep_ns_) {
    const std::int64_t age = config_.orphan_age_s * core::kNanosPerSecond;
    const Result<std::uint64_t> swept = sweep(age);
    if (!swept) fine = complain(swept.error());
    next_sweep_ns_ = clock_.monotonic_ns() + std::max(age, 60 * core::kNanosPerSecond);
  }
  if (fine) upkeep_complaint_.clear();
}

void ToolCache::Impl::maintain() {
  const core::LibraryThread mark;
  pthread_setname_np(pthread_self(), "satchel-tools");
  const std::chrono::milliseconds interval(config_.maintenance_interval_ms);
  auto next_pass = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool asked = passes_done_ < passes_wanted_;
    const std::uint64_t serving = passes_wanted_;
    const bool due = asked || std::chrono::steady_clock::now() >= next_pass;
    soon_ = false;
    lock.unlock();
    std::size_t unsettled = 0;
    try {
      if (due) maintain_once();
      unsettled = fingerprints_->settle_pending();
    } catch (const std::exception& failure) {
      // The next pass does it; whoever needs it before that does it himself.
      log_.write(core::LogLevel::kError, "tool_cache.upkeep", failure.what());
    }
    if (due) next_pass = std::chrono::steady_clock::now() + interval;
    lock.lock();
    unsettled_ = unsettled;
    if (asked) passes_done_ = serving;
    pass_done_.notify_all();
    // Fingerprints first wait a moment, in which more of them come.
    if (unsettled > 0) {
      wake_.wait_for(lock, kSoon, [&] { return stopping_ || passes_done_ < passes_wanted_; });
      continue;
    }
    wake_.wait_until(lock, next_pass,
                     [&] { return stopping_ || soon_ || passes_done_ < passes_wanted_; });
    if (soon_ && !stopping_) {
      wake_.wait_for(lock, kSoon, [&] { return stopping_ || passes_done_ < passes_wanted_; });
    }
  }
}

void ToolCache::Impl::break_off() {
  {
    const std::lock_guard lock(mutex_);
    breaking_off_ = true;
    wake_.notify_all();
    pass_done_.notify_all();
  }
  if (leases_ != nullptr) leases_->stop();
  if (index_ != nullptr) index_->cancel();
  if (remote_ != nullptr) remote_->break_off();
}

void ToolCache::Impl::shut_down() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  break_off();
  if (thread_.joinable()) thread_.join();
  if (remote_ != nullptr) remote_->shut_down();
  try {
    if (index_ != nullptr) flush_uses();
  } catch (const std::bad_alloc&) {
    // Some entries count as unused for a little longer than they are.
  }
}

}  // namespace satchel::tool_cache
