#include "cascade/transcript_dedup.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace satchel::cascade {
namespace {

BucketEntry entry_of(const TranscriptRecord& record) {
  return {ns_in_bucket(record.time), record.model, record.has_usage, record.tokens};
}

std::vector<MessageKey> sorted_keys(std::vector<MessageKey> keys) {
  std::sort(keys.begin(), keys.end());
  return keys;
}

bool among(const std::vector<MessageKey>& sorted, const MessageKey& key) {
  return std::binary_search(sorted.begin(), sorted.end(), key);
}

}  // namespace

void BucketChange::add(const BucketEntry& entry) {
  append_entry(added_entries, entry);
  added.add(entry);
}

void BucketChange::merge(BucketChange&& other) {
  added_entries += other.added_entries;
  if (other.added.entries) widen(added.entries, *other.added.entries);
  for (const ModelSums& model : other.added.models) {
    sums_of(added.models, model.model) += model.sums;
  }
  removed.insert(removed.end(), other.removed.begin(), other.removed.end());
}

void merge(BucketChanges& into, BucketChanges&& from) {
  if (into.empty()) {
    into = std::move(from);
    return;
  }
  for (auto& [bucket, change] : from) into[bucket].merge(std::move(change));
}

bool TranscriptDedup::read_before(const TranscriptRecord& a, const TranscriptRecord& b) const {
  const auto rank = [&](const TranscriptRecord& record) {
    const auto known = ranks_.find(record.file);
    return known == ranks_.end() ? ~std::uint32_t{0} : known->second;
  };
  // A file that was replaced has two numbers and one rank while both are looked at.
  return std::tuple(rank(a), a.position, a.file) < std::tuple(rank(b), b.position, b.file);
}

bool TranscriptDedup::beats(const TranscriptRecord& a, const TranscriptRecord& b) const {
  if (rule_ == TranscriptSettings::Dedup::kFirst) return read_before(a, b);
  if (a.has_usage != b.has_usage) return a.has_usage;
  if (a.tokens.output != b.tokens.output) return a.tokens.output > b.tokens.output;
  return read_before(b, a);
}

void TranscriptDedup::decide(std::vector<Candidate>& candidates, BucketChanges& changes) const {
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.record->key < b.record->key; });
  for (auto at = candidates.begin(); at != candidates.end();) {
    const MessageKey key = at->record->key;
    const TranscriptRecord* before = nullptr;
    const TranscriptRecord* after = nullptr;
    for (; at != candidates.end() && at->record->key == key; ++at) {
      if (at->before && (before == nullptr || beats(*at->record, *before))) before = at->record;
      if (at->after && (after == nullptr || beats(*at->record, *after))) after = at->record;
    }
    if (before == after) continue;
    if (before != nullptr) {
      changes[bucket_of(before->time)].removed.push_back(entry_of(*before));
    }
    if (after != nullptr) changes[bucket_of(after->time)].add(entry_of(*after));
  }
}

bool TranscriptDedup::add(std::string_view known, std::string_view fresh,
                          BucketChanges& changes) const {
  const auto old_records = read_records(known);
  const auto new_records = read_records(fresh);
  if (!old_records || !new_records) return false;
  std::vector<Candidate> candidates;
  candidates.reserve(new_records->size());
  std::vector<MessageKey> keys;
  for (const TranscriptRecord& record : *new_records) {
    candidates.push_back({&record, false, true});
    if (!old_records->empty()) keys.push_back(record.key);
  }
  keys = sorted_keys(std::move(keys));
  for (const TranscriptRecord& record : *old_records) {
    if (among(keys, record.key)) candidates.push_back({&record, true, true});
  }
  decide(candidates, changes);
  return true;
}

bool TranscriptDedup::remove(std::string_view known, const Files& gone, BucketChanges& changes,
                             std::string& kept) const {
  const auto records = read_records(known);
  if (!records) return false;
  std::vector<MessageKey> keys;
  for (const TranscriptRecord& record : *records) {
    if (gone.contains(record.file)) {
      keys.push_back(record.key);
    } else {
      append_record(kept, record);
    }
  }
  keys = sorted_keys(std::move(keys));
  std::vector<Candidate> candidates;
  for (const TranscriptRecord& record : *records) {
    if (among(keys, record.key)) candidates.push_back({&record, true, !gone.contains(record.file)});
  }
  decide(candidates, changes);
  return true;
}

}  // namespace satchel::cascade
