// What the log says of Redis: one line when something fails, one when it works again.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/complaint.hpp"

namespace satchel::prompt_cache {

// Any thread.
class RedisHealth {
 public:
  RedisHealth(core::Clock& clock, core::Log& log) : complaint_("prompt_cache.index", clock, log) {}

  void failed(const std::string& message);
  void worked() { worked_ = true; }
  // Now and then. What fails every other time is said once.
  void settle(const std::string& message);

 private:
  core::Complaint complaint_;
  std::atomic<bool> worked_{false};
  std::atomic<std::int64_t> quiet_rounds_{0};
};

}  // namespace satchel::prompt_cache
