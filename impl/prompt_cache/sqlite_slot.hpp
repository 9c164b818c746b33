// The opened store of an index, or the reason why there is none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "core/complaint.hpp"
#include "core/log.hpp"
#include "prompt_cache/sqlite_store.hpp"

namespace satchel::prompt_cache {

// All calls from any thread, but open() and complain() from one.
class SqliteSlot {
 public:
  using Steady = std::chrono::steady_clock;

  SqliteSlot(const std::string& directory, std::uint64_t max_bytes, std::size_t readers,
             std::int64_t retry_interval_ns, core::Clock& clock, core::Log& log);

  std::shared_ptr<SqliteStore> get();
  // For lookups: nothing where the store's files are gone, which is looked at now and then.
  std::shared_ptr<SqliteStore> get_in_place();
  [[nodiscard]] std::string why_empty();

  // The store turned out wrong: nobody gets it again, those who have it finish.
  void empty(const std::shared_ptr<SqliteStore>& store, const core::SqliteFailure& failure);

  // Tries to fill the slot, and says what became of it.
  void open();
  // Says why the slot is empty, if that is new: at once, when open() is not due yet.
  void complain();
  [[nodiscard]] Steady::time_point next_open() const { return next_open_; }

  [[nodiscard]] const core::SqliteFiles& files() const { return files_; }

 private:
  const core::SqliteFiles files_;
  const std::uint64_t max_bytes_;
  const std::size_t readers_;
  const std::chrono::nanoseconds retry_interval_;
  core::Log& log_;
  core::Complaint complaint_;
  Steady::time_point next_open_;
  std::atomic<std::int64_t> last_look_ns_{0};

  std::mutex mutex_;
  std::shared_ptr<SqliteStore> store_;
  std::string why_empty_;
  bool unsaid_ = false;
  std::optional<core::FileIdentity> damaged_;
};

}  // namespace satchel::prompt_cache
