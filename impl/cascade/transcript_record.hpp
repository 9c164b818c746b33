// What is remembered of the transcripts, as bytes. Two forms of the same messages:
//
//   records  every line that names a message or its usage, with the key that tells duplicates. They
//            lie in shards by key, in no order.
//   entries  the lines that count after duplicates are gone, without their key. They lie in
//            buckets of a quarter of an hour (UTC), for the edges of windows that cut one; days in
//            any time zone begin and end with a bucket.
//
// About 40 and 15 bytes a line. SQLite does not notice bytes that changed inside a row: each blob
// ends with a seal.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/transcript_tokens.hpp"
#include "core/civil_date.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

constexpr std::uint32_t kNoModel = 0;

// 128 bits of a hash: two messages of a machine never share one.
struct MessageKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): of code that the compiler makes
  friend auto operator<=>(const MessageKey&, const MessageKey&) = default;
};

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed);
MessageKey key_of_message(std::string_view id);
MessageKey key_of_message(std::string_view id, std::optional<std::string_view> request_id);
// Of a line that names no message, and thus is no duplicate of any.
MessageKey key_of_line(std::uint32_t file, std::uint64_t position);

constexpr unsigned kShards = 256;
constexpr unsigned shard_of(const MessageKey& key) { return static_cast<unsigned>(key.high >> 56); }

struct TranscriptRecord {
  MessageKey key;
  std::uint64_t position = 0;  // of the line in its file
  std::uint32_t file = 0;
  std::uint32_t model = kNoModel;
  bool has_usage = false;
  core::Timestamp time;
  MessageTokens tokens;
};

// ---- buckets ----

constexpr std::int64_t kBucketSeconds = 900;

constexpr std::int64_t floor_to(std::int64_t value, std::int64_t grain) {
  return core::floor_divide(value, grain) * grain;
}
constexpr std::int64_t bucket_of(core::Timestamp time) {
  return core::floor_divide(time.seconds, kBucketSeconds);
}
constexpr std::uint64_t ns_in_bucket(core::Timestamp time) {
  const std::int64_t begin = floor_to(time.seconds, kBucketSeconds);
  return static_cast<std::uint64_t>(time.seconds - begin) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.nanos);
}
constexpr core::Timestamp time_in_bucket(std::int64_t bucket, std::uint64_t ns) {
  return {bucket * kBucketSeconds + static_cast<std::int64_t>(ns / 1'000'000'000),
          static_cast<std::int32_t>(ns % 1'000'000'000)};
}

struct BucketEntry {
  std::uint64_t ns = 0;  // since the bucket's beginning
  std::uint32_t model = kNoModel;
  bool has_usage = false;
  MessageTokens tokens;

  // NOLINTNEXTLINE(modernize-use-nullptr): of code that the compiler makes
  friend auto operator<=>(const BucketEntry&, const BucketEntry&) = default;
};

// From the first to the last time inside a bucket.
struct BucketSpan {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  void widen(const BucketSpan& other) {
    if (other.first < first) first = other.first;
    if (other.last > last) last = other.last;
  }
  friend bool operator==(const BucketSpan&, const BucketSpan&) = default;
};

inline void widen(std::optional<BucketSpan>& span, const BucketSpan& other) {
  if (span) {
    span->widen(other);
  } else {
    span = other;
  }
}

struct ModelSums {
  std::uint32_t model = kNoModel;
  TokenSums sums;
};

TokenSums& sums_of(std::vector<ModelSums>& models, std::uint32_t model);

struct Bucket {
  std::optional<BucketSpan> entries;
  // Of the lines that leave nothing but the time at which something was going on.
  std::optional<BucketSpan> activity;
  std::vector<ModelSums> models;

  [[nodiscard]] bool empty() const { return !entries && !activity; }
  void add(const BucketEntry& entry);
};

// ---- bytes ----

void append_record(std::string& out, const TranscriptRecord& record);
// Nothing for bytes that no records are.
std::optional<std::vector<TranscriptRecord>> read_records(std::string_view bytes);

void append_entry(std::string& out, const BucketEntry& entry);
std::optional<std::vector<BucketEntry>> read_entries(std::string_view bytes);

std::string write_bucket(const Bucket& bucket);
std::optional<Bucket> read_bucket(std::string_view bytes);

struct FileActivity {
  std::int64_t bucket = 0;
  BucketSpan span;
};
std::string write_activity(const std::vector<FileActivity>& activity);
std::optional<std::vector<FileActivity>> read_activity(std::string_view bytes);

// `row` is what the bytes belong to: they are right nowhere else.
void append_seal(std::string& bytes, std::uint64_t row);
std::optional<std::string_view> unseal(std::string_view sealed, std::uint64_t row);

}  // namespace satchel::cascade
