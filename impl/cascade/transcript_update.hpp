// One update of the store: what changed among the transcripts, and how it is written down.
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cascade/transcript_dedup.hpp"
#include "cascade/transcript_index.hpp"
#include "cascade/transcript_scan.hpp"

namespace satchel::cascade {

class TranscriptUpdate {
 public:
  TranscriptUpdate(TranscriptIndex& index, TranscriptStore& store,
                   const TranscriptListing& listing);

  // Compares; nothing is written.
  [[nodiscard]] bool needed() const {
    return !readings_.empty() || !gone_.empty() || !settled_.empty();
  }
  [[nodiscard]] const std::vector<KnownTranscript>& known() const { return known_; }
  // In a transaction that writes.
  void apply();

 private:
  enum class Change : std::uint8_t { kNone, kSettled, kGrown, kOther };
  Change change_of(const KnownTranscript& known, const ListedTranscript& listed) const;
  void read_on(const KnownTranscript& known, const ListedTranscript& listed);
  void read_anew(const ListedTranscript& listed);

  void number_files();
  void read_all();
  void note_failures();
  void add_records(ShardBytes& fresh);
  void remove_records();
  void write_activity_of_files();
  void recompute_activity();
  void write_buckets();
  void write_bucket_change(std::int64_t id, const BucketChange& change);
  void write_transcripts();

  TranscriptIndex& index_;
  TranscriptStore& store_;
  const TranscriptListing& listing_;
  std::vector<KnownTranscript> known_;

  std::deque<FileReading> readings_;
  std::unordered_map<std::uint32_t, const KnownTranscript*> grown_;  // by number
  std::vector<const KnownTranscript*> gone_;
  std::vector<KnownTranscript> settled_;

  std::unordered_map<std::uint32_t, std::uint32_t> ranks_;
  TranscriptDedup::Files removed_;  // gone, or failed while they were read
  bool removed_records_ = false;
  BucketChanges changes_;
  std::size_t change_bytes_ = 0;
  // The activity of a bucket as it becomes; added to what is there unless it is `anew_`.
  std::map<std::int64_t, std::optional<BucketSpan>> activity_;
  std::map<std::int64_t, std::optional<BucketSpan>> anew_;
};

}  // namespace satchel::cascade
