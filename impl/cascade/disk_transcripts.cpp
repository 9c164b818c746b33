#include "cascade/disk_transcripts.hpp"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "cascade/transcript_report.hpp"
#include "cascade/transcript_windows.hpp"
#include "core/file.hpp"
#include "core/sha256.hpp"

namespace satchel::cascade {
namespace {

constexpr const char* kComponent = "cascade.transcripts";
constexpr std::int64_t kRetryNs = 30 * core::kNanosPerSecond;
constexpr std::size_t kMostDirectories = std::numeric_limits<std::uint16_t>::max();

TranscriptSettings made_absolute(TranscriptSettings settings) {
  for (std::string& directory : settings.config_dirs) directory = core::absolute_path(directory);
  if (settings.config_dirs.size() > kMostDirectories) settings.config_dirs.resize(kMostDirectories);
  return settings;
}

// Whatever decides what counts.
std::string fingerprint_of(const TranscriptSettings& settings) {
  std::string text = "user " + std::to_string(::geteuid()) + ", dedup " +
                     std::to_string(static_cast<int>(settings.dedup)) + ", depth " +
                     std::to_string(settings.depth) + ", any owner " +
                     std::to_string(static_cast<int>(settings.any_owner)) + ", lines up to " +
                     std::to_string(settings.max_line_bytes);
  for (const std::string& directory : settings.config_dirs) {
    text += ", " + std::to_string(directory.size()) + ' ' + directory;
  }
  return text;
}

std::string database_name(const std::string& fingerprint) {
  const core::Hash256 hash = core::sha256(fingerprint);
  return "satchel-transcripts-" + core::hex(hash.data(), 4);
}

EntriesOfBucket entries_in(TranscriptStore& store) {
  return [&store](std::int64_t bucket) {
    std::optional<std::vector<BucketEntry>> entries = read_entries(store.entries(bucket));
    if (!entries) store.damaged("entries of a bucket");
    return entries ? std::move(*entries) : std::vector<BucketEntry>();
  };
}

}  // namespace

DiskTranscripts::DiskTranscripts(TranscriptSettings settings, core::Clock& clock, core::Log& log)
    : settings_(made_absolute(std::move(settings))),
      fingerprint_(fingerprint_of(settings_)),
      clock_(clock),
      log_(log),
      complaints_(log),
      index_(settings_, complaints_) {
  if (!settings_.state_dir.empty()) {
    files_.emplace(settings_.state_dir, database_name(fingerprint_));
  }
}

TranscriptAnswer DiskTranscripts::windows(core::Timestamp now) {
  const std::lock_guard lock(mutex_);
  TranscriptAnswer answer;
  answer.error = ask([&](TranscriptStore& store) {
    WindowGatherer windows(now, entries_in(store));
    store.buckets_descending(
        [&](std::int64_t id, const Bucket& bucket) { return windows.add(id, bucket); });
    answer.windows = windows.finish();
  });
  if (answer.error != UsageError::kNone) answer.windows = {};
  return answer;
}

core::Result<std::string> DiskTranscripts::report(core::Timestamp now, const ReportRange& range) {
  if (range.utc_offset_s % kBucketSeconds != 0 || range.utc_offset_s < -86'400 ||
      range.utc_offset_s > 86'400) {
    return core::Error{core::Status::kArgument, "utc_offset_s is " +
                                                    std::to_string(range.utc_offset_s) +
                                                    ", not a multiple of 900 within a day"};
  }
  const std::lock_guard lock(mutex_);
  std::string report;
  const UsageError error = ask([&](TranscriptStore& store) {
    ReportGatherer gatherer(now, range, entries_in(store));
    store.buckets_ascending([&](std::int64_t id, const Bucket& bucket) {
      gatherer.add(id, bucket);
      return true;
    });
    report = gatherer.finish(store.models());
  });
  if (error != UsageError::kNone) {
    return core::Error{core::Status::kUnavailable, std::string(usage_error_name(error)), 0,
                       static_cast<int>(error)};
  }
  return report;
}

UsageError DiskTranscripts::ask(const TranscriptIndex::Ask& question) {
  const TranscriptListing listing = list_transcripts(settings_, complaints_);
  if (!listing.any_root) return UsageError::kDirectoryMissing;
  bool entries = false;
  const auto asked = [&](TranscriptStore& store) {
    question(store);
    entries = store.has_buckets();
  };
  only_memory_ = false;
  // The database may have to be made anew, then the memory take its place.
  for (int attempt = 0; attempt < 4; ++attempt) {
    TranscriptStore* const store = store_to_use();
    if (store == nullptr) break;
    const bool in_memory = store->in_memory();
    const bool answered = index_.answer(*store, listing, asked);
    const core::SqliteFailure failure = store->take_failure();
    if (failure.failed()) {
      if (in_memory) {
        memory_.reset();
        log_.write(core::LogLevel::kWarn, kComponent, failure.message);
      } else {
        lost_file(failure);
      }
    } else if (!in_memory) {
      memory_.reset();
      if (complaint_.clear()) {
        log_.write(core::LogLevel::kInfo, kComponent, files_->database() + " is in use again");
      }
    }
    if (!answered) continue;
    if (entries) return UsageError::kNone;
    return listing.unreadable_root ? UsageError::kIoError : UsageError::kNoEntries;
  }
  return UsageError::kIoError;
}

TranscriptStore* DiskTranscripts::store_to_use() {
  if (!files_ || only_memory_) return store_in_memory();
  if (file_ != nullptr && file_->in_place().failed()) file_.reset();
  if (file_ == nullptr) {
    if (clock_.monotonic_ns() < next_open_ns_) return store_in_memory();
    TranscriptStore::Opened opened = TranscriptStore::open_file(*files_, fingerprint_, damaged_);
    if (!opened.set_aside.empty()) {
      log_.write(core::LogLevel::kWarn, kComponent,
                 files_->database() + " was set aside as .damaged: " + opened.set_aside);
    }
    if (opened.store == nullptr) {
      lost_file(opened.failure);
      return store_in_memory();
    }
    damaged_.reset();
    file_ = std::move(opened.store);
  }
  return file_.get();
}

TranscriptStore* DiskTranscripts::store_in_memory() {
  if (memory_ == nullptr) memory_ = TranscriptStore::open_memory(fingerprint_).store;
  return memory_.get();
}

void DiskTranscripts::lost_file(const core::SqliteFailure& failure) {
  switch (failure.trouble) {
    case core::SqliteTrouble::kBusy:
      // Another process writes down the same news; this call does without it.
      only_memory_ = true;
      log_.write(core::LogLevel::kDebug, kComponent, failure.message);
      return;
    case core::SqliteTrouble::kReplaced:
      file_.reset();
      return;
    case core::SqliteTrouble::kDamaged:
      if (file_ != nullptr) damaged_ = file_->identity();
      file_.reset();
      return;
    default:
      break;
  }
  file_.reset();
  only_memory_ = true;
  next_open_ns_ = clock_.monotonic_ns() + kRetryNs;
  say_lost(failure.message);
}

void DiskTranscripts::say_lost(const std::string& why) {
  std::uint64_t suppressed = 0;
  if (!complaint_.due(clock_.monotonic_ns(), &suppressed)) return;
  log_.write(core::LogLevel::kWarn, kComponent,
             "what is read of the transcripts is remembered in memory only: " + why);
}

}  // namespace satchel::cascade
