#include "tool_cache/hot_payloads.hpp"

#include <utility>

namespace satchel::tool_cache {
namespace {

// What the allocator adds to a block: its header, and half of what rounding may add.
constexpr std::uint64_t kBlock = 24;
// Payload object, its control block and string; list node; map node and bucket.
constexpr std::uint64_t kFixed = sizeof(HotPayload) + sizeof(Meta) + sizeof(std::string) +
                                 2 * sizeof(Key) + 12 * sizeof(void*) + 6 * kBlock;

std::uint64_t heap_of(const std::string& text) {
  constexpr std::size_t kInside = 15;
  return text.capacity() > kInside ? text.capacity() + kBlock : 0;
}

std::uint64_t cost_of(const HotPayload& payload) {
  const Meta& meta = *payload.stored.meta;
  std::uint64_t cost = kFixed + payload.stored.payload->size() + kBlock;
  cost += heap_of(meta.payload_hash) + heap_of(meta.tool_kind);
  cost += meta.file_roots.capacity() * sizeof(Root);
  for (const Root& root : meta.file_roots) cost += heap_of(root.path) + heap_of(root.expected_hash);
  cost += meta.upstream_keys.capacity() * sizeof(std::string);
  for (const std::string& key : meta.upstream_keys) cost += heap_of(key);
  return cost;
}

}  // namespace

std::shared_ptr<const HotPayload> HotPayloads::find(const Key& key) {
  const std::lock_guard guard(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return found->second->payload;
}

void HotPayloads::keep(const Key& key, HotPayload payload) {
  if (payload.stored.payload->size() > kLargest) return;
  const std::uint64_t cost = cost_of(payload);
  if (cost > max_bytes_) return;
  auto shared = std::make_shared<const HotPayload>(std::move(payload));
  const std::lock_guard guard(mutex_);
  if (const auto old = by_key_.find(key); old != by_key_.end()) drop_locked(old->second);
  while (bytes_ + cost > max_bytes_) drop_locked(std::prev(by_use_.end()));
  by_use_.push_front(Node{key, std::move(shared), cost});
  by_key_.emplace(key, by_use_.begin());
  bytes_ += cost;
}

void HotPayloads::drop(const Key& key) {
  const std::lock_guard guard(mutex_);
  if (const auto old = by_key_.find(key); old != by_key_.end()) drop_locked(old->second);
}

std::uint64_t HotPayloads::bytes() const {
  const std::lock_guard guard(mutex_);
  return bytes_;
}

void HotPayloads::drop_locked(std::list<Node>::iterator node) {
  bytes_ -= node->cost;
  by_key_.erase(node->key);
  by_use_.erase(node);
}

}  // namespace satchel::tool_cache
