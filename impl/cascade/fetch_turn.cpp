#include "cascade/fetch_turn.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "cascade/disk_files.hpp"
#include "core/clock.hpp"

namespace satchel::cascade {
namespace {

// How often a waiting process looks whether the lock is free: soon at first, for most answers come
// within a tenth of a second.
constexpr std::int64_t kFirstPause = 2 * core::kNanosPerMilli;
constexpr std::int64_t kLongestPause = 20 * core::kNanosPerMilli;

std::int64_t monotonic_ns() { return core::system_clock().monotonic_ns(); }

}  // namespace

FetchTurns::FetchTurns(std::string directory, core::Log& log)
    : directory_(std::move(directory)), log_(log), unlocked_(60 * core::kNanosPerSecond) {}

FetchTurns::Turn::~Turn() {
  if (!held_) return;
  // A child that was forked meanwhile may hold a copy of the descriptor, and with it the lock.
  if (locked_) core::lock_range(file_.get(), core::LockKind::kNone, 0, 1);
  closed_in_child_.reset();
  {
    const std::lock_guard lock(turns_.mutex_);
    turns_.taken_ = false;
  }
  turns_.changed_.notify_all();
}

std::unique_ptr<FetchTurns::Turn> FetchTurns::wait(std::int64_t deadline_ns) {
  auto turn = std::make_unique<Turn>(*this);  // first: what is taken must be given back
  turn->held_ = take_here(deadline_ns);
  if (!turn->held_) return nullptr;
  if (directory_.empty() || take_machine(*turn, deadline_ns)) return turn;
  return nullptr;
}

void FetchTurns::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

bool FetchTurns::take_here(std::int64_t deadline_ns) {
  std::unique_lock lock(mutex_);
  const auto left =
      std::chrono::nanoseconds(std::max<std::int64_t>(deadline_ns - monotonic_ns(), 0));
  changed_.wait_for(lock, left, [&] { return !taken_ || stopped_; });
  if (taken_ || stopped_) return false;
  taken_ = true;
  return true;
}

bool FetchTurns::take_machine(Turn& turn, std::int64_t deadline_ns) {
  const std::string path = directory_ + "/satchel-fetch.lock";
  core::Result<void> made = make_cache_directory(directory_);
  core::Result<core::UniqueFd> file =
      made ? core::open_private_file(path) : core::Result<core::UniqueFd>(made.take_error());
  int refused = 0;
  if (file) {
    turn.file_ = std::move(*file);
    turn.closed_in_child_.emplace(turn.file_.get());
    for (std::int64_t pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
      refused = core::lock_range(turn.file_.get(), core::LockKind::kExclusive, 0, 1);
      turn.locked_ = refused == 0;
      if (turn.locked_) return true;
      if (refused != EAGAIN) break;
      const std::int64_t left = deadline_ns - monotonic_ns();
      if (left <= 0) return false;
      std::unique_lock lock(mutex_);
      const auto stopped = [&] { return stopped_; };
      if (changed_.wait_for(lock, std::chrono::nanoseconds(std::min(pause, left)), stopped)) {
        return false;
      }
    }
  }
  std::uint64_t suppressed = 0;
  if (unlocked_.due(monotonic_ns(), &suppressed)) {
    const core::Error why = file ? core::io_error("cannot lock " + path, refused) : file.error();
    log_.write(core::LogLevel::kWarn, "cascade.fetch",
               why.message + "; other processes may ask the endpoint at the same time");
  }
  return true;
}

}  // namespace satchel::cascade
