// What the local transcripts say of the tokens used: the last resort of the cascade, and a report
// for users. Built in (disk_transcripts.hpp), or the host's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cascade/token_counts.hpp"
#include "cascade/usage_error.hpp"
#include "core/result.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

struct TranscriptWindows {
  // The block that is active at `now`, if one is: its start, floored to the hour, and its tokens.
  struct Block {
    core::Timestamp start;
    TokenCounts tokens;
  };
  std::optional<Block> five_hour;
  TokenCounts seven_day;  // of [now - 7 d, now]
};

struct TranscriptAnswer {
  UsageError error = UsageError::kNone;  // kNoEntries, kDirectoryMissing, kIoError
  TranscriptWindows windows;             // where there is no error
};

// What a report covers.
struct ReportRange {
  std::optional<core::Timestamp> from;  // inclusive
  std::optional<core::Timestamp> to;    // exclusive
  std::int32_t utc_offset_s = 0;        // of the days; a multiple of 15 minutes
};

class Transcripts {
 public:
  Transcripts() = default;
  Transcripts(const Transcripts&) = delete;
  Transcripts& operator=(const Transcripts&) = delete;
  virtual ~Transcripts() = default;

  // Any thread.
  virtual TranscriptAnswer windows(core::Timestamp now) = 0;
  // JSON, see docs/cascade.md. kNotHandled: this source has no report. kUnavailable with a
  // UsageError as the reason: there is nothing to report.
  virtual core::Result<std::string> report(core::Timestamp now, const ReportRange& range) = 0;
};

}  // namespace satchel::cascade
