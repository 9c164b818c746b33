// The built-in source of transcripts: what *.jsonl there is below the configuration directories.
//
// In the order of reading: transcript_line.hpp (does a line count), transcript_files.hpp (which
// files), transcript_scan.hpp (reading them), transcript_record.hpp (what is kept),
// transcript_dedup.hpp (which of them count), transcript_index.hpp and transcript_update.hpp (what
// is new), transcript_store.hpp (where it is kept), transcript_windows.hpp and
// transcript_report.hpp.
//
// What is remembered is a convenience: with a database that is damaged, foreign, unwritable or
// held by another process for long, all is read as if for the first time and remembered in memory,
// some 60 bytes for each message.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cascade/transcript_index.hpp"
#include "cascade/transcript_settings.hpp"
#include "cascade/transcripts.hpp"
#include "core/clock.hpp"
#include "core/log.hpp"

namespace satchel::cascade {

class DiskTranscripts final : public Transcripts {
 public:
  // Touches nothing yet. `clock` and `log` must outlive this.
  DiskTranscripts(TranscriptSettings settings, core::Clock& clock, core::Log& log);

  TranscriptAnswer windows(core::Timestamp now) override;
  core::Result<std::string> report(core::Timestamp now, const ReportRange& range) override;

 private:
  UsageError ask(const TranscriptIndex::Ask& question);
  TranscriptStore* store_to_use();
  TranscriptStore* store_in_memory();
  void lost_file(const core::SqliteFailure& failure);
  void say_lost(const std::string& why);

  const TranscriptSettings settings_;
  const std::string fingerprint_;  // of the settings: what was read under others is not the same
  std::optional<core::SqliteFiles> files_;
  core::Clock& clock_;
  core::Log& log_;
  core::LogOnce complaint_{60 * core::kNanosPerSecond};
  TranscriptComplaints complaints_;

  std::mutex mutex_;
  TranscriptIndex index_;
  std::unique_ptr<TranscriptStore> file_;
  std::unique_ptr<TranscriptStore> memory_;
  std::optional<core::FileIdentity> damaged_;
  bool only_memory_ = false;       // in this call
  std::int64_t next_open_ns_ = 0;  // after a failure that will not go away at once
};

}  // namespace satchel::cascade
