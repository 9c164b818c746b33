// The parts of a FileStore, for the files that make it up:
//   file_store_lookup.cpp    reading an entry that others may be replacing
//   file_store_writer.cpp    writing one so that it is whole or absent
//   file_store_eviction.hpp  the walk that counts and evicts as the reference does
//   orphans.hpp              the sweep
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/file_stamp.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/file_store.hpp"
#include "tool_cache/hot_payloads.hpp"
#include "tool_cache/key_locks.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

class FileStore::Impl {
 public:
  Impl(Options given, core::Log& to)
      : options(std::move(given)),
        log(to),
        locks(options.root, "keys", options.lock_patience_ns),
        hot(options.memory_bytes) {}

  core::Result<Stored> lookup(const Key& key);
  core::Result<bool> remove(const Key& key);
  core::Result<std::unique_ptr<PayloadWriter>> begin(const Key& key);
  core::Result<std::optional<StampedMeta>> read_meta_file(const Key& key);

  [[nodiscard]] std::string shard_path(const Key& key) const;
  // Of both files of an entry as they are now. Nothing where one is missing.
  struct Stamps {
    std::optional<core::FileStamp> payload;
    std::optional<core::FileStamp> meta;
  };
  [[nodiscard]] Stamps stamps(const Key& key) const;

  const Options options;
  core::Log& log;
  KeyLocks locks;
  HotPayloads hot;
};

}  // namespace satchel::tool_cache
