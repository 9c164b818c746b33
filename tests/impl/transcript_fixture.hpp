// Transcripts that a test writes, and what it asks of them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cascade/disk_transcripts.hpp"
#include "surroundings.hpp"

namespace satchel::cascade {

// 2026-11-20T10:30:00Z
constexpr core::Timestamp kNow{1'795'170'600, 0};

inline core::Timestamp after(core::Timestamp time, std::int64_t seconds, std::int32_t nanos = 0) {
  return {time.seconds + seconds, nanos};
}

inline std::string at(core::Timestamp time) {
  return R"("timestamp":")" + core::format_timestamp(time) + '"';
}

struct Message {
  std::string id;  // empty: none
  std::string request;
  std::string model = "m";
  MessageTokens tokens;
  bool usage = true;
};

inline std::string line_of(core::Timestamp time, const Message& message) {
  std::string line = "{" + at(time) + R"(,"message":{)";
  if (!message.id.empty()) line += R"("id":")" + message.id + "\",";
  if (message.usage) {
    line += R"("usage":{"input_tokens":)" + std::to_string(message.tokens.input) +
            R"(,"output_tokens":)" + std::to_string(message.tokens.output) +
            R"(,"cache_creation_input_tokens":)" + std::to_string(message.tokens.cache_creation) +
            R"(,"cache_read_input_tokens":)" + std::to_string(message.tokens.cache_read) +
            R"(,"cache_creation":{"ephemeral_1h_input_tokens":)" +
            std::to_string(message.tokens.cache_creation_1h) + "}},";
  }
  line += R"("model":")" + message.model + "\"}";
  if (!message.request.empty()) line += R"(,"requestId":")" + message.request + '"';
  return line + "}\n";
}

// A message with `input` tokens and nothing else.
inline std::string line_of(core::Timestamp time, std::uint64_t input, const std::string& id = {}) {
  Message message;
  message.id = id;
  message.tokens.input = input;
  return line_of(time, message);
}

class TranscriptFixture : public ::testing::Test {
 protected:
  TranscriptFixture() {
    settings_.config_dirs = {directory_ / "config"};
    settings_.state_dir = directory_ / "state";
  }

  [[nodiscard]] std::string path(std::string_view name) const {
    return directory_ / ("config/projects/" + std::string(name));
  }
  // Writes over what is there, in place.
  void write(std::string_view name, std::string_view content) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << content;
  }
  void append(std::string_view name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary | std::ios::app) << content;
  }

  [[nodiscard]] std::unique_ptr<DiskTranscripts> open() {
    return std::make_unique<DiskTranscripts>(settings_, clock_, log_);
  }
  // By a new object, as in a new process.
  TranscriptAnswer windows(core::Timestamp now = kNow) { return open()->windows(now); }
  std::uint64_t input(core::Timestamp now = kNow) { return windows(now).windows.seven_day.input; }

  [[nodiscard]] std::string database() const {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.state_dir, ignored)) {
      if (entry.path().extension() == ".db") return entry.path();
    }
    return {};
  }

  core::TemporaryDirectory directory_;
  TranscriptSettings settings_;
  core::ManualClock clock_;
  core::CapturedLog log_;
};

}  // namespace satchel::cascade
