// The index's database as it is now: the file beside the store, or memory while that is out of use.
// There is always one.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "tool_cache/index_database.hpp"

namespace satchel::tool_cache {

// Any thread.
class IndexSlot {
 public:
  struct Place {
    std::string directory;   // empty: memory, because of
    std::string why_memory;  // this
    std::string store;       // identity of the store
  };
  IndexSlot(Place place, core::Clock& clock, core::Log& log);

  // As it is, for what may be missing.
  std::shared_ptr<IndexDatabase> get();
  // For what must be right: still in place; the file again, where memory took its place and it is
  // time to try. nullptr, with the reason in why(), where there is not even memory.
  std::shared_ptr<IndexDatabase> get_in_place();

  // It turned out wrong: nobody gets it again, those who have it finish. The next get_in_place()
  // opens another.
  void drop(const std::shared_ptr<IndexDatabase>& database, const core::SqliteFailure& failure);

  // A database in memory for one call, without touching the slot.
  std::shared_ptr<IndexDatabase> spare() {
    return IndexDatabase::open_memory(place_.store).database;
  }

  [[nodiscard]] std::string why();
  [[nodiscard]] std::string describe();

 private:
  void open();
  void fall_back(const core::SqliteFailure& failure);

  const Place place_;
  const core::SqliteFiles files_;
  core::Clock& clock_;
  core::Log& log_;
  core::LogOnce complaint_{60 * core::kNanosPerSecond};

  std::mutex mutex_;
  std::shared_ptr<IndexDatabase> database_;
  std::string why_;
  std::optional<core::FileIdentity> damaged_;
  std::int64_t next_try_ns_ = 0;  // while in memory
};

}  // namespace satchel::tool_cache
