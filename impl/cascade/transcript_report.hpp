// The report for users: tokens by kind per day, per model and per block, as JSON.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cascade/transcript_windows.hpp"
#include "core/json_writer.hpp"

namespace satchel::cascade {

// From buckets in ascending order.
class ReportGatherer {
 public:
  ReportGatherer(core::Timestamp now, const ReportRange& range, EntriesOfBucket entries);
  void add(std::int64_t id, const Bucket& bucket);
  // `models[i]` is the name of model i + 1.
  std::string finish(const std::vector<std::string>& models);

 private:
  using ByModel = std::vector<ModelSums>;
  void add_block(TranscriptBlock block);
  void write_day(std::int64_t day, const ByModel& models);
  void write_block(const TranscriptBlock& block);
  void write_models(const ByModel& models);
  void write_sums(const TokenSums& sums);
  void write_time(const char* key, std::optional<core::Timestamp> time);

  core::Timestamp now_;
  ReportRange range_;
  EntriesOfBucket entries_;
  TimeRange within_;
  bool nothing_ = false;  // the range ends before it begins

  std::map<std::int64_t, ByModel> days_;  // by days since 1970-01-01 there
  BlockGatherer gatherer_;
  std::vector<TranscriptBlock> blocks_;

  const std::vector<std::string>* names_ = nullptr;
  core::JsonWriter json_;
};

}  // namespace satchel::cascade
