// What was read stays read: compares the transcripts that there are with those that the store
// knows, reads what is new, and keeps the store's sums exact.
//
//   unchanged   same file, size, times; and old enough when it was read that no later write can
//               hide behind the same times. One stat.
//   grown       same file, larger, and the bytes before the offset are still those that were read
//               (their first and last 4 KiB are looked at). Read on from the offset.
//   otherwise   it is another content: what is known of the old one goes, all of it is read.
//
// One transaction from the comparison to the answer: the store agrees with itself at any time, and
// of two processes that find the same news one writes them down.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cascade/transcript_files.hpp"
#include "cascade/transcript_settings.hpp"
#include "cascade/transcript_store.hpp"

namespace satchel::cascade {

// One thread at a time.
class TranscriptIndex {
 public:
  TranscriptIndex(const TranscriptSettings& settings, TranscriptComplaints& complaints)
      : settings_(settings), complaints_(complaints) {}

  // Brings the store up to date with `listing`, or with a later look, and asks it. True: `ask` got
  // an answer, though what was read may not have been kept; the store says whether it failed.
  using Ask = std::function<void(TranscriptStore&)>;
  bool answer(TranscriptStore& store, const TranscriptListing& listing, const Ask& ask);

 private:
  friend class TranscriptUpdate;
  struct Refusal {
    TranscriptStamp stamp;
    std::chrono::steady_clock::time_point until;
  };
  // A file that cannot be read is not tried again at every call.
  bool refused(const ListedTranscript& listed);
  void refuse(const ListedTranscript& listed, int os_errno);

  const TranscriptSettings& settings_;
  TranscriptComplaints& complaints_;
  std::map<std::string, Refusal> refusals_;
};

}  // namespace satchel::cascade
