// Sequences as callers know them, over ids that are those of one database.
//
// A caller remembers the sequence at its opening, and the database may be made anew under it, with
// ids that begin again. What stands in the store when a new database is complete then counts as
// having been there at opening: of some entries that is wrong, and costs nothing but a count.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>

namespace satchel::tool_cache {

// Any thread.
class IndexSequences {
 public:
  static constexpr std::int64_t kOutstanding = std::numeric_limits<std::int64_t>::max();

  // The database of this generation is complete, with ids up to `newest`.
  void complete(const std::string& generation, std::int64_t newest) {
    const std::lock_guard lock(mutex_);
    complete_ = generation;
    if (opening_ != kOutstanding) until_.try_emplace(generation, newest);
  }
  [[nodiscard]] bool is_complete(const std::string& generation) {
    const std::lock_guard lock(mutex_);
    return complete_ == generation;
  }

  // The first time: this is the opening. The sequence of the opening.
  std::int64_t open(const std::string& generation, std::int64_t newest) {
    const std::lock_guard lock(mutex_);
    if (opening_ == kOutstanding) {
      opening_ = newest;
      until_.try_emplace(generation, newest);
    }
    return opening_;
  }
  [[nodiscard]] std::int64_t opening() {
    const std::lock_guard lock(mutex_);
    return opening_;
  }

  [[nodiscard]] std::int64_t sequence_of(std::int64_t id, const std::string& generation) {
    const std::lock_guard lock(mutex_);
    if (opening_ == kOutstanding) return id;
    const auto until = until_.find(generation);
    if (until == until_.end()) return std::min(id, opening_);
    return id <= until->second ? std::min(id, opening_) : opening_ + (id - until->second);
  }
  [[nodiscard]] std::int64_t id_of(std::int64_t sequence, const std::string& generation) {
    const std::lock_guard lock(mutex_);
    if (sequence == kOutstanding || opening_ == kOutstanding || sequence < opening_) {
      return sequence;
    }
    const auto until = until_.find(generation);
    return until == until_.end() ? kOutstanding : until->second + (sequence - opening_);
  }

 private:
  std::mutex mutex_;
  std::int64_t opening_ = kOutstanding;
  std::string complete_;
  std::map<std::string, std::int64_t> until_;  // by generation; a handful
};

}  // namespace satchel::tool_cache
