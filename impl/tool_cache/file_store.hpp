// The store as a directory, shared with the reference and with other processes of ours:
//   <root>/<first two hex>/<key>.payload
//   <root>/<first two hex>/<key>.meta.json
//   <root>/.satchel/tmp/...     files being written, renamed into place when whole
//   <root>/.satchel/locks/keys  one byte a stripe of keys: who changes an entry holds it
//   <root>/.satchel/index/...   the index (store_index.hpp)
//   <root>/.satchel/leases/...  who computes what (lease_records.hpp); changed under locks/leases
// .satchel holds directories only: files directly in it would count as payload for the reference.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "core/file_stamp.hpp"
#include "core/log.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

// An entry's files as a listing of its shard shows them.
struct EntryFiles {
  Key key;
  std::optional<core::FileStamp> payload;
  std::optional<core::FileStamp> meta;
};

class FileStore final : public Store {
 public:
  struct Options {
    std::string root;                       // absolute
    std::uint64_t memory_bytes = 16 << 20;  // for payloads kept in memory; 0: none
    std::uint64_t compress_min_bytes = 0;   // payloads at least this long are compressed; 0: none
    std::int64_t lock_patience_ns = 5 * core::kNanosPerSecond;  // for a key that others change
  };
  // Makes the directory, private, where it is missing.
  static core::Result<std::unique_ptr<FileStore>> open(Options options, core::Log& log);
  ~FileStore() override;

  core::Result<void> persist(const Key& key, std::string_view payload, Meta meta) override;
  core::Result<std::unique_ptr<PayloadWriter>> begin(const Key& key) override;
  core::Result<Stored> lookup(const Key& key) override;
  core::Result<bool> remove(const Key& key) override;
  bool contains(const Key& key) override;
  core::Result<std::uint64_t> total_bytes() override;
  core::Result<std::vector<Key>> evict_to_cap(std::uint64_t cap) override;
  core::Result<void> iterate(const std::function<void(const Key&, const Meta&)>& visit) override;

  [[nodiscard]] const std::string& root() const;

  // The 256 shards by number. Nothing where the directory is missing.
  std::optional<core::FileStamp> shard_stamp(int shard);
  // Entries of a shard in no order; names that are no entry's are passed over.
  core::Result<void> list_shard(int shard, const std::function<void(const EntryFiles&)>& visit);
  // The meta of an entry and the stamp of the very file it was read from. Nothing where it is
  // missing; kMeta where it cannot be understood.
  struct StampedMeta {
    Meta meta;
    core::FileStamp stamp;
  };
  core::Result<std::optional<StampedMeta>> read_meta_file(const Key& key);
  std::optional<core::FileStamp> meta_stamp(const Key& key);
  std::optional<core::FileStamp> payload_stamp(const Key& key);

  // Removes what crashed processes left, if it is older than `min_age_ns`: half-written entries,
  // files in tmp/ that no process has open, the reference's .verdant-tmp-* (0 takes those that it
  // is just writing, too); and the leases of the dead. How many files.
  core::Result<std::uint64_t> sweep(std::int64_t min_age_ns);

  class Impl;

 private:
  explicit FileStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace satchel::tool_cache
