#include "prompt_cache/sqlite_slot.hpp"

#include <utility>

namespace satchel::prompt_cache {
namespace {

constexpr const char* kComponent = "prompt_cache.index";
// To look is three calls of lstat, more than a lookup costs.
constexpr std::int64_t kLookIntervalNs = 5 * core::kNanosPerMilli;

std::int64_t steady_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

SqliteSlot::SqliteSlot(const std::string& directory, std::uint64_t max_bytes, std::size_t readers,
                       std::int64_t retry_interval_ns, core::Clock& clock, core::Log& log)
    : files_(directory, "prompt_cache"),
      max_bytes_(max_bytes),
      readers_(readers),
      retry_interval_(retry_interval_ns),
      log_(log),
      complaint_(kComponent, clock, log) {}

std::shared_ptr<SqliteStore> SqliteSlot::get() {
  const std::lock_guard lock(mutex_);
  return store_;
}

std::shared_ptr<SqliteStore> SqliteSlot::get_in_place() {
  std::shared_ptr<SqliteStore> store = get();
  if (store == nullptr) return nullptr;
  const std::int64_t now = steady_ns();
  std::int64_t last = last_look_ns_.load(std::memory_order_relaxed);
  if (now - last < kLookIntervalNs) return store;
  if (!last_look_ns_.compare_exchange_strong(last, now)) return store;
  const core::SqliteFailure failure = store->in_place();
  if (!failure.failed()) return store;
  empty(store, failure);
  return nullptr;
}

std::string SqliteSlot::why_empty() {
  const std::lock_guard lock(mutex_);
  return why_empty_;
}

void SqliteSlot::empty(const std::shared_ptr<SqliteStore>& store,
                       const core::SqliteFailure& failure) {
  const std::lock_guard lock(mutex_);
  if (store_ != store) return;  // another thread was faster
  store_.reset();
  why_empty_ = failure.message;
  unsaid_ = true;
  if (failure.trouble == core::SqliteTrouble::kDamaged) damaged_ = store->database();
}

// Said by the thread that fills the slot, so that the end of a complaint comes after it, and that
// no request runs the host's log.
void SqliteSlot::complain() {
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(unsaid_, false)) return;
    why = why_empty_;
  }
  complaint_.say("the index in " + files_.directory() + " is out of use: " + why +
                 "; requests go on uncached");
}

void SqliteSlot::open() {
  complain();
  std::optional<core::FileIdentity> damaged;
  {
    const std::lock_guard lock(mutex_);
    damaged = damaged_;
  }
  SqliteStore::Opened opened = SqliteStore::open(files_, max_bytes_, readers_, damaged);
  next_open_ = Steady::now() + retry_interval_;
  {
    const std::lock_guard lock(mutex_);
    store_ = opened.store;
    why_empty_ = opened.failure.message;
    if (store_ != nullptr) damaged_.reset();
  }
  if (!opened.set_aside.empty()) {
    log_.write(core::LogLevel::kWarn, kComponent,
               files_.database() + " was set aside as .damaged: " + opened.set_aside);
  }
  if (opened.failure.failed()) {
    complaint_.say("the index in " + files_.directory() +
                   " cannot be opened: " + opened.failure.message + "; requests go on uncached");
  } else {
    complaint_.over("the index in " + files_.directory() + " is in use again");
  }
}

}  // namespace satchel::prompt_cache
