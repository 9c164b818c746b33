#include "cascade/transcript_store.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "cascade/transcript_row.hpp"

namespace satchel::cascade {
namespace {

// Beside the seals' row numbers, so that no blob of one table is right in another.
constexpr std::uint64_t kTranscriptRow = std::uint64_t{1} << 56;
constexpr std::uint64_t kActivityRow = std::uint64_t{2} << 56;
constexpr std::uint64_t kRecordsRow = std::uint64_t{3} << 56;
constexpr std::uint64_t kBucketRow = std::uint64_t{4} << 56;
constexpr std::uint64_t kEntriesRow = std::uint64_t{5} << 56;
constexpr std::uint64_t kModelsRow = std::uint64_t{6} << 56;
constexpr std::uint64_t kTotalsRow = std::uint64_t{7} << 56;

constexpr std::uint64_t row_of(std::uint64_t table, std::int64_t id) {
  return table ^ static_cast<std::uint64_t>(id);
}

// The segments of a shard, oldest first.
constexpr std::int64_t first_segment(unsigned shard) { return std::int64_t{shard} << 32; }

std::uint64_t seal_of(const KnownTranscript& known) {
  const std::array<std::uint64_t, 10> words = {known.stamp.device,
                                               known.stamp.inode,
                                               known.stamp.size,
                                               static_cast<std::uint64_t>(known.stamp.mtime_ns),
                                               static_cast<std::uint64_t>(known.stamp.ctime_ns),
                                               static_cast<std::uint64_t>(known.settled),
                                               known.offset,
                                               known.check.body,
                                               known.check.tail,
                                               known.records};
  const std::uint64_t seal = hash_bytes({reinterpret_cast<const char*>(words.data()), sizeof words},
                                        kTranscriptRow ^ known.id);
  return hash_bytes(known.name, seal);
}

}  // namespace

std::vector<KnownTranscript> TranscriptStore::transcripts() {
  std::vector<KnownTranscript> all;
  Row row(*this,
          "SELECT id, name, device, inode, size, mtime_ns, ctime_ns, settled, read_to, head, tail, "
          "records, seal FROM transcripts");
  while (row.next()) {
    KnownTranscript& known = all.emplace_back();
    known.id = static_cast<std::uint32_t>(row.number(0));
    known.name = row.bytes(1);
    known.stamp.device = static_cast<std::uint64_t>(row.number(2));
    known.stamp.inode = static_cast<std::uint64_t>(row.number(3));
    known.stamp.size = static_cast<std::uint64_t>(row.number(4));
    known.stamp.mtime_ns = row.number(5);
    known.stamp.ctime_ns = row.number(6);
    known.settled = row.number(7) != 0;
    known.offset = static_cast<std::uint64_t>(row.number(8));
    known.check.body = static_cast<std::uint64_t>(row.number(9));
    known.check.tail = static_cast<std::uint64_t>(row.number(10));
    known.records = static_cast<std::uint64_t>(row.number(11));
    if (static_cast<std::uint64_t>(row.number(12)) != seal_of(known) || known.name.size() < 3) {
      damaged("a row of a transcript");
    }
  }
  return failed() ? std::vector<KnownTranscript>() : all;
}

void TranscriptStore::put(const KnownTranscript& known) {
  Row(*this,
      "INSERT OR REPLACE INTO transcripts VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")
      .bind(1, std::int64_t{known.id})
      .bind(2, known.name)
      .bind(3, known.stamp.device)
      .bind(4, known.stamp.inode)
      .bind(5, known.stamp.size)
      .bind(6, known.stamp.mtime_ns)
      .bind(7, known.stamp.ctime_ns)
      .bind(8, std::int64_t{known.settled ? 1 : 0})
      .bind(9, known.offset)
      .bind(10, known.check.body)
      .bind(11, known.check.tail)
      .bind(12, known.records)
      .bind(13, seal_of(known))
      .run();
}

void TranscriptStore::remove_transcript(std::uint32_t id) {
  Row(*this, "DELETE FROM transcripts WHERE id = ?1").bind(1, std::int64_t{id}).run();
  Row(*this, "DELETE FROM activity WHERE transcript = ?1").bind(1, std::int64_t{id}).run();
}

std::vector<FileActivity> TranscriptStore::activity(std::uint32_t file) {
  Row row(*this, "SELECT parts FROM activity WHERE transcript = ?1");
  row.bind(1, std::int64_t{file});
  if (!row.next()) {
    damaged("the activity of a file");
    return {};
  }
  const auto bytes = sound(row.bytes(0), row_of(kActivityRow, file), "the activity of a file");
  std::optional<std::vector<FileActivity>> parts;
  if (bytes) parts = read_activity(*bytes);
  return parts ? std::move(*parts) : std::vector<FileActivity>();
}

void TranscriptStore::each_activity(const std::function<void(const FileActivity&)>& see) {
  std::uint64_t files = 0;
  Row row(*this, "SELECT transcript, parts FROM activity");
  for (; row.next(); ++files) {
    const auto bytes =
        sound(row.bytes(1), row_of(kActivityRow, row.number(0)), "the activity of a file");
    const auto parts = bytes ? read_activity(*bytes) : std::nullopt;
    if (!parts) return;
    for (const FileActivity& part : *parts) see(part);
  }
  if (files != count("SELECT count(*) FROM transcripts")) damaged("the activity of files");
}

void TranscriptStore::put_activity(std::uint32_t file, const std::vector<FileActivity>& activity) {
  std::string bytes = write_activity(activity);
  append_seal(bytes, row_of(kActivityRow, file));
  Row(*this, "INSERT OR REPLACE INTO activity VALUES(?1, ?2)")
      .bind(1, std::int64_t{file})
      .bind(2, bytes)
      .run();
}

std::vector<std::string> TranscriptStore::models() {
  std::vector<std::string> names;
  Row row(*this, "SELECT value FROM facts WHERE name = 'models'");
  const auto sealed = row.next() ? row.bytes(0) : std::string_view();
  std::string_view bytes = sound(sealed, kModelsRow, "the names of models").value_or("");
  while (bytes.size() >= sizeof(std::uint32_t)) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    names.emplace_back(bytes.substr(sizeof size, size));
    bytes.remove_prefix(std::min(bytes.size(), sizeof size + size));
  }
  return names;
}

