#include "cascade/transcript_windows.hpp"

#include <algorithm>
#include <utility>

namespace satchel::cascade {
namespace {

core::Timestamp plus(core::Timestamp time, std::int64_t seconds) {
  return {time.seconds + seconds, time.nanos};
}

TokenSums total_of(const std::vector<ModelSums>& models) {
  TokenSums total;
  for (const ModelSums& model : models) total += model.sums;
  return total;
}

void add_models(std::vector<ModelSums>& into, const std::vector<ModelSums>& from) {
  for (const ModelSums& model : from) sums_of(into, model.model) += model.sums;
}

}  // namespace

bool apart(core::Timestamp earlier, core::Timestamp later) {
  return later > plus(earlier, kBlockSeconds);
}

core::Timestamp TranscriptBlock::start() const {
  const std::int64_t floored = floor_to(first.seconds, 3'600);
  return floored < core::kEarliestSecond ? first : core::Timestamp{floored, 0};
}

core::Timestamp TranscriptBlock::end() const {
  const core::Timestamp end = plus(start(), kBlockSeconds);
  return end.seconds > core::kLatestSecond ? core::Timestamp{core::kLatestSecond, 999'999'999}
                                           : end;
}

bool TranscriptBlock::active(core::Timestamp now) const { return !apart(last, now); }

core::Timestamp first_of(std::int64_t id, const Bucket& bucket) {
  std::optional<BucketSpan> span = bucket.entries;
  if (bucket.activity) widen(span, *bucket.activity);
  return time_in_bucket(id, span ? span->first : 0);
}

core::Timestamp last_of(std::int64_t id, const Bucket& bucket) {
  std::optional<BucketSpan> span = bucket.entries;
  if (bucket.activity) widen(span, *bucket.activity);
  return time_in_bucket(id, span ? span->last : 0);
}

std::optional<TranscriptBlock> BlockGatherer::add(std::int64_t id, const Bucket& bucket) {
  const core::Timestamp first = first_of(id, bucket);
  std::optional<TranscriptBlock> ended;
  if (block_ && apart(block_->last, first)) ended = std::exchange(block_, std::nullopt);
  if (!block_) block_ = TranscriptBlock{first, first, {}};
  block_->last = last_of(id, bucket);
  add_models(block_->models, bucket.models);
  return ended;
}

std::vector<ModelSums> sums_in_range(std::int64_t id, const Bucket& bucket, const TimeRange& range,
                                     const EntriesOfBucket& entries) {
  if (!bucket.entries) return {};
  const core::Timestamp first = time_in_bucket(id, bucket.entries->first);
  const core::Timestamp last = time_in_bucket(id, bucket.entries->last);
  if (range.contains(first) && range.contains(last)) return bucket.models;
  if ((range.from && last < *range.from) || (range.to && first > *range.to)) return {};
  std::vector<ModelSums> models;
  for (const BucketEntry& entry : entries(id)) {
    if (!entry.has_usage || !range.contains(time_in_bucket(id, entry.ns))) continue;
    sums_of(models, entry.model).add(entry.tokens);
  }
  return models;
}

WindowGatherer::WindowGatherer(core::Timestamp now, EntriesOfBucket entries)
    : now_(now), entries_(std::move(entries)), week_{plus(now, -kWindowSeconds), now} {}

bool WindowGatherer::add(std::int64_t id, const Bucket& bucket) {
  const core::Timestamp first = first_of(id, bucket);
  const core::Timestamp last = last_of(id, bucket);
  if (!block_) block_ = TranscriptBlock{first, last, {}};
  block_done_ = block_done_ || !block_->active(now_) || apart(last, block_->first);
  if (!block_done_) {
    block_->first = first;
    add_models(block_->models, bucket.models);
  }
  seven_day_ += total_of(sums_in_range(id, bucket, week_, entries_));
  return !block_done_ || first > *week_.from;
}

TranscriptWindows WindowGatherer::finish() const {
  TranscriptWindows windows;
  if (block_ && block_->active(now_)) {
    windows.five_hour = {block_->start(), total_of(block_->models).counts()};
  }
  windows.seven_day = seven_day_.counts();
  return windows;
}

}  // namespace satchel::cascade
