// A line a call, in the form that the reference's reports read:
//   {"ts_us":..,"tool":"..","outcome":"hit","duration_us":..,"args_summary":"..","reason":null}
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace satchel::tool_cache {

struct CallRecord {
  std::string_view tool;
  std::string_view outcome;  // "hit", "miss", "uncached", "invalidate", "declined"
  std::uint64_t duration_us = 0;
  std::string_view args_summary;
  std::string_view reason;  // empty: null
};

// Any thread. A line that cannot be written is dropped, counted and logged once: statistics never
// fail a call.
class CallLog {
 public:
  // Empty path: nothing is written. The file is appended to, one write a line, so that several
  // processes can share it; it is opened anew for each, so that it can be rotated.
  CallLog(std::string path, core::Clock& clock, core::Log& log);

  void record(const CallRecord& call);
  [[nodiscard]] bool enabled() const { return !path_.empty(); }

 private:
  const std::string path_;
  core::Clock& clock_;
  core::Log& log_;
  core::LogOnce complaint_{60 * core::kNanosPerSecond};
};

}  // namespace satchel::tool_cache
