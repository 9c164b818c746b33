#include "tool_cache/remote.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "core/file.hpp"
#include "core/library_thread.hpp"
#include "tool_cache/remote_entry.hpp"

namespace satchel::tool_cache {

using core::Error;
using core::Result;
using core::Status;

namespace {

constexpr std::size_t kMostSends = 1'024;
constexpr std::size_t kMostInvalidations = 65'536;
// Of an invalidation that waits for the remote to come back.
constexpr std::chrono::milliseconds kLookAgain{50};
constexpr std::chrono::seconds kFarewell{2};

// The remote did its work; this one entry is at fault.
bool answered(Status status) {
  return status == Status::kIntegrity || status == Status::kNotStored;
}

}  // namespace

Remote::Remote(std::unique_ptr<RemoteStore> store, std::int64_t max_payload_bytes, Local local,
               Counters& counters, core::Clock& clock, core::Log& log)
    : store_(std::move(store)),
      max_payload_bytes_(static_cast<std::uint64_t>(max_payload_bytes)),
      local_(std::move(local)),
      counters_(counters),
      health_(store_->name(), clock, log),
      refused_("tool_cache.remote", clock, log),
      unwanted_("tool_cache.remote", clock, log),
      unread_("tool_cache.remote", clock, log) {}

Result<void> Remote::start() {
  try {
    const core::SignalsBlocked blocked;
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& refused) {
    return core::io_error("cannot start a thread", refused.code().value());
  }
  return {};
}

std::optional<Remote::Fetched> Remote::fetch(const Key& key) {
  Fetched fetched;
  fetched.generation = generation_;
  if (invalidating_ != 0 || !health_.may_ask()) {
    ++counters_.remote_unasked;
    if (lost_invalidations_) {
      unread_.say("invalidations for the " + store_->name() +
                  " were lost: nothing is read from it until the cache is opened again");
    }
    return std::nullopt;
  }
  Result<std::optional<RemoteEntry>> entry = ask(key);
  if (!entry && entry.error().status == Status::kBusy) {
    // All our connections are in use: that says nothing about the remote.
    ++counters_.remote_unasked;
    health_.not_asked();
    return std::nullopt;
  }
  if (!entry && !answered(entry.error().status)) {
    ++counters_.remote_errors;
    health_.failed(entry.error());
    return std::nullopt;
  }
  health_.answered();
  if (!entry) {
    ++counters_.remote_refused;
    refused_.say("an entry of the " + store_->name() + " is refused: " + key.hex() + ": " +
                 entry.error().message);
    return std::nullopt;
  }
  if (!*entry) {
    ++counters_.remote_misses;
    return std::nullopt;
  }
  if ((*entry)->payload.size() > max_payload_bytes_) {
    ++counters_.remote_refused;
    return std::nullopt;
  }
  fetched.entry = std::move(**entry);
  return fetched;
}

Result<std::optional<RemoteEntry>> Remote::ask(const Key& key) {
  try {
    return store_->fetch(key);
  } catch (const std::bad_alloc&) {
    health_.not_asked();
    throw;
  }
}

bool Remote::admit(const Fetched& fetched, const std::function<void()>& use) {
  const std::shared_lock lock(admission_);
  if (generation_ != fetched.generation) return false;
  use();
  return true;
}

Remote::Invalidation::Invalidation(Remote* remote) : remote_(remote) {
  if (remote_ == nullptr) return;
  const std::unique_lock lock(remote_->admission_);
  ++remote_->generation_;
  ++remote_->invalidating_;
}

Remote::Invalidation::~Invalidation() {
  if (remote_ == nullptr) return;
  std::size_t added = 0;
  try {
    for (; added < removed_.size(); ++added) remote_->add({What::kRemove, removed_[added]});
    for (const Key& key : upstreams_) {
      remote_->add({What::kRemoveDependents, key});
      ++added;
    }
  } catch (const std::bad_alloc&) {
    const std::lock_guard lock(remote_->mutex_);
    remote_->lose_invalidations(removed_.size() + upstreams_.size() - added);
  }
  --remote_->invalidating_;
}

void Remote::Invalidation::removed(std::span<const Key> keys) {
  if (remote_ != nullptr) removed_.insert(removed_.end(), keys.begin(), keys.end());
}

void Remote::Invalidation::dependents_of(std::span<const Key> keys) {
  if (remote_ != nullptr) upstreams_.insert(upstreams_.end(), keys.begin(), keys.end());
}

void Remote::stored(const Key& key) {
  if (health_.away()) {
    ++counters_.remote_dropped;
    return;
  }
  add({What::kSend, key});
}

void Remote::add(Job job) {
  const bool invalidation = job.what != What::kSend;
  const std::lock_guard lock(mutex_);
  const std::size_t same = invalidation ? invalidations_ : jobs_.size() - invalidations_;
  if (stopping_ || same >= (invalidation ? kMostInvalidations : kMostSends)) {
    if (invalidation && !stopping_) return lose_invalidations(1);
    ++counters_.remote_dropped;
    return;
  }
  jobs_.push_back(job);
  if (invalidation) {
    ++invalidations_;
    ++invalidating_;
  }
  wake_.notify_one();
}

// With mutex_. As if one were on its way for ever: what they were to remove would be read again.
void Remote::lose_invalidations(std::size_t count) {
  counters_.remote_dropped += count;
  if (!lost_invalidations_.exchange(true)) ++invalidating_;
}

void Remote::work() {
  const core::LibraryThread mark;
  pthread_setname_np(pthread_self(), "satchel-remote");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return forget_jobs();
    const Job job = jobs_.front();
    lock.unlock();
    bool finished = false;
    try {
      finished = done(job);
    } catch (const std::exception&) {  // no memory, as a rule
      health_.not_asked();
      finished = job.what == What::kSend;
      if (finished) ++counters_.remote_dropped;
    }
    lock.lock();
    if (finished) {
      jobs_.pop_front();
      if (job.what != What::kSend) {
        --invalidations_;
        --invalidating_;
      }
    }
    idle_.notify_all();
    if (!finished) wake_.wait_for(lock, kLookAgain, [&] { return stopping_; });
  }
}

