// The files as the cascade sees them: read, understood, and remembered for as long as they are the
// same, so that a fresh answer costs a look at two files and no more.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "cascade/cache_file.hpp"
#include "cascade/lock_file.hpp"
#include "cascade/observation.hpp"
#include "cascade/usage_files.hpp"
#include "core/clock.hpp"
#include "core/log.hpp"

namespace satchel::cascade {

class KnownFiles {
 public:
  // `files` null: every read is a miss, nothing is written.
  KnownFiles(std::unique_ptr<UsageFiles> files, core::Clock& clock, core::Log& log)
      : files_(std::move(files)), clock_(clock), log_(log) {}
  KnownFiles(const KnownFiles&) = delete;
  KnownFiles& operator=(const KnownFiles&) = delete;

  // Any thread. Failures are logged and count as a miss.
  std::optional<CacheEntry> cache();
  std::optional<Lock> lock(core::Timestamp now);
  std::shared_ptr<const Observation> observation();

  // Failures are logged.
  void write_cache(const EndpointUsage& usage, core::Timestamp cached_at);
  void clear_cache();
  void write_lock(const Lock& lock);
  void write_observation(const Observation& observation);

 private:
  // What is remembered of one file: nothing, or what stood in it.
  template <class T>
  struct Remembered {
    std::mutex mutex;
    std::optional<core::FileStamp> stamp;
    std::optional<T> content;
  };

  // What was said of one file.
  struct Trouble {
    core::LogOnce unreadable{60 * core::kNanosPerSecond};
    core::LogOnce unwritable{60 * core::kNanosPerSecond};
  };

  template <class T, class Understand>
  std::optional<T> read(UsageFile file, Remembered<T>& remembered, Understand understand);
  void write(UsageFile file, const std::string& bytes);
  void read_failed(UsageFile file, const core::Error& error);
  void write_failed(UsageFile file, const core::Error& error);
  Trouble& trouble(UsageFile file) { return trouble_[static_cast<std::size_t>(file)]; }

  const std::unique_ptr<UsageFiles> files_;
  core::Clock& clock_;
  core::Log& log_;
  Remembered<CacheEntry> cache_;
  Remembered<Lock> lock_;
  Remembered<std::shared_ptr<const Observation>> observation_;
  std::array<Trouble, kUsageFileCount> trouble_;
};

}  // namespace satchel::cascade
