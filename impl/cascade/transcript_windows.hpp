// Blocks and windows from buckets: pure, but for asking which single entries a bucket holds that a
// window cuts.
//
// A block ends where nothing happened for more than five hours, to the nanosecond. A bucket is a
// quarter of an hour, so no such gap lies within one: blocks are made of whole buckets.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cascade/transcript_record.hpp"
#include "cascade/transcripts.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

constexpr std::int64_t kBlockSeconds = 5 * 3'600;
constexpr std::int64_t kWindowSeconds = 7 * 86'400;

struct TranscriptBlock {
  core::Timestamp first;
  core::Timestamp last;
  std::vector<ModelSums> models;

  // Floored to the hour; `first` itself where that is before all time.
  [[nodiscard]] core::Timestamp start() const;
  [[nodiscard]] core::Timestamp end() const;  // start() + 5 h, whatever came after
  [[nodiscard]] bool active(core::Timestamp now) const;
};

// Whether more than five hours passed from one to the other.
bool apart(core::Timestamp earlier, core::Timestamp later);

// When anything happened in a bucket that is not empty.
core::Timestamp first_of(std::int64_t id, const Bucket& bucket);
core::Timestamp last_of(std::int64_t id, const Bucket& bucket);

// Gathers blocks from buckets in ascending order.
class BlockGatherer {
 public:
  // The block that ended before this bucket, if one did.
  std::optional<TranscriptBlock> add(std::int64_t id, const Bucket& bucket);
  // The last one.
  std::optional<TranscriptBlock> finish() { return std::move(block_); }

 private:
  std::optional<TranscriptBlock> block_;
};

// A range of time, both ends in it or not there.
struct TimeRange {
  std::optional<core::Timestamp> from;
  std::optional<core::Timestamp> to;  // inclusive

  [[nodiscard]] bool contains(core::Timestamp time) const {
    return !(from && time < *from) && !(to && time > *to);
  }
};

// The sums of a bucket's entries that lie in a range; `entries` is asked for them where the range
// cuts the bucket.
using EntriesOfBucket = std::function<std::vector<BucketEntry>(std::int64_t id)>;
std::vector<ModelSums> sums_in_range(std::int64_t id, const Bucket& bucket, const TimeRange& range,
                                     const EntriesOfBucket& entries);

// Both windows, from buckets in descending order.
class WindowGatherer {
 public:
  WindowGatherer(core::Timestamp now, EntriesOfBucket entries);
  // Whether earlier buckets matter.
  bool add(std::int64_t id, const Bucket& bucket);
  [[nodiscard]] TranscriptWindows finish() const;

 private:
  core::Timestamp now_;
  EntriesOfBucket entries_;
  TimeRange week_;
  TokenSums seven_day_;
  std::optional<TranscriptBlock> block_;
  bool block_done_ = false;
};

}  // namespace satchel::cascade
