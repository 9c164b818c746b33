#include "prompt_cache/write_behind_index.hpp"

#include <pthread.h>

#include <array>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "core/library_thread.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr auto kPauseAfterFailure = std::chrono::milliseconds(20);

}  // namespace

WriteBehindIndex::WriteBehindIndex(std::int64_t commit_deadline_ns, std::size_t max_waiting_entries,
                                   core::Clock& clock, core::Log& log)
    : log_(log),
      pending_(max_waiting_entries),
      commit_deadline_(commit_deadline_ns),
      queue_full_(kComponent, clock, log),
      overdue_(kComponent, clock, log) {}

void WriteBehindIndex::start_thread() {
  const core::SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
}

void WriteBehindIndex::stop_thread() {
  {
    const std::lock_guard lock(mutex_);
    stop_at_ = Steady::now() + commit_deadline_;
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool WriteBehindIndex::commit(Commit commit) {
  if (commit.empty()) return true;
  const std::size_t size = commit.writes.size() + (commit.refresh ? 1 : 0);
  if (!pending_.add(std::move(commit))) {
    count(counters_.entries_dropped, size);
    queue_full_.say(name() + " falls behind: " + std::to_string(pending_.waiting()) +
                    " entries are waiting, more are dropped");
    return false;
  }
  wake();
  return true;
}

core::Result<void> WriteBehindIndex::forget() {
  const std::uint64_t order = forget_order_.give();
  wake();
  std::optional<core::Result<void>> result =
      forget_order_.wait(order, Steady::now() + kForgetPatience);
  if (!result) return core::Error{core::Status::kBusy, name() + " is busy: not forgotten yet"};
  return std::move(*result);
}

IndexCounts WriteBehindIndex::counts() {
  const auto value = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  IndexCounts counts;
  counts.lookups = value(counters_.lookups);
  counts.lookup_failures = value(counters_.lookup_failures);
  counts.lookups_turned_away = value(counters_.lookups_turned_away);
  counts.hits = value(counters_.hits);
  counts.entries_written = value(counters_.entries_written);
  counts.entries_refreshed = value(counters_.entries_refreshed);
  counts.entries_dropped = value(counters_.entries_dropped);
  counts.entries_swept = value(counters_.entries_swept);
  counts.entries_waiting = pending_.waiting();
  counts.write_retries = value(counters_.write_retries);
  return counts;
}

void WriteBehindIndex::wake() {
  { const std::lock_guard lock(mutex_); }  // the thread has either not looked yet, or waits
  wake_.notify_one();
}

bool WriteBehindIndex::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void WriteBehindIndex::run() {
  const core::LibraryThread library_thread;
  pthread_setname_np(pthread_self(), "satchel-index");
  bool running = true;
  while (running) {
    try {
      running = run_once();
    } catch (const std::exception& error) {
      // Out of memory: what could not be done is tried again, unless it is too late for that. Here
      // nothing may fail.
      std::array<char, 256> line{};
      std::snprintf(line.data(), line.size(), "%s failed: %s", name().c_str(), error.what());
      log_.write(core::LogLevel::kError, kComponent, line.data());
      std::this_thread::sleep_for(kPauseAfterFailure);
      running = !stopping();
    }
  }
}

bool WriteBehindIndex::run_once() {
  wait_for_work();
  const bool last = stopping();
  drop_overdue();
  forget_if_wanted();
  return round(last);
}

void WriteBehindIndex::wait_for_work() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !forget_order_.wanted()) {
    const Steady::time_point until = next_round();
    if (Steady::now() >= until) return;
    wake_.wait_until(lock, until);
  }
}

void WriteBehindIndex::drop_overdue() {
  const std::size_t dropped = pending_.drop_older_than(Steady::now() - commit_deadline_);
  if (dropped == 0) return;
  count(counters_.entries_dropped, dropped);
  overdue_.say(name() + " dropped " + std::to_string(dropped) +
               " entries: they could not be written in time");
}

void WriteBehindIndex::forget_if_wanted() {
  const std::optional<std::uint64_t> order = forget_order_.wanted();
  if (!order) return;
  pending_.drop_all();
  forget_order_.done(*order, clear());
}

void WriteBehindIndex::pop(std::size_t commits) {
  pending_.pop(commits);
  if (!pending_.any()) queue_full_.over(name() + " has caught up");
}

void WriteBehindIndex::drop_the_rest() {
  const std::size_t left = pending_.drop_all();
  if (left == 0) return;
  count(counters_.entries_dropped, left);
  log_.write(core::LogLevel::kWarn, kComponent,
             name() + " dropped " + std::to_string(left) + " entries when it was closed");
}

}  // namespace satchel::prompt_cache
