// What the index needs of a store: entries in 256 shards, each shard with a stamp that changes when
// its entries do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "tool_cache/file_store.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

// Used under the lock of one refresh; meta_stamp() and read_meta() also between refreshes.
class IndexSource {
 public:
  using StampedMeta = FileStore::StampedMeta;

  IndexSource() = default;
  IndexSource(const IndexSource&) = delete;
  IndexSource& operator=(const IndexSource&) = delete;
  virtual ~IndexSource() = default;

  // Which store it is, so that an index is not believed beside another.
  virtual std::string identity() = 0;

  // Before a refresh. `everything`: whatever was said before is forgotten, and not to be relied on.
  virtual core::Result<void> look(bool everything) = 0;
  // After a refresh that took in everything.
  virtual void looked() {}

  virtual std::optional<core::FileStamp> shard_stamp(int shard) = 0;
  virtual core::Result<void> list_shard(int shard,
                                        const std::function<void(const EntryFiles&)>& visit) = 0;
  virtual core::Result<std::optional<StampedMeta>> read_meta(const Key& key) = 0;
  virtual std::optional<core::FileStamp> meta_stamp(const Key& key) = 0;

  // The time to be read before something is looked at, and whether a stamp seen after it betrays
  // every later change.
  virtual std::int64_t now_ns() = 0;
  virtual bool settled(const core::FileStamp& stamp, std::int64_t now_ns) = 0;
};

// The directories of the built-in store.
std::unique_ptr<IndexSource> file_source(FileStore& store);

// A store of the host: each look is one iterate(), and stamps are hashes of what it said. Metas are
// kept until looked().
std::unique_ptr<IndexSource> host_source(Store& store, core::Clock& clock);

}  // namespace satchel::tool_cache
