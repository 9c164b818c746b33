#include "cascade/transcript_update.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/file.hpp"

namespace satchel::cascade {
namespace {

// Of records, of what becomes of them, and of changes to buckets: each is written down when it is
// more.
constexpr std::size_t kEnoughBytes = std::size_t{32} << 20;
// Less than this is done sooner than a thread is started.
constexpr std::size_t kWorthThreads = std::size_t{256} << 10;
constexpr std::size_t kMostSegments = 8;

// Whether a line ends between `offset` and `size`.
bool has_line(int fd, std::uint64_t offset, std::uint64_t size) {
  std::array<char, 16384> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  while (offset < size) {
    const std::size_t wanted = std::min<std::uint64_t>(bytes.size(), size - offset);
    const std::ptrdiff_t got = core::read_at(fd, offset, bytes.data(), wanted);
    if (got <= 0) return got < 0;  // reading it will say what is wrong
    if (std::memchr(bytes.data(), '\n', static_cast<std::size_t>(got)) != nullptr) return true;
    offset += static_cast<std::uint64_t>(got);
  }
  return false;
}

// Equal entries are as good as each other. Nothing where one to be removed is not there.
std::optional<std::vector<BucketEntry>> without(std::vector<BucketEntry> entries,
                                                std::vector<BucketEntry> removed) {
  std::sort(entries.begin(), entries.end());
  std::sort(removed.begin(), removed.end());
  std::vector<BucketEntry> left;
  std::set_difference(entries.begin(), entries.end(), removed.begin(), removed.end(),
                      std::back_inserter(left));
  if (left.size() + removed.size() != entries.size()) return std::nullopt;
  return left;
}

std::vector<FileActivity> as_parts(const std::map<std::int64_t, BucketSpan>& activity) {
  std::vector<FileActivity> parts;
  parts.reserve(activity.size());
  for (const auto& [bucket, span] : activity) parts.push_back({bucket, span});
  return parts;
}

}  // namespace

TranscriptUpdate::TranscriptUpdate(TranscriptIndex& index, TranscriptStore& store,
                                   const TranscriptListing& listing)
    : index_(index), store_(store), listing_(listing), known_(store.transcripts()) {
  std::unordered_map<std::string_view, const KnownTranscript*> by_name;
  by_name.reserve(known_.size());
  for (const KnownTranscript& known : known_) by_name.emplace(known.name, &known);
  for (const ListedTranscript& listed : listing.files) {
    const auto found = by_name.find(listed.name);
    if (found == by_name.end()) {
      if (!index_.refused(listed)) read_anew(listed);
      continue;
    }
    const KnownTranscript& known = *found->second;
    by_name.erase(found);
    switch (change_of(known, listed)) {
      case Change::kNone:
        break;
      case Change::kSettled:
        settled_.push_back(known);
        settled_.back().settled = true;
        break;
      case Change::kGrown:
        read_on(known, listed);
        break;
      case Change::kOther:
        gone_.push_back(&known);
        read_anew(listed);
        break;
    }
  }
  for (const auto& [name, known] : by_name) gone_.push_back(known);
}

TranscriptUpdate::Change TranscriptUpdate::change_of(const KnownTranscript& known,
                                                     const ListedTranscript& listed) const {
  const bool same = known.stamp == listed.stamp;
  if (same && known.settled) return Change::kNone;
  const bool larger = known.stamp.same_file(listed.stamp) && listed.stamp.size > known.stamp.size;
  if (!same && !larger) return Change::kOther;
  const core::UniqueFd file(open_transcript(transcript_path(index_.settings_, listed.name)));
  if (!file.valid()) return Change::kOther;
  int os_errno = 0;
  if (check_bytes(file.get(), known.offset, os_errno) != known.check || os_errno != 0) {
    return Change::kOther;
  }
  if (larger) return Change::kGrown;
  if (has_line(file.get(), known.offset, listed.stamp.size)) return Change::kGrown;
  return listed.settled ? Change::kSettled : Change::kNone;
}

void TranscriptUpdate::read_on(const KnownTranscript& known, const ListedTranscript& listed) {
  FileReading& reading = readings_.emplace_back();
  reading.listed = &listed;
  reading.id = known.id;
  reading.begin = known.offset;
  grown_.emplace(known.id, &known);
}

void TranscriptUpdate::read_anew(const ListedTranscript& listed) {
  readings_.emplace_back().listed = &listed;
}

void TranscriptUpdate::apply() {
  number_files();
  for (const KnownTranscript* known : gone_) {
    removed_.insert(known->id);
    removed_records_ |= known->records > 0;
  }
  read_all();
  note_failures();
  if (removed_records_) remove_records();
  write_transcripts();
  write_activity_of_files();
  write_buckets();
}

void TranscriptUpdate::number_files() {
  std::uint32_t next = store_.first_free_id();
  const std::uint32_t first = next;
  // Names of both, since what goes was ranked when it came.
  std::vector<std::pair<std::string_view, std::uint32_t>> names;
  for (const KnownTranscript& known : known_) names.emplace_back(known.name, known.id);
  for (FileReading& reading : readings_) {
    if (reading.id != 0) continue;
    reading.id = next++;
    names.emplace_back(reading.listed->name, reading.id);
  }
  std::sort(names.begin(), names.end());
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0 && names[i].first != names[i - 1].first) ++rank;
    ranks_.emplace(names[i].second, rank);
  }
  if (next != first) store_.set_first_free_id(next);
}