void TranscriptStore::append_name(std::string& bytes, std::string_view name) {
  const auto size = static_cast<std::uint32_t>(name.size());
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  bytes += name;
}

void TranscriptStore::put_models(std::string bytes) {
  append_seal(bytes, kModelsRow);
  Row(*this, "INSERT OR REPLACE INTO facts VALUES('models', ?1)").bind(1, bytes).run();
}

std::string TranscriptStore::records(unsigned shard) {
  std::string all;
  std::size_t segments = 0;
  Row row(*this, "SELECT id, bytes FROM records WHERE id BETWEEN ?1 AND ?2");
  row.bind(1, first_segment(shard)).bind(2, first_segment(shard + 1) - 1);
  for (; row.next(); ++segments) {
    all += sound(row.bytes(1), row_of(kRecordsRow, row.number(0)), "records").value_or("");
  }
  if (segments != totals_.segments[shard]) damaged("records");
  return all;
}

void TranscriptStore::append_records(unsigned shard, std::string bytes) {
  const std::int64_t id =
      first_segment(shard) + static_cast<std::int64_t>(totals_.segments[shard]++);
  append_seal(bytes, row_of(kRecordsRow, id));
  Row(*this, "INSERT INTO records VALUES(?1, ?2)").bind(1, id).bind(2, bytes).run();
}

void TranscriptStore::replace_records(unsigned shard, std::string bytes) {
  Row(*this, "DELETE FROM records WHERE id BETWEEN ?1 AND ?2")
      .bind(1, first_segment(shard))
      .bind(2, first_segment(shard + 1) - 1)
      .run();
  totals_.segments[shard] = 0;
  if (!bytes.empty()) append_records(shard, std::move(bytes));
}

std::optional<Bucket> TranscriptStore::bucket(std::int64_t id) {
  Row row(*this, "SELECT sums FROM buckets WHERE id = ?1");
  row.bind(1, id);
  if (!row.next()) return std::nullopt;
  const auto bytes = sound(row.bytes(0), row_of(kBucketRow, id), "a bucket");
  return bytes ? read_bucket(*bytes) : std::nullopt;
}

