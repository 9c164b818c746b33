// What tests put around a part: a directory of their own, a clock that they move, a log that they
// read.
#pragma once

#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp is POSIX

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"

namespace satchel::core {

constexpr std::int64_t kSecond = kNanosPerSecond;
constexpr std::int64_t kStart = 1'800'000'000 * kSecond;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "satchel-test-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const {
    return path_ + '/' + std::string(name);
  }

 private:
  std::string path_;
};

class ManualClock final : public Clock {
 public:
  std::int64_t unix_ns() override { return kStart + elapsed_; }
  std::int64_t monotonic_ns() override { return kSecond + elapsed_; }
  void advance(std::int64_t ns) { elapsed_ += ns; }

 private:
  std::atomic<std::int64_t> elapsed_{0};
};

class CapturedLog final : public Log {
 public:
  CapturedLog() : Log(LogLevel::kDebug) {}

  // How many lines contain `text`.
  [[nodiscard]] std::size_t count(std::string_view text) const {
    const std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const std::string& line : lines_) {
      if (line.find(text) != std::string::npos) ++found;
    }
    return found;
  }
  [[nodiscard]] std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const std::string& line : lines_) text += line + '\n';
    return text;
  }

 protected:
  void emit(LogLevel level, std::string_view component, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::string(log_level_name(level)) + ' ' + std::string(component) + ": " +
                     std::string(message));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Waits for something that other threads or processes bring about.
template <class Condition>
bool eventually(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace satchel::core
