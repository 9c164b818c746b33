#include "cascade/transcript_record.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace satchel::cascade {
namespace {

class Random {
 public:
  // Of any magnitude.
  std::uint64_t number() { return generator_() >> (generator_() % 64); }
  MessageTokens tokens() { return {number(), number(), number(), number(), number()}; }
  std::int32_t nanos() {
    const std::uint64_t ns = generator_() % 1'000'000'000;
    return static_cast<std::int32_t>(generator_() % 2 == 0 ? ns : ns / 1'000'000 * 1'000'000);
  }
  std::int64_t seconds() {
    const auto second = static_cast<std::int64_t>(number() % 250'000'000'000);
    return generator_() % 2 == 0 ? second : -second;
  }
  bool coin() { return generator_() % 2 == 0; }

 private:
  std::mt19937_64 generator_{11};
};

TEST(TranscriptRecordTest, RecordsAreReadAsTheyWereWritten) {
  Random random;
  std::vector<TranscriptRecord> written;
  std::string bytes;
  for (int i = 0; i < 2'000; ++i) {
    TranscriptRecord record;
    record.key = {random.number(), random.number()};
    record.position = random.number();
    record.file = static_cast<std::uint32_t>(random.number());
    record.model = static_cast<std::uint32_t>(random.number());
    record.has_usage = random.coin();
    record.time = {random.seconds(), random.nanos()};
    if (record.has_usage) record.tokens = random.tokens();
    written.push_back(record);
    append_record(bytes, record);
  }
  const auto read = read_records(bytes);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), written.size());
  for (std::size_t i = 0; i < written.size(); ++i) {
    const TranscriptRecord& a = written[i];
    const TranscriptRecord& b = (*read)[i];
    EXPECT_TRUE(a.key == b.key && a.position == b.position && a.file == b.file &&
                a.model == b.model && a.has_usage == b.has_usage && a.time == b.time &&
                a.tokens == b.tokens)
        << i;
  }
  EXPECT_FALSE(read_records(std::string_view(bytes).substr(0, bytes.size() - 1)));
}

TEST(TranscriptRecordTest, EntriesAndBucketsAreReadAsTheyWereWritten) {
  Random random;
  std::vector<BucketEntry> written;
  std::string bytes;
  Bucket bucket;
  for (int i = 0; i < 2'000; ++i) {
    BucketEntry entry{random.number() % (900ULL * 1'000'000'000),
                      static_cast<std::uint32_t>(random.number() % 5),
                      random.coin(),
                      {}};
    if (entry.has_usage) entry.tokens = random.tokens();
    written.push_back(entry);
    append_entry(bytes, entry);
    bucket.add(entry);
  }
  bucket.activity = BucketSpan{5, 7};
  EXPECT_EQ(read_entries(bytes), written);
  const std::optional<Bucket> read = read_bucket(write_bucket(bucket));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->entries, bucket.entries);
  EXPECT_EQ(read->activity, bucket.activity);
  ASSERT_EQ(read->models.size(), bucket.models.size());
  for (std::size_t i = 0; i < bucket.models.size(); ++i) {
    EXPECT_EQ(read->models[i].sums, bucket.models[i].sums);
  }
}

TEST(TranscriptRecordTest, ASealIsRightForItsRowAndItsBytesOnly) {
  std::string bytes = "some bytes that are sealed";
  append_seal(bytes, 5);
  EXPECT_EQ(unseal(bytes, 5), "some bytes that are sealed");
  EXPECT_FALSE(unseal(bytes, 6));
  EXPECT_FALSE(unseal(bytes.substr(1), 5));
  EXPECT_FALSE(unseal("", 5));
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string other = bytes;
    other[i / 8] = static_cast<char>(other[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(unseal(other, 5)) << i;
  }
}

TEST(TranscriptRecordTest, KeysTellApartWhatIsApart) {
  std::set<MessageKey> keys;
  for (int i = 0; i < 1'000; ++i) {
    const std::string id = "msg_" + std::to_string(i);
    keys.insert(key_of_message(id));
    keys.insert(key_of_message(id, std::nullopt));
    keys.insert(key_of_message(id, ""));
    keys.insert(key_of_message(id, "req"));
    keys.insert(key_of_message("", id));
    keys.insert(key_of_line(static_cast<std::uint32_t>(i), 0));
    keys.insert(key_of_line(0, static_cast<std::uint64_t>(i) + 1));
  }
  keys.insert(key_of_message("ab", "c"));
  keys.insert(key_of_message("a", "bc"));
  EXPECT_EQ(keys.size(), 7'002U);
}

TEST(TranscriptRecordTest, BucketsAreQuartersOfAnHourBefore1970Too) {
  EXPECT_EQ(bucket_of({0, 0}), 0);
  EXPECT_EQ(bucket_of({899, 999'999'999}), 0);
  EXPECT_EQ(bucket_of({900, 0}), 1);
  EXPECT_EQ(bucket_of({-1, 999'999'999}), -1);
  EXPECT_EQ(bucket_of({-900, 0}), -1);
  EXPECT_EQ(bucket_of({-901, 0}), -2);
  for (const core::Timestamp time : {core::Timestamp{-1, 5},
                                     {core::kEarliestSecond, 0},
                                     {core::kLatestSecond, 999'999'999},
                                     {1'795'170'600, 1}}) {
    EXPECT_EQ(time_in_bucket(bucket_of(time), ns_in_bucket(time)), time);
  }
}

}  // namespace
}  // namespace satchel::cascade