void TranscriptStore::put_bucket(std::int64_t id, const Bucket& bucket) {
  std::string bytes = write_bucket(bucket);
  append_seal(bytes, row_of(kBucketRow, id));
  Row(*this, "INSERT OR REPLACE INTO buckets VALUES(?1, ?2)").bind(1, id).bind(2, bytes).run();
}

void TranscriptStore::remove_bucket(std::int64_t id) {
  Row(*this, "DELETE FROM buckets WHERE id = ?1").bind(1, id).run();
}

void TranscriptStore::buckets(const char* sql, bool ascending, const SeeBucket& see) {
  std::optional<std::int64_t> before;
  Row row(*this, sql);
  while (row.next()) {
    const std::int64_t id = row.number(0);
    const auto bytes = sound(row.bytes(1), row_of(kBucketRow, id), "a bucket");
    const std::optional<Bucket> bucket = bytes ? read_bucket(*bytes) : std::nullopt;
    // A tree that is not in order hides rows from those who look for them.
    if (before && (ascending ? id <= *before : id >= *before)) damaged("the order of buckets");
    before = id;
    if (failed() || !bucket || !see(id, *bucket)) return;
  }
}

void TranscriptStore::buckets_ascending(const SeeBucket& see) {
  buckets("SELECT id, sums FROM buckets ORDER BY id", true, see);
}

void TranscriptStore::buckets_descending(const SeeBucket& see) {
  buckets("SELECT id, sums FROM buckets ORDER BY id DESC", false, see);
}

bool TranscriptStore::has_buckets() { return Row(*this, "SELECT 1 FROM buckets LIMIT 1").next(); }

std::uint64_t TranscriptStore::count(const char* sql) {
  Row row(*this, sql);
  return row.next() ? static_cast<std::uint64_t>(row.number(0)) : 0;
}

void TranscriptStore::load_totals() {
  Row row(*this, "SELECT value FROM facts WHERE name = 'totals'");
  const auto sealed = row.next() ? row.bytes(0) : std::string_view();
  const std::optional<std::string_view> bytes = sound(sealed, kTotalsRow, "the totals");
  if (!bytes) return;
  if (bytes->size() != sizeof totals_) return damaged("the totals");
  std::memcpy(&totals_, bytes->data(), sizeof totals_);
  saved_totals_ = totals_;
  if (totals_.transcripts != count("SELECT count(*) FROM transcripts") ||
      totals_.buckets != count("SELECT count(*) FROM buckets")) {
    damaged("the number of rows");
  }
}

void TranscriptStore::save_totals() {
  totals_.transcripts = count("SELECT count(*) FROM transcripts");
  totals_.buckets = count("SELECT count(*) FROM buckets");
  if (totals_ == saved_totals_) return;
  std::string bytes(reinterpret_cast<const char*>(&totals_), sizeof totals_);
  append_seal(bytes, kTotalsRow);
  Row(*this, "INSERT OR REPLACE INTO facts VALUES('totals', ?1)").bind(1, bytes).run();
}

std::string TranscriptStore::entries(std::int64_t bucket) {
  Row row(*this, "SELECT bytes FROM entries WHERE bucket = ?1");
  row.bind(1, bucket);
  if (!row.next()) {
    damaged("entries of a bucket");
    return {};
  }
  const auto bytes = sound(row.bytes(0), row_of(kEntriesRow, bucket), "entries of a bucket");
  return bytes ? std::string(*bytes) : std::string();
}

void TranscriptStore::put_entries(std::int64_t bucket, std::string bytes) {
  if (bytes.empty()) {
    Row(*this, "DELETE FROM entries WHERE bucket = ?1").bind(1, bucket).run();
    return;
  }
  append_seal(bytes, row_of(kEntriesRow, bucket));
  Row(*this, "INSERT OR REPLACE INTO entries VALUES(?1, ?2)").bind(1, bucket).bind(2, bytes).run();
}

std::optional<std::string_view> TranscriptStore::sound(std::string_view sealed, std::uint64_t row,
                                                       const char* what) {
  const std::optional<std::string_view> bytes = unseal(sealed, row);
  if (!bytes) damaged(what);
  return bytes;
}

}  // namespace satchel::cascade
