// What the handles of the tool cache stand for.
//
// Leases and writers belong to the cache, which ends them when it is closed, while the engine still
// works; their handles know the seat. So nothing that is freed later touches an engine that is
// gone.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "boundary.hpp"
#include "host.hpp"
#include "tool_cache/tool_cache.hpp"

namespace satchel::abi {

// What a cache owns on behalf of handles.
template <class T>
class Guests {
 public:
  using Seat = typename std::list<std::unique_ptr<T>>::iterator;

  Seat add(std::unique_ptr<T> guest) {
    const std::lock_guard lock(mutex_);
    return seats_.insert(seats_.end(), std::move(guest));
  }
  // The guest itself ends outside the lock: that may take a while, and may log.
  void remove(Seat seat) {
    std::list<std::unique_ptr<T>> leaving;
    const std::lock_guard lock(mutex_);
    leaving.splice(leaving.end(), seats_, seat);
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    seats_.clear();
  }

 private:
  std::mutex mutex_;
  std::list<std::unique_ptr<T>> seats_;
};

struct OpenToolCache {
  OpenToolCache() = default;
  OpenToolCache(const OpenToolCache&) = delete;
  OpenToolCache& operator=(const OpenToolCache&) = delete;
  ~OpenToolCache() {
    writers.clear();
    leases.clear();
    if (engine) engine->shut_down();
  }

  std::shared_ptr<Context> context;  // its clock and log serve the engine until it is gone
  std::unique_ptr<tool_cache::ToolCache> engine;
  Guests<tool_cache::ComputeLease> leases;
  Guests<tool_cache::PayloadWriter> writers;
};

// Pins the cache for a call. Its callbacks run while the engine holds locks, so that they may not
// come back in: kBusy.
inline core::Result<core::Status> pin_tool_cache(Pin& pin, const void* cache) {
  const core::Status status = pin.acquire_outermost(cache, HandleType::kToolCache);
  if (status == core::Status::kOk) return status;
  if (status == core::Status::kBusy) {
    return core::Error{status, "a callback may not use the satchel_tool_cache that it runs for", 0,
                       0};
  }
  return handle_error(status, cache, HandleType::kToolCache);
}

// Runs `use(engine)` with the cache pinned.
template <class Use>
satchel_status with_tool_cache(satchel_tool_cache* cache, satchel_error* error, Use use) {
  return guarded(error, [&]() -> core::Result<core::Status> {
    Pin pin;
    if (core::Result<core::Status> pinned = pin_tool_cache(pin, cache); !pinned) {
      return pinned.take_error();
    }
    return use(*pin.object<OpenToolCache>().engine);
  });
}

// A number that the caller may not want, and a text.
inline core::Result<core::Status> give(const core::Result<std::uint64_t>& number, uint64_t* out) {
  if (!number) return number.error();
  if (out != nullptr) *out = *number;
  return core::Status::kOk;
}
inline core::Result<core::Status> give(core::Result<std::string> text, satchel_buffer* out) {
  if (!text) return text.take_error();
  fill_buffer(out, std::move(*text));
  return core::Status::kOk;
}

// A handle on what its cache owns: gives the seat back, unless the cache is closed and has emptied
// it.
template <class T>
class Seated {
 public:
  using List = Guests<T> OpenToolCache::*;

  // `cache` is pinned by the caller.
  Seated(const void* handle, OpenToolCache& cache, List list, std::unique_ptr<T> guest)
      : cache_(handle), list_(list), seat_((cache.*list).add(std::move(guest))) {}
  Seated(const Seated&) = delete;
  Seated& operator=(const Seated&) = delete;
  ~Seated() {
    Pin pin;
    if (pin.acquire(cache_, HandleType::kToolCache) != core::Status::kOk) return;
    (pin.object<OpenToolCache>().*list_).remove(seat_);
  }

  [[nodiscard]] const void* cache() const { return cache_; }
  // Only while the cache is pinned.
  T& operator*() const { return **seat_; }

 private:
  const void* const cache_;
  const List list_;
  const typename Guests<T>::Seat seat_;
};

struct OpenLease {
  OpenLease(const void* handle, OpenToolCache& cache,
            std::unique_ptr<tool_cache::ComputeLease> lease)
      : seated(handle, cache, &OpenToolCache::leases, std::move(lease)) {}

  [[nodiscard]] const void* cache() const { return seated.cache(); }

  Seated<tool_cache::ComputeLease> seated;
  bool has_writer = false;  // a second one would write into the first one's payload
};

// Runs `use(lease)` with the lease and its cache pinned, one thread at a time.
template <class Use>
core::Result<core::Status> with_lease(const void* handle, Use use) {
  Pin pin;
  const core::Status pinned = pin.acquire(handle, HandleType::kToolLease);
  if (pinned != core::Status::kOk) return handle_error(pinned, handle, HandleType::kToolLease);
  auto& exclusive = pin.object<Exclusive<OpenLease>>();
  const Turn turn(exclusive.busy);
  if (!turn.mine()) return busy_error(HandleType::kToolLease);
  Pin cache;
  if (core::Result<core::Status> open = pin_tool_cache(cache, exclusive.value.cache()); !open) {
    return open.take_error();
  }
  return use(exclusive.value);
}

// Frees a lease or a writer. Not from a callback of its cache: what it ends may need locks that are
// held there.
template <class Open, class Handle>
satchel_status free_seated(Handle** handle, HandleType type) noexcept {
  if (handle == nullptr || *handle == nullptr) return SATCHEL_OK;
  const void* cache = nullptr;
  {
    Pin pin;
    if (pin.acquire(*handle, type) == core::Status::kOk) {
      cache = pin.object<Exclusive<Open>>().value.cache();
    }
  }
  Pin pin;
  if (pin.acquire_outermost(cache, HandleType::kToolCache) == core::Status::kBusy) {
    return SATCHEL_ERR_BUSY;
  }
  return close_and_forget(handle, type);
}

inline core::Status answer_kept(satchel_error* error, tool_cache::Kept kept) {
  if (kept.stored) return core::Status::kOk;
  return answer(error, core::Status::kNotStored, std::move(kept.why_not));
}

// A result as a handle of its own, which outlives the cache.
satchel_tool_result* open_result(tool_cache::Stored stored);

}  // namespace satchel::abi
