#include "core/log.hpp"

#include <cstdio>
#include <exception>

namespace satchel::core {

void Log::write(LogLevel level, std::string_view component, std::string_view message) noexcept {
  if (!enabled(level)) return;
  try {
    emit(level, component, message);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // A line that cannot be written is lost: there is nowhere left to say so.
  }
}

void StderrLog::emit(LogLevel level, std::string_view component, std::string_view message) {
  std::string line = "satchel ";
  line.append(log_level_name(level)).append(" ").append(component).append(": ").append(message);
  line.push_back('\n');
  // One call, so that lines of several threads do not mix.
  std::fwrite(line.data(), 1, line.size(), stderr);
}

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

bool LogOnce::due(std::int64_t monotonic_ns, std::uint64_t* suppressed) {
  constexpr int kMostTurns = 5;
  const std::lock_guard lock(mutex_);
  const bool new_series = turns_ == 0 || monotonic_ns - first_ns_ >= quiet_ns_;
  const bool quiet =
      logged_ ? monotonic_ns - last_ns_ < quiet_ns_ : !new_series && turns_ >= kMostTurns;
  if (quiet) {
    ++suppressed_;
    return false;
  }
  if (new_series) {
    first_ns_ = monotonic_ns;
    turns_ = 0;
  }
  ++turns_;
  *suppressed = suppressed_;
  suppressed_ = 0;
  last_ns_ = monotonic_ns;
  logged_ = true;
  return true;
}

bool LogOnce::clear() {
  // Called after every success: the usual case takes no lock.
  if (!logged_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);
  suppressed_ = 0;
  return logged_.exchange(false);
}

}  // namespace satchel::core
