// A warning that is said once while it holds, and its end.
#pragma once

#include <string>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace satchel::core {

// Any thread.
class Complaint {
 public:
  // `component` lives as long as this.
  Complaint(std::string_view component, Clock& clock, Log& log)
      : component_(component), clock_(clock), log_(log) {}
  // A line of the level warn, unless it was said within the last minute; then it is counted.
  void say(const std::string& message);
  // A line of the level info, if it had been said.
  void over(const std::string& message);

 private:
  const std::string_view component_;
  Clock& clock_;
  Log& log_;
  LogOnce once_{60 * kNanosPerSecond};
};

}  // namespace satchel::core
