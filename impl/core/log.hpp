// The log: one line a fact, to the host or to standard error. Secrets are never passed in here.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace satchel::core {

enum class LogLevel : std::int32_t { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3, kOff = 4 };

class Log {
 public:
  explicit Log(LogLevel threshold) : threshold_(threshold) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  virtual ~Log() = default;

  [[nodiscard]] bool enabled(LogLevel level) const { return level >= threshold_; }

  // `component` is a short fixed name ("prompt_cache.index"). Any thread; never fails.
  void write(LogLevel level, std::string_view component, std::string_view message) noexcept;

 protected:
  virtual void emit(LogLevel level, std::string_view component, std::string_view message) = 0;

 private:
  LogLevel threshold_;
};

// Lines on standard error: "satchel warn prompt_cache.index: message".
class StderrLog final : public Log {
 public:
  using Log::Log;

 protected:
  void emit(LogLevel level, std::string_view component, std::string_view message) override;
};

const char* log_level_name(LogLevel level);

// Says a repeating fact once, then again only after it was gone or after `quiet_ns`: a disk that is
// full is one line in the log, not a thousand. A fact that comes and goes all the time is said five
// times in `quiet_ns`. Any thread.
class LogOnce {
 public:
  explicit LogOnce(std::int64_t quiet_ns) : quiet_ns_(quiet_ns) {}

  // True when the fact should be logged now; *suppressed is how often it was not since the last
  // time.
  bool due(std::int64_t monotonic_ns, std::uint64_t* suppressed);
  // The fact is gone. True if it had been logged, so that its end is worth a line.
  bool clear();

 private:
  const std::int64_t quiet_ns_;
  std::mutex mutex_;
  std::int64_t last_ns_ = 0;
  std::int64_t first_ns_ = 0;  // of the `turns_` that it was said
  int turns_ = 0;
  std::uint64_t suppressed_ = 0;
  std::atomic<bool> logged_{false};
};

}  // namespace satchel::core
