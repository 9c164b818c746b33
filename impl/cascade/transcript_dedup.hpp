// Which of the lines with one key counts, decided shard by shard, and what that changes in the
// buckets: a winner that is new comes in, one that lost or is gone goes out. The decision needs all
// lines of a key and no others, hence shards, and shards need nothing of each other, hence threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cascade/transcript_record.hpp"
#include "cascade/transcript_settings.hpp"

namespace satchel::cascade {

struct BucketChange {
  std::string added_entries;
  Bucket added;
  std::vector<BucketEntry> removed;

  void add(const BucketEntry& entry);
  void merge(BucketChange&& other);
  [[nodiscard]] std::size_t bytes() const {
    return added_entries.size() + removed.size() * sizeof(BucketEntry);
  }
};

using BucketChanges = std::map<std::int64_t, BucketChange>;

void merge(BucketChanges& into, BucketChanges&& from);

class TranscriptDedup {
 public:
  // `ranks`: the place of each file in the order of reading, the gone ones too.
  TranscriptDedup(TranscriptSettings::Dedup rule,
                  const std::unordered_map<std::uint32_t, std::uint32_t>& ranks)
      : rule_(rule), ranks_(ranks) {}

  // Adds the records `fresh` to those that are `known`. False: they cannot be read.
  bool add(std::string_view known, std::string_view fresh, BucketChanges& changes) const;

  // Takes the records of the files `gone` out of those that are `known`; `kept` are the others.
  using Files = std::unordered_set<std::uint32_t>;
  bool remove(std::string_view known, const Files& gone, BucketChanges& changes,
              std::string& kept) const;

 private:
  struct Candidate {
    const TranscriptRecord* record;
    bool before;  // it was there
    bool after;   // it is there now
  };
  bool beats(const TranscriptRecord& a, const TranscriptRecord& b) const;
  bool read_before(const TranscriptRecord& a, const TranscriptRecord& b) const;
  void decide(std::vector<Candidate>& candidates, BucketChanges& changes) const;

  const TranscriptSettings::Dedup rule_;
  const std::unordered_map<std::uint32_t, std::uint32_t>& ranks_;
};

}  // namespace satchel::cascade
