// Where entries are kept. The built-in is the directory that the reference uses too
// (file_store.hpp); the host may bring its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {

// Bytes that were stored, checked against their hash. One thread at a time.
class Payload {
 public:
  Payload() = default;
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;
  virtual ~Payload() = default;

  [[nodiscard]] virtual std::uint64_t size() const = 0;
  // Up to `capacity` bytes from `offset`; 0 at the end. kIntegrity if the file was written to since
  // it was checked.
  virtual core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) = 0;
  // All of it, in memory from then on, valid as long as this.
  virtual core::Result<std::string_view> view() = 0;
};

struct Stored {
  std::shared_ptr<const Meta> meta;
  std::shared_ptr<Payload> payload;
};

// A payload on its way into the store. Gone without commit(): nothing was stored. One thread.
class PayloadWriter {
 public:
  PayloadWriter() = default;
  PayloadWriter(const PayloadWriter&) = delete;
  PayloadWriter& operator=(const PayloadWriter&) = delete;
  virtual ~PayloadWriter() = default;

  virtual core::Result<void> write(std::string_view bytes) = 0;
  // Completes `meta` (payload_hash, bytes, encoding) and stores both. The meta as stored.
  virtual core::Result<std::shared_ptr<const Meta>> commit(Meta meta) = 0;
};

// Any thread. Statuses of errors: kNoSpace where disk or quota is full, kIo otherwise; from lookups
// kIntegrity and kMeta besides, which are answers: nothing is removed, and asking again gives them
// again.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  virtual core::Result<void> persist(const Key& key, std::string_view payload, Meta meta) = 0;
  virtual core::Result<std::unique_ptr<PayloadWriter>> begin(const Key& key) = 0;
  // Nothing (Stored.meta == nullptr) unless payload and meta are both there.
  virtual core::Result<Stored> lookup(const Key& key) = 0;
  // Whatever is there of it, half-written or not. True if anything was.
  virtual core::Result<bool> remove(const Key& key) = 0;
  // Payload and meta are both there; no more is looked at.
  virtual bool contains(const Key& key) = 0;
  // Of every file in the store that the reference counts.
  virtual core::Result<std::uint64_t> total_bytes() = 0;
  // Removes entries, oldest payload mtime first, ties by key, until total_bytes() is at most `cap`;
  // half-written ones count. Those removed.
  virtual core::Result<std::vector<Key>> evict_to_cap(std::uint64_t cap) = 0;
  // Every entry with a readable meta, half-written ones included; unreadable ones are passed over.
  virtual core::Result<void> iterate(const std::function<void(const Key&, const Meta&)>& visit) = 0;
};

}  // namespace satchel::tool_cache