// With mutex_.
void Remote::forget_jobs() {
  counters_.remote_dropped += jobs_.size();
  invalidating_ -= invalidations_;
  invalidations_ = 0;
  jobs_.clear();
  idle_.notify_all();
}

bool Remote::done(const Job& job) {
  if (job.what != What::kSend) return remove(job);
  send(job.key);
  return true;
}

void Remote::send(const Key& key) {
  const Result<Stored> stored = local_.load(key);
  // Gone again, or damaged, or not to be read just now: no matter of the remote's.
  if (!stored || stored->meta == nullptr) return;
  Meta meta = *stored->meta;
  meta.encoding = Encoding::kPlain;
  if (meta.bytes > max_payload_bytes_) return not_shared("it is longer than max_payload_bytes");
  if (const std::optional<std::string> why = why_not_shared(meta)) return not_shared(*why);
  const Result<std::string_view> payload = stored->payload->view();
  if (!payload) return;
  if (!health_.may_ask()) {
    ++counters_.remote_dropped;
    return;
  }
  const Result<void> sent = store_->send(key, *payload, meta);
  take(sent ? nullptr : &sent.error());
  if (sent) {
    ++counters_.remote_stored;
  } else if (sent.error().status == Status::kNotStored) {
    not_shared(sent.error().message);
  } else {
    ++counters_.remote_dropped;
  }
}

void Remote::not_shared(const std::string& why) {
  ++counters_.remote_dropped;
  unwanted_.say("a result is not shared with the " + store_->name() + ": " + why);
}

bool Remote::remove(const Job& job) {
  if (!health_.may_ask()) return false;
  if (job.what == What::kRemove) {
    const Result<void> removed = store_->remove(job.key);
    take(removed ? nullptr : &removed.error());
    return removed.ok();
  }
  const Result<std::vector<Key>> removed = store_->remove_dependents(job.key);
  take(removed ? nullptr : &removed.error());
  if (removed) local_.drop(*removed);
  return removed.ok();
}

void Remote::take(const Error* error) {
  if (error == nullptr || answered(error->status)) return health_.answered();
  ++counters_.remote_errors;
  health_.failed(*error);
}

bool Remote::flush(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  idle_.wait_until(lock, until, [&] { return breaking_off_ || stopping_ || jobs_.empty(); });
  return jobs_.empty();
}

void Remote::break_off() {
  const std::lock_guard lock(mutex_);
  breaking_off_ = true;
  idle_.notify_all();
}

void Remote::shut_down() {
  {
    std::unique_lock lock(mutex_);
    if (stopping_) return;
    idle_.wait_for(lock, kFarewell, [&] { return jobs_.empty() || health_.away(); });
    stopping_ = true;
    wake_.notify_all();
  }
  store_->stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace satchel::tool_cache
