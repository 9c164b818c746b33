#include "prompt_cache/classification_pool.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

#include "core/library_thread.hpp"

namespace satchel::prompt_cache {

using End = Classification::End;

void ClassificationPool::add(const std::shared_ptr<Classification>& classification,
                             Classifier& classifier) {
  bool queued = false;
  try {
    queued = enqueue(classification, classifier);
  } catch (const std::exception&) {
    // Neither memory nor a thread: as if there were no room.
  }
  if (!queued) classification->end(End::kQueueFull);
}

bool ClassificationPool::enqueue(const std::shared_ptr<Classification>& classification,
                                 Classifier& classifier) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return false;
  if (waiting_.size() >= most_waiting_) {
    waiting_.remove_if([](const auto& other) { return other->ended(); });
    if (waiting_.size() >= most_waiting_) return false;
  }
  start_threads(classifier);
  const bool nobody_watched = !next_deadline();
  waiting_.push_back(classification);
  work_.notify_one();
  // Otherwise it sleeps until an earlier deadline than this one.
  if (nobody_watched) watch_.notify_one();
  return true;
}

// Throws only where there is no thread at all.
void ClassificationPool::start_threads(Classifier& classifier) {
  if (idle_ > waiting_.size() || threads_.size() == most_threads_) return;
  const core::SignalsBlocked blocked;
  if (!watcher_.joinable()) {
    threads_.reserve(most_threads_);
    watcher_ = std::thread([this] { watch(); });
    pthread_setname_np(watcher_.native_handle(), "satchel-late");
  }
  try {
    threads_.emplace_back([this, &classifier] { classify(classifier); });
    pthread_setname_np(threads_.back().native_handle(), "satchel-class");
    ++idle_;
  } catch (const std::exception&) {
    if (threads_.empty()) throw;
  }
}

void ClassificationPool::classify(Classifier& classifier) {
  const core::LibraryThread here;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    --idle_;
    running_.splice(running_.end(), waiting_, waiting_.begin());
    const auto mine = std::prev(running_.end());
    Classification& classification = **mine;
    const bool stopping = stopping_;
    lock.unlock();
    if (stopping) {
      classification.end(End::kClosed);
    } else if (!classification.ended()) {
      classification.run(classifier);
    }
    lock.lock();
    std::list<std::shared_ptr<Classification>> over;
    over.splice(over.end(), running_, mine);
    ++idle_;
    lock.unlock();
    over.clear();  // possibly the last who knows it
    lock.lock();
  }
}

// Those that have ended before their deadline need nobody to watch them.
std::optional<ClassificationPool::Clock::time_point> ClassificationPool::next_deadline() const {
  for (const auto* list : {&running_, &waiting_}) {
    for (const auto& classification : *list) {
      if (!classification->ended()) return classification->deadline();
    }
  }
  return std::nullopt;
}

// One at a time, so that this needs no memory: it must not fail.
std::shared_ptr<Classification> ClassificationPool::take_late() {
  const Clock::time_point now = Clock::now();
  for (const auto& running : running_) {
    if (running->deadline() <= now && !running->ended()) return running;
  }
  if (waiting_.empty() || waiting_.front()->deadline() > now) return nullptr;
  std::shared_ptr<Classification> late = std::move(waiting_.front());
  waiting_.pop_front();
  return late;
}

void ClassificationPool::watch() {
  const core::LibraryThread here;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (std::shared_ptr<Classification> late = take_late()) {
      lock.unlock();
      late->end(End::kDeadline);
      late.reset();
      lock.lock();
    } else if (const std::optional<Clock::time_point> next = next_deadline()) {
      watch_.wait_until(lock, *next);
    } else {
      watch_.wait(lock);
    }
  }
}

void ClassificationPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& running : running_) running->hurry();
  }
  work_.notify_all();
  watch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace satchel::prompt_cache
