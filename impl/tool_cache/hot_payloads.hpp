// Small payloads in memory, least recently used ones going first. An entry is served from here only
// as long as its files are proven to be those it was read from; the proof is
// file_store_lookup.cpp's affair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/file_stamp.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/store.hpp"

namespace satchel::tool_cache {

struct HotPayload {
  core::FileStamp payload_stamp;
  core::FileStamp meta_stamp;
  core::ClockEpoch epoch;
  Stored stored;  // its payload is in memory, and may be read by several threads at once
};

// Any thread.
class HotPayloads {
 public:
  // Longer payloads are not kept: one of them would push out too many.
  static constexpr std::uint64_t kLargest = 256 << 10;

  explicit HotPayloads(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Null where it is not kept.
  std::shared_ptr<const HotPayload> find(const Key& key);
  void keep(const Key& key, HotPayload payload);
  void drop(const Key& key);
  // What is kept costs this much memory, with all that belongs to it.
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  struct Node {
    Key key;
    std::shared_ptr<const HotPayload> payload;
    std::uint64_t cost = 0;
  };
  void drop_locked(std::list<Node>::iterator node);

  const std::uint64_t max_bytes_;
  mutable std::mutex mutex_;
  std::list<Node> by_use_;  // the most recent first
  std::unordered_map<Key, std::list<Node>::iterator, KeyHash> by_key_;
  std::uint64_t bytes_ = 0;
};

}  // namespace satchel::tool_cache
