#include "cascade/transcript_report.hpp"

#include <algorithm>
#include <utility>

namespace satchel::cascade {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;

void add_models(std::vector<ModelSums>& into, const std::vector<ModelSums>& from) {
  for (const ModelSums& model : from) sums_of(into, model.model) += model.sums;
}

TokenSums total_of(const std::vector<ModelSums>& models) {
  TokenSums total;
  for (const ModelSums& model : models) total += model.sums;
  return total;
}

// The instant before an exclusive end: the range that we filter by has both ends in it.
core::Timestamp just_before(core::Timestamp time) {
  if (time.nanos > 0) return {time.seconds, time.nanos - 1};
  return {time.seconds - 1, 999'999'999};
}

}  // namespace

ReportGatherer::ReportGatherer(core::Timestamp now, const ReportRange& range,
                               EntriesOfBucket entries)
    : now_(now), range_(range), entries_(std::move(entries)) {
  within_.from = range.from;
  if (range.to) within_.to = just_before(*range.to);
  nothing_ = range.from && range.to && *range.to <= *range.from;
}

void ReportGatherer::add(std::int64_t id, const Bucket& bucket) {
  if (nothing_) return;
  if (std::optional<TranscriptBlock> ended = gatherer_.add(id, bucket)) {
    add_block(std::move(*ended));
  }
  const std::vector<ModelSums> models = sums_in_range(id, bucket, within_, entries_);
  if (models.empty()) return;
  // Offsets are whole buckets, so that a bucket lies in one day.
  const std::int64_t local = id * kBucketSeconds + range_.utc_offset_s;
  add_models(days_[core::floor_divide(local, kDaySeconds)], models);
}

void ReportGatherer::add_block(TranscriptBlock block) {
  const core::Timestamp start = block.start();
  const bool begins_later = range_.to && start >= *range_.to;
  const bool ended_before = range_.from && block.end() <= *range_.from && block.last < *range_.from;
  if (!begins_later && !ended_before) blocks_.push_back(std::move(block));
}

std::string ReportGatherer::finish(const std::vector<std::string>& models) {
  names_ = &models;
  if (std::optional<TranscriptBlock> last = gatherer_.finish()) add_block(std::move(*last));
  ByModel all;
  for (const auto& [day, sums] : days_) add_models(all, sums);

  json_.begin_object();
  write_time("from", range_.from);
  write_time("to", range_.to);
  json_.key("utc_offset_s").number(std::int64_t{range_.utc_offset_s});
  json_.key("total").begin_object();
  write_sums(total_of(all));
  json_.end_object();
  json_.key("days").begin_array();
  for (const auto& [day, sums] : days_) write_day(day, sums);
  json_.end_array();
  write_models(all);
  json_.key("blocks").begin_array();
  for (const TranscriptBlock& block : blocks_) write_block(block);
  json_.end_array().end_object();
  return json_.take();
}

void ReportGatherer::write_day(std::int64_t day, const ByModel& models) {
  // Years beyond what is written stand at the ends of what a time zone may add; they stay a day's
  // name of some kind.
  const std::int64_t second =
      std::clamp(day * kDaySeconds, core::kEarliestSecond, core::kLatestSecond);
  const std::string text = core::format_timestamp({second, 0});
  json_.begin_object().key("day").text(text.substr(0, text.find('T')));
  write_sums(total_of(models));
  write_models(models);
  json_.end_object();
}

void ReportGatherer::write_block(const TranscriptBlock& block) {
  json_.begin_object();
  write_time("start", block.start());
  write_time("end", block.end());
  write_time("first", block.first);
  write_time("last", block.last);
  // Only the last block of all can be: any other ended with five hours of nothing.
  json_.key("active").boolean(&block == &blocks_.back() && block.active(now_));
  write_sums(total_of(block.models));
  write_models(block.models);
  json_.end_object();
}

// Those with messages, the nameless first, then by name.
void ReportGatherer::write_models(const ByModel& models) {
  std::map<std::string_view, const TokenSums*> by_name;
  json_.key("models").begin_array();
  for (const ModelSums& model : models) {
    if (model.model == kNoModel) {
      json_.begin_object().key("model").null();
      write_sums(model.sums);
      json_.end_object();
    } else if (model.model <= names_->size()) {
      by_name.emplace((*names_)[model.model - 1], &model.sums);
    }
  }
  for (const auto& [name, sums] : by_name) {
    json_.begin_object().key("model").text(name);
    write_sums(*sums);
    json_.end_object();
  }
  json_.end_array();
}

void ReportGatherer::write_sums(const TokenSums& sums) {
  json_.key("input").number(saturated(sums.input));
  json_.key("output").number(saturated(sums.output));
  json_.key("cache_creation").number(saturated(sums.cache_creation));
  json_.key("cache_creation_1h").number(saturated(sums.cache_creation_1h));
  json_.key("cache_read").number(saturated(sums.cache_read));
  json_.key("messages").number(sums.messages);
}

void ReportGatherer::write_time(const char* key, std::optional<core::Timestamp> time) {
  json_.key(key);
  if (time) {
    json_.text(core::format_timestamp(*time));
  } else {
    json_.null();
  }
}

}  // namespace satchel::cascade
