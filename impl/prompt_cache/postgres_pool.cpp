#include "prompt_cache/postgres_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <exception>

#include "core/library_thread.hpp"
#include "prompt_cache/retry_pause.hpp"

namespace satchel::prompt_cache {
namespace {

// Then it is opened anew: servers move, and clocks drift.
constexpr auto kLifetime = std::chrono::minutes(10);

}  // namespace

PostgresPool::PostgresPool(std::size_t size, std::chrono::milliseconds wait, Open open)
    : size_(size), wait_(wait), open_one_more_(std::move(open)) {
  idle_.reserve(size_);  // giving back must not fail for want of memory
  const core::SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
}

PostgresPool::~PostgresPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  thread_.join();
}

core::Result<PostgresPool::Lease> PostgresPool::borrow(Steady::time_point until, bool patient) {
  const Steady::time_point busy_until = std::min(until, Steady::now() + wait_);
  std::vector<Connection> old;  // goes after the lock
  std::unique_lock lock(mutex_);
  for (;;) {
    Connection connection = take_idle_locked(old);
    if (connection != nullptr) return Lease(*this, std::move(connection));
    if (away_ && !patient) return last_error_;
    const Steady::time_point limit = open_ > 0 ? busy_until : until;
    if (Steady::now() >= limit) return none_locked();
    ++waiting_;
    work_.notify_one();
    free_.wait_until(lock, limit);
    --waiting_;
  }
}

PostgresPool::Connection PostgresPool::take_idle_locked(std::vector<Connection>& old) {
  while (!idle_.empty()) {
    Connection connection = std::move(idle_.back());
    idle_.pop_back();
    const bool young = Steady::now() - connection->opened_at() < kLifetime;
    if (young && connection->alive()) return connection;
    --open_;
    old.push_back(std::move(connection));
  }
  return nullptr;
}

core::Error PostgresPool::none_locked() const {
  if (open_ == 0) {
    if (away_) return last_error_;
    return {core::Status::kTimeout, "no connection within the time for it"};
  }
  std::string message = "all " + std::to_string(open_) + " connections are in use";
  if (failures_ > 0) message += ", and another cannot be opened: " + last_error_.message;
  return {core::Status::kBusy, message};
}

void PostgresPool::give_back(Connection connection) {
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }
  free_.notify_one();
}

void PostgresPool::dropped(Connection connection) {
  connection.reset();
  {
    const std::lock_guard lock(mutex_);
    --open_;
  }
  work_.notify_one();
}

// --------------------------------------------------------------------------------- the thread

void PostgresPool::run() {
  const core::LibraryThread library_thread;
  pthread_setname_np(pthread_self(), "satchel-pg-open");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Steady::time_point now = Steady::now();
    if (!wants_one_locked()) {
      work_.wait(lock);
    } else if (now < next_attempt_) {
      work_.wait_until(lock, next_attempt_);
    } else {
      open_one(lock);
    }
  }
}

// One is always kept open, so that a server that was away is found again.
bool PostgresPool::wants_one_locked() const {
  return open_ < size_ && (open_ == 0 || waiting_ > idle_.size());
}

void PostgresPool::open_one(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  core::Result<Connection> opened = core::Error{core::Status::kMemory, "out of memory"};
  try {
    opened = open_one_more_();
  } catch (const std::exception& error) {
    opened = core::Error{core::Status::kMemory, error.what()};
  }
  lock.lock();
  if (opened) {
    idle_.push_back(std::move(*opened));
    ++open_;
    away_ = false;
    failures_ = 0;
    free_.notify_one();
    return;
  }
  last_error_ = opened.take_error();
  away_ = open_ == 0;
  next_attempt_ = Steady::now() + retry_pause(failures_++);
  if (away_) free_.notify_all();
}

}  // namespace satchel::prompt_cache