void TranscriptUpdate::read_all() {
  if (readings_.empty()) return;
  std::vector<std::string> known_models = store_.models();
  const std::size_t known_count = known_models.size();
  ModelNames models(std::move(known_models));
  TranscriptScan scan(index_.settings_, models, readings_);
  while (!scan.done() && !store_.failed()) {
    ShardBytes fresh(kShards);
    scan.run(kEnoughBytes, fresh);
    add_records(fresh);
  }
  if (models.names().size() > known_count) store_.put_models(models.names());
}

void TranscriptUpdate::note_failures() {
  for (const FileReading& reading : readings_) {
    if (reading.too_long) {
      index_.complaints_.say(
          transcript_path(index_.settings_, reading.listed->name) + " has a line of more than " +
          std::to_string(index_.settings_.max_line_bytes) + " bytes, which does not count");
    }
    if (reading.os_errno == 0) continue;
    index_.refuse(*reading.listed, reading.os_errno);
    removed_.insert(reading.id);
    removed_records_ |= reading.records > 0;
    if (const auto grown = grown_.find(reading.id); grown != grown_.end()) {
      gone_.push_back(grown->second);
      removed_records_ |= grown->second->records > 0;
    }
  }
}

namespace {

// A shard while it is worked on.
struct Shard {
  unsigned number = 0;
  std::string known;
  std::string fresh;
  std::string kept;
};

// Calls `work(shard, changes)` for each on threads; false where one of them said so.
template <class Work>
bool on_shards(std::vector<Shard>& shards, std::size_t bytes, unsigned threads,
               BucketChanges& changes, Work work) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> sound{true};
  std::mutex mutex;
  const auto take = [&] {
    BucketChanges mine;
    for (std::size_t i = next++; i < shards.size(); i = next++) {
      if (!work(shards[i], mine)) sound = false;
    }
    const std::lock_guard lock(mutex);
    merge(changes, std::move(mine));
  };
  run_on_threads(bytes < kWorthThreads ? 1 : threads, take);
  return sound;
}

}  // namespace

void TranscriptUpdate::add_records(ShardBytes& fresh) {
  const TranscriptDedup dedup(index_.settings_.dedup, ranks_);
  for (unsigned next = 0; next < kShards && !store_.failed();) {
    std::vector<Shard> shards;
    std::size_t bytes = 0;
    for (; next < kShards && bytes < kEnoughBytes; ++next) {
      if (fresh[next].empty()) continue;
      Shard& shard = shards.emplace_back();
      shard.number = next;
      shard.known = store_.records(next);
      shard.fresh = std::move(fresh[next]);
      bytes += shard.known.size() + shard.fresh.size();
    }
    const bool sound = on_shards(shards, bytes, threads_of(index_.settings_), changes_,
                                 [&](const Shard& shard, BucketChanges& changes) {
                                   return dedup.add(shard.known, shard.fresh, changes);
                                 });
    if (!sound) return store_.damaged("records");
    for (Shard& shard : shards) {
      if (store_.segments(shard.number) < kMostSegments) {
        store_.append_records(shard.number, std::move(shard.fresh));
      } else {
        store_.replace_records(shard.number, shard.known + shard.fresh);
      }
    }
    change_bytes_ = 0;
    for (const auto& [bucket, change] : changes_) change_bytes_ += change.bytes();
    if (change_bytes_ > kEnoughBytes) write_buckets();
  }
}

