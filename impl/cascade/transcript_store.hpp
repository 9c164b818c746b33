// The tables in which it is remembered what was read of the transcripts, in a database beside the
// cascade's other files or in memory. It knows rows, not what they are for (transcript_index.hpp).
//
// SQLite notices neither bytes that changed inside a row nor rows that are no longer there, and
// these rows are sums: each carries a seal, their number is kept, and one that should be there and
// is not is damage.
//
// Used in the style "do it all, then ask whether it worked": the first failure is kept, and after
// it everything does nothing and finds nothing until it is taken.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cascade/transcript_files.hpp"
#include "cascade/transcript_record.hpp"
#include "cascade/transcript_scan.hpp"
#include "core/sqlite_connection.hpp"
#include "core/sqlite_files.hpp"

namespace satchel::cascade {

// A transcript as it was when it was last read.
struct KnownTranscript {
  std::uint32_t id = 0;  // never used again for another content
  std::string name;
  TranscriptStamp stamp;
  bool settled = false;
  std::uint64_t offset = 0;  // behind the last whole line
  CheckBytes check;
  std::uint64_t records = 0;

  friend bool operator==(const KnownTranscript&, const KnownTranscript&) = default;
};

// One thread at a time.
class TranscriptStore {
 public:
  struct Opened {
    core::SqliteFailure failure;
    std::unique_ptr<TranscriptStore> store;
    std::string set_aside;  // why a database was set aside, if one was
  };
  // Makes the database where it is missing, and anew where it is not sound or the file `damaged`.
  static Opened open_file(const core::SqliteFiles& files, std::string_view settings,
                          const std::optional<core::FileIdentity>& damaged);
  static Opened open_memory(std::string_view settings);

  explicit TranscriptStore(const core::SqliteFiles* files) : files_(files) {}
  TranscriptStore(const TranscriptStore&) = delete;
  TranscriptStore& operator=(const TranscriptStore&) = delete;

  [[nodiscard]] bool in_memory() const { return files_ == nullptr; }
  [[nodiscard]] core::FileIdentity identity() const { return opened_.database.identity; }
  // Whether the files at the path are still those that were opened.
  core::SqliteFailure in_place() const;

  [[nodiscard]] bool failed() const { return failure_.failed(); }
  core::SqliteFailure take_failure();
  void damaged(const char* what);

  void begin_read();
  // kBusy where another process writes, after a short wait.
  void begin_write();
  void commit();
  void roll_back() { connection_.roll_back(); }

  std::vector<KnownTranscript> transcripts();
  void put(const KnownTranscript& known);
  void remove_transcript(std::uint32_t id);
  [[nodiscard]] std::uint32_t first_free_id() const {
    return static_cast<std::uint32_t>(totals_.first_free_id);
  }
  void set_first_free_id(std::uint32_t id) { totals_.first_free_id = id; }

  // The activity of one file, or of all, as FileActivity.
  std::vector<FileActivity> activity(std::uint32_t file);
  void each_activity(const std::function<void(const FileActivity&)>& see);
  void put_activity(std::uint32_t file, const std::vector<FileActivity>& activity);

  std::vector<std::string> models();
  template <class Names>
  void put_models(const Names& names) {
    std::string bytes;
    for (const std::string& name : names) append_name(bytes, name);
    put_models(std::move(bytes));
  }

  // Records of a shard, from its segments one after the other.
  std::string records(unsigned shard);
  [[nodiscard]] std::size_t segments(unsigned shard) const { return totals_.segments[shard]; }
  void append_records(unsigned shard, std::string bytes);
  void replace_records(unsigned shard, std::string bytes);

  std::optional<Bucket> bucket(std::int64_t id);
  void put_bucket(std::int64_t id, const Bucket& bucket);
  void remove_bucket(std::int64_t id);
  // In order of time; `see` says whether it wants more.
  using SeeBucket = std::function<bool(std::int64_t id, const Bucket& bucket)>;
  void buckets_ascending(const SeeBucket& see);
  void buckets_descending(const SeeBucket& see);
  bool has_buckets();

  // Of a bucket that has some.
  std::string entries(std::int64_t bucket);
  void put_entries(std::int64_t bucket, std::string bytes);

 private:
  class Row;  // a prepared statement while it is used

  struct Totals {
    std::uint64_t first_free_id = 1;
    std::uint64_t transcripts = 0;
    std::uint64_t buckets = 0;
    std::array<std::uint64_t, kShards> segments{};
    friend bool operator==(const Totals&, const Totals&) = default;
  };

  static std::unique_ptr<TranscriptStore> connect(const core::SqliteFiles& files,
                                                  std::string_view settings,
                                                  core::SqliteFailure& failure);
  void prepare_tables(std::string_view settings);
  void make_tables(std::string_view settings);
  void load_totals();
  void save_totals();
  std::uint64_t count(const char* sql);
  static void append_name(std::string& bytes, std::string_view name);
  void put_models(std::string bytes);
  void use_wal();
  void checkpoint();
  void buckets(const char* sql, bool ascending, const SeeBucket& see);
  std::optional<std::string_view> sound(std::string_view sealed, std::uint64_t row,
                                        const char* what);
  void execute(const char* sql);
  void fail(int sqlite_code, const char* doing);

  const core::SqliteFiles* files_;
  core::FilesAtPath opened_;
  core::SqliteConnection connection_;
  std::unordered_map<const char*, core::SqliteStatement> statements_;
  core::SqliteFailure failure_;
  Totals totals_;        // of the transaction that is open
  Totals saved_totals_;  // as the database has them
  int wal_pages_ = 0;
};

}  // namespace satchel::cascade
