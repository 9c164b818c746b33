#include "tool_cache/index_slot.hpp"

#include <utility>

namespace satchel::tool_cache {
namespace {

using core::SqliteFailure;
using core::SqliteTrouble;

constexpr const char* kComponent = "tool_cache.index";
constexpr std::int64_t kRetryNs = 60 * core::kNanosPerSecond;
// Where somebody is merely in the way.
constexpr std::int64_t kBusyRetryNs = core::kNanosPerSecond;

}  // namespace

IndexSlot::IndexSlot(Place place, core::Clock& clock, core::Log& log)
    : place_(std::move(place)),
      files_(place_.directory.empty() ? "/nonexistent" : place_.directory, "tool_cache"),
      clock_(clock),
      log_(log),
      why_(place_.why_memory) {}

std::shared_ptr<IndexDatabase> IndexSlot::get() {
  const std::lock_guard lock(mutex_);
  if (database_ == nullptr) open();
  return database_;
}

std::shared_ptr<IndexDatabase> IndexSlot::get_in_place() {
  const std::lock_guard lock(mutex_);
  if (database_ != nullptr && !database_->in_memory()) {
    const SqliteFailure failure = database_->in_place();
    if (!failure.failed()) return database_;
    if (failure.trouble == SqliteTrouble::kDamaged) damaged_ = database_->identity();
    if (failure.trouble == SqliteTrouble::kBusy || failure.trouble == SqliteTrouble::kRefused) {
      fall_back(failure);
      return database_;
    }
    log_.write(core::LogLevel::kWarn, kComponent,
               "the index " + files_.database() + " is opened again: " + failure.message);
    database_.reset();
  }
  const bool try_again =
      database_ != nullptr && !place_.directory.empty() && clock_.monotonic_ns() >= next_try_ns_;
  if (database_ == nullptr || try_again) open();
  return database_;
}

void IndexSlot::drop(const std::shared_ptr<IndexDatabase>& database, const SqliteFailure& failure) {
  const std::lock_guard lock(mutex_);
  if (database_ != database) return;  // another thread was faster
  if (failure.trouble == SqliteTrouble::kDamaged && !database->in_memory()) {
    damaged_ = database->identity();
  }
  if (failure.trouble == SqliteTrouble::kRefused || failure.trouble == SqliteTrouble::kBusy) {
    fall_back(failure);
  } else {
    why_ = failure.message;
    database_.reset();
  }
}

// With the mutex held. Opens the file, or memory.
void IndexSlot::open() {
  if (place_.directory.empty()) {
    if (database_ == nullptr) database_ = IndexDatabase::open_memory(place_.store).database;
    return;
  }
  IndexDatabase::Opened opened = IndexDatabase::open_file(files_, place_.store, damaged_);
  if (!opened.set_aside.empty()) {
    log_.write(core::LogLevel::kWarn, kComponent,
               files_.database() + " was set aside as .damaged and is made anew from the store: " +
                   opened.set_aside);
  }
  if (opened.database == nullptr) {
    fall_back(opened.failure);
    return;
  }
  database_ = std::move(opened.database);
  damaged_.reset();
  why_.clear();
  if (complaint_.clear()) {
    log_.write(core::LogLevel::kInfo, kComponent,
               "the index " + files_.database() + " is in use again");
  }
}

// With the mutex held. Memory that is in use already is kept.
void IndexSlot::fall_back(const SqliteFailure& failure) {
  const std::int64_t now = clock_.monotonic_ns();
  next_try_ns_ = now + (failure.trouble == SqliteTrouble::kBusy ? kBusyRetryNs : kRetryNs);
  why_ = failure.message;
  if (database_ == nullptr || !database_->in_memory()) {
    database_ = IndexDatabase::open_memory(place_.store).database;
  }
  std::uint64_t suppressed = 0;
  if (!complaint_.due(now, &suppressed)) return;
  log_.write(core::LogLevel::kWarn, kComponent,
             "the index " + files_.database() +
                 " is out of use, one in memory takes its place: " + failure.message);
}

std::string IndexSlot::why() {
  const std::lock_guard lock(mutex_);
  return why_;
}

std::string IndexSlot::describe() {
  const std::lock_guard lock(mutex_);
  if (database_ != nullptr && !database_->in_memory()) return "sqlite " + files_.database();
  return "memory, because " + (why_.empty() ? "it is not open yet" : why_);
}

}  // namespace satchel::tool_cache
