#include "cascade/waiting.hpp"

#include <pthread.h>

#include <exception>
#include <system_error>
#include <utility>

#include "core/library_thread.hpp"

namespace satchel::cascade {
namespace {

constexpr std::size_t kMostWaiting = 1024;

}  // namespace

bool Waiting::add(Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= kMostWaiting) return false;
    start();
    waiting_.push_back(std::move(done));
  }
  wake_.notify_one();
  return true;
}

bool Waiting::refresh() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return true;
    try {
      start();
    } catch (const std::system_error&) {
      return false;
    }
    refresh_ = true;
  }
  wake_.notify_one();
  return true;
}

void Waiting::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  for (const Done& done : std::exchange(waiting_, {})) done(std::nullopt);
}

void Waiting::start() {
  if (thread_.joinable()) return;
  const core::SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "satchel-usage");
}

std::optional<Usage> Waiting::resolved() const {
  try {
    return resolve_();
  } catch (const std::exception&) {  // no memory, as a rule
    Usage none;
    none.error = UsageError::kIoError;
    return none;
  }
}

void Waiting::run() {
  const core::LibraryThread here;
  for (;;) {
    std::vector<Done> together;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || refresh_ || !waiting_.empty(); });
      if (stopping_) return;
      refresh_ = false;
      together.swap(waiting_);
    }
    std::optional<Usage> usage = resolved();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) usage.reset();  // broken off
    }
    for (const Done& done : together) done(usage);
  }
}

}  // namespace satchel::cascade