void TranscriptUpdate::remove_records() {
  const TranscriptDedup dedup(index_.settings_.dedup, ranks_);
  for (unsigned next = 0; next < kShards && !store_.failed();) {
    std::vector<Shard> shards;
    std::size_t bytes = 0;
    for (; next < kShards && bytes < kEnoughBytes; ++next) {
      Shard& shard = shards.emplace_back();
      shard.number = next;
      shard.known = store_.records(next);
      bytes += 2 * shard.known.size();
    }
    const bool sound = on_shards(shards, bytes, threads_of(index_.settings_), changes_,
                                 [&](Shard& shard, BucketChanges& changes) {
                                   return dedup.remove(shard.known, removed_, changes, shard.kept);
                                 });
    if (!sound) return store_.damaged("records");
    for (Shard& shard : shards) {
      if (shard.kept.size() == shard.known.size()) continue;
      store_.replace_records(shard.number, std::move(shard.kept));
    }
    change_bytes_ = 0;
    for (const auto& [bucket, change] : changes_) change_bytes_ += change.bytes();
    if (change_bytes_ > kEnoughBytes) write_buckets();
  }
}

void TranscriptUpdate::write_activity_of_files() {
  for (const KnownTranscript* known : gone_) {
    for (const FileActivity& part : store_.activity(known->id)) anew_[part.bucket];
  }
  for (const std::uint32_t id : removed_) store_.remove_transcript(id);
  for (FileReading& reading : readings_) {
    if (reading.os_errno != 0) continue;
    for (const auto& [bucket, span] : reading.activity) widen(activity_[bucket], span);
    if (grown_.contains(reading.id)) {
      for (const FileActivity& part : store_.activity(reading.id)) {
        const auto [at, added] = reading.activity.try_emplace(part.bucket, part.span);
        if (!added) at->second.widen(part.span);
      }
    }
    store_.put_activity(reading.id, as_parts(reading.activity));
  }
  if (anew_.empty()) return;
  // Nobody knows how wide a span is without one of those that made it: all are asked.
  store_.each_activity([this](const FileActivity& part) {
    if (const auto at = anew_.find(part.bucket); at != anew_.end()) widen(at->second, part.span);
  });
}

void TranscriptUpdate::write_buckets() {
  // Activity is known at the end only, and belongs into the same rows.
  for (const auto& [bucket, span] : activity_) changes_[bucket];
  for (const auto& [bucket, span] : anew_) changes_[bucket];
  for (const auto& [bucket, change] : changes_) {
    if (store_.failed()) return;
    write_bucket_change(bucket, change);
  }
  changes_.clear();
}

void TranscriptUpdate::write_bucket_change(std::int64_t id, const BucketChange& change) {
  Bucket bucket = store_.bucket(id).value_or(Bucket());
  const std::string known = bucket.entries ? store_.entries(id) : std::string();
  if (change.removed.empty() && !change.added_entries.empty()) {
    store_.put_entries(id, known + change.added_entries);
    if (change.added.entries) widen(bucket.entries, *change.added.entries);
    for (const ModelSums& model : change.added.models) {
      sums_of(bucket.models, model.model) += model.sums;
    }
  } else if (!change.removed.empty()) {
    std::optional<std::vector<BucketEntry>> entries = read_entries(known + change.added_entries);
    if (!entries) return store_.damaged("entries of a bucket");
    const auto left = without(std::move(*entries), change.removed);
    if (!left) return store_.damaged("entries of a bucket");
    bucket.entries.reset();
    bucket.models.clear();
    std::string bytes;
    for (const BucketEntry& entry : *left) {
      append_entry(bytes, entry);
      bucket.add(entry);
    }
    store_.put_entries(id, std::move(bytes));
  }
  if (const auto anew = anew_.find(id); anew != anew_.end()) {
    bucket.activity = anew->second;
  } else if (const auto more = activity_.find(id); more != activity_.end()) {
    widen(bucket.activity, *more->second);
  }
  if (bucket.empty()) {
    store_.remove_bucket(id);
  } else {
    store_.put_bucket(id, bucket);
  }
}

void TranscriptUpdate::write_transcripts() {
  for (const KnownTranscript& known : settled_) store_.put(known);
  for (const FileReading& reading : readings_) {
    if (reading.os_errno != 0) continue;
    KnownTranscript known;
    known.id = reading.id;
    known.name = reading.listed->name;
    known.stamp = reading.listed->stamp;
    known.settled = reading.listed->settled;
    known.offset = reading.offset;
    known.check = reading.check;
    known.records = reading.records;
    if (const auto grown = grown_.find(reading.id); grown != grown_.end()) {
      known.records += grown->second->records;
    }
    store_.put(known);
  }
}

}  // namespace satchel::cascade
