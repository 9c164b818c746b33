// Whether the remote is worth asking. After a failure nobody asks it for a while, twice as long
// after each further one; then one tries, and the others go on without it until he knows.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "core/clock.hpp"
#include "core/complaint.hpp"
#include "core/log.hpp"
#include "core/result.hpp"

namespace satchel::tool_cache {

// Any thread.
class RemoteHealth {
 public:
  static constexpr std::int64_t kFirstPause = core::kNanosPerSecond;
  static constexpr std::int64_t kLongestPause = 30 * core::kNanosPerSecond;

  RemoteHealth(std::string name, core::Clock& clock, core::Log& log)
      : name_(std::move(name)), clock_(clock), complaint_("tool_cache.remote", clock, log) {}

  // True: ask, and say one of the three below afterwards, also where an exception ended it: nobody
  // else tries until then.
  bool may_ask();
  void answered();
  void failed(const core::Error& why);
  // It was not asked in the end.
  void not_asked();
  // Without taking a turn to try.
  [[nodiscard]] bool away();

 private:
  const std::string name_;
  core::Clock& clock_;
  core::Complaint complaint_;
  std::mutex mutex_;
  std::int64_t pause_ns_ = 0;  // 0: it answers
  std::int64_t next_try_ns_ = 0;
  bool trying_ = false;
};

}  // namespace satchel::tool_cache
