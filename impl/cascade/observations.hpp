// What this process saw in headers, and what others saw: the newest counts. Shared by a file, which
// is not written anew for each of a thousand answers a second.
#pragma once

#include <memory>
#include <mutex>

#include "cascade/known_files.hpp"
#include "cascade/observation.hpp"
#include "core/clock.hpp"

namespace satchel::cascade {

class Observations {
 public:
  Observations(KnownFiles& files, core::Clock& clock) : files_(files), clock_(clock) {}
  Observations(const Observations&) = delete;
  Observations& operator=(const Observations&) = delete;

  // Any thread.
  void add(Observation observation);
  // null: nobody has seen any.
  std::shared_ptr<const Observation> newest();
  // Writes what was not shared yet.
  void flush();

 private:
  void share(const std::shared_ptr<const Observation>& observation);
  [[nodiscard]] core::Timestamp now() const { return core::timestamp_of_ns(clock_.unix_ns()); }

  KnownFiles& files_;
  core::Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Observation> own_;
  std::shared_ptr<const Observation> shared_;  // what was written last
  std::int64_t shared_at_ns_ = 0;
};

}  // namespace satchel::cascade
