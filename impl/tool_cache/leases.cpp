#include "tool_cache/leases.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "tool_cache/lease_records.hpp"

namespace satchel::tool_cache {
namespace {

using std::chrono::nanoseconds;
using Steady = std::chrono::steady_clock;

constexpr std::string_view kComponent = "tool_cache.leases";
// Another process is asked at these intervals.
constexpr nanoseconds kFirstPoll = std::chrono::milliseconds(1);
constexpr nanoseconds kLongestPoll = std::chrono::milliseconds(20);
// The host's clock may reach a deadline in less time than it takes.
constexpr nanoseconds kLongestWait = std::chrono::milliseconds(100);
constexpr std::int64_t kLongestLease = std::numeric_limits<std::int64_t>::max() / 4;

}  // namespace

// A lease of this cache, or one that it is about to ask for.
struct Leases::Local {
  enum class Fate : std::uint8_t { kAsking, kHeld, kRefused, kOver };

  std::int64_t deadline_ns = 0;
  Fate fate = Fate::kAsking;
  std::optional<LeaseRecords::Taken> taken;  // its holder's alone
  std::condition_variable changed;           // its fate
};

struct Leases::State {
  State(const std::string& root, core::Clock& given_clock, core::Log& given_log)
      : clock(given_clock), log(given_log), process(::getpid()) {
    if (!root.empty()) records = std::make_unique<LeaseRecords>(root);
  }

  [[nodiscard]] bool forked() const { return ::getpid() != process; }
  // Ends it, if it is still the one that counts for its key.
  void end(const Key& key, const std::shared_ptr<Local>& local, Local::Fate fate);
  bool is_free_elsewhere(const Key& key);
  void complain(const core::Error& error);

  core::Clock& clock;
  core::Log& log;
  const int process;
  std::unique_ptr<LeaseRecords> records;
  std::atomic<bool> complained{false};

  std::mutex mutex;
  std::unordered_map<Key, std::shared_ptr<Local>, KeyHash> by_key;
  std::condition_variable stopped;
  bool stopping = false;
};

void Leases::State::end(const Key& key, const std::shared_ptr<Local>& local, Local::Fate fate) {
  const std::lock_guard guard(mutex);
  const auto found = by_key.find(key);
  if (found != by_key.end() && found->second == local) by_key.erase(found);
  local->fate = fate;
  local->changed.notify_all();
}

bool Leases::State::is_free_elsewhere(const Key& key) {
  if (records == nullptr) return true;
  core::Result<bool> free = records->is_free(key);
  return !free.ok() || *free;
}

void Leases::State::complain(const core::Error& error) {
  if (complained.exchange(true)) return;
  log.write(core::LogLevel::kWarn, kComponent,
            "leases hold within this process only: " + error.message);
}

Leases::Leases(const std::string& root, core::Clock& clock, core::Log& log)
    : state_(std::make_shared<State>(root, clock, log)) {}

Leases::~Leases() { stop(); }

void Leases::stop() {
  if (state_->forked()) return;
  const std::lock_guard guard(state_->mutex);
  state_->stopping = true;
  state_->stopped.notify_all();
  for (const auto& [key, local] : state_->by_key) local->changed.notify_all();
}

core::Result<std::optional<Leases::Held>> Leases::acquire(const Key& key, std::int64_t lease_ns) {
  if (state_->forked()) return core::Error{core::Status::kForked, "leases from before a fork"};
  lease_ns = std::clamp<std::int64_t>(lease_ns, 0, kLongestLease);
  const auto local = std::make_shared<Local>();
  {
    const std::lock_guard guard(state_->mutex);
    const std::int64_t now = state_->clock.monotonic_ns();
    local->deadline_ns = now + lease_ns;
    std::shared_ptr<Local>& current = state_->by_key[key];
    if (current != nullptr) {
      if (current->deadline_ns > now) return std::optional<Held>();
      current->fate = Local::Fate::kOver;
      current->changed.notify_all();
    }
    current = local;
  }
  Held held(state_, key, local);  // from here on whatever throws gives it back
  bool mine = true;
  if (state_->records != nullptr) {
    core::Result<std::optional<LeaseRecords::Taken>> taken = state_->records->take(key, lease_ns);
    if (!taken.ok()) state_->complain(taken.error());
    mine = !taken.ok() || taken->has_value();
    if (taken.ok()) local->taken = std::move(*taken);
  }
  if (!mine) {
    held.local_ = nullptr;
    state_->end(key, local, Local::Fate::kRefused);
    return std::optional<Held>();
  }
  {
    const std::lock_guard guard(state_->mutex);
    if (local->fate == Local::Fate::kAsking) local->fate = Local::Fate::kHeld;
  }
  return std::optional<Held>(std::move(held));
}

bool Leases::wait(const Key& key, std::int64_t timeout_ns) {
  if (state_->forked()) return false;
  const auto end =
      Steady::now() + nanoseconds(std::clamp<std::int64_t>(timeout_ns, 0, kLongestLease));
  nanoseconds poll = kFirstPoll;
  std::unique_lock lock(state_->mutex);
  for (;;) {
    const nanoseconds left = end - Steady::now();
    if (state_->stopping || left <= nanoseconds(0)) return false;
    const auto found = state_->by_key.find(key);
    if (found != state_->by_key.end()) {
      const std::shared_ptr<Local> local = found->second;
      const std::int64_t held_ns = local->deadline_ns - state_->clock.monotonic_ns();
      if (local->fate != Local::Fate::kAsking && held_ns <= 0) return true;
      // One that is about to be asked for is soon held or refused.
      local->changed.wait_for(
          lock, std::min({left, kLongestWait, std::max(nanoseconds(held_ns), kFirstPoll)}));
      if (local->fate == Local::Fate::kOver) return true;
      continue;
    }
    lock.unlock();
    const bool free = state_->is_free_elsewhere(key);
    lock.lock();
    if (free) return true;
    state_->stopped.wait_for(lock, std::min(left, poll));
    poll = std::min(poll * 2, kLongestPoll);
  }
}

Leases::Held::Held(std::shared_ptr<State> state, const Key& key, std::shared_ptr<Local> local)
    : state_(std::move(state)), key_(key), local_(std::move(local)) {}

Leases::Held& Leases::Held::operator=(Held&& other) noexcept {
  if (this == &other) return *this;
  release();
  state_ = std::move(other.state_);
  key_ = other.key_;
  local_ = std::move(other.local_);
  return *this;
}

bool Leases::Held::still_mine() const {
  if (local_ == nullptr || state_->forked()) return false;
  {
    const std::lock_guard guard(state_->mutex);
    if (local_->fate != Local::Fate::kHeld) return false;
  }
  if (!local_->taken) return true;
  const core::Result<bool> mine = state_->records->still_has(key_, *local_->taken);
  return mine.ok() && *mine;
}

std::int64_t Leases::Held::deadline_ns() const { return local_ ? local_->deadline_ns : 0; }

void Leases::Held::release() {
  if (local_ == nullptr) return;
  const std::shared_ptr<Local> local = std::exchange(local_, nullptr);
  const std::shared_ptr<State> state = std::exchange(state_, nullptr);
  // In a forked child it is its parent's.
  if (state->forked()) return;
  if (local->taken) state->records->release(key_, *local->taken);
  state->end(key_, local, Local::Fate::kOver);
}

}  // namespace satchel::tool_cache
