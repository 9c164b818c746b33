#include "tool_cache/fingerprint_memory.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace satchel::tool_cache {

FingerprintMemory::FingerprintMemory(std::size_t capacity)
    : capacity_of_shard_(
          std::max<std::size_t>(1, capacity / std::tuple_size_v<decltype(shards_)>)) {}

FingerprintMemory::Shard& FingerprintMemory::shard_of(const Name& name) {
  // By the upper bits: the map in the shard goes by the lower ones.
  constexpr unsigned kBits = 4;
  static_assert(1U << kBits == std::tuple_size_v<decltype(shards_)>);
  return shards_[NameHash()(name) >> (std::numeric_limits<std::size_t>::digits - kBits)];
}

std::optional<std::string> FingerprintMemory::find(const std::string& path, Form form,
                                                   const core::FileStamp& stamp,
                                                   const core::ClockEpoch& epoch) {
  const Name name{path, form};
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_name.find(name);
  if (found == shard.by_name.end()) return std::nullopt;
  const Fact& fact = *found->second;
  if (fact.stamp != stamp || !fact.epoch.same_as(epoch)) return std::nullopt;
  shard.facts.splice(shard.facts.begin(), shard.facts, found->second);
  return fact.fingerprint;
}

void FingerprintMemory::put(const std::string& path, Form form, const core::FileStamp& stamp,
                            const core::ClockEpoch& epoch, const std::string& fingerprint) {
  const Name name{path, form};
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.by_name.find(name); found != shard.by_name.end()) {
    Fact& fact = *found->second;
    fact.stamp = stamp;
    fact.epoch = epoch;
    fact.fingerprint = fingerprint;
    shard.facts.splice(shard.facts.begin(), shard.facts, found->second);
    return;
  }
  if (shard.facts.size() >= capacity_of_shard_) {
    const Fact& last = shard.facts.back();
    shard.by_name.erase(Name{last.path, last.form});
    shard.facts.pop_back();
  }
  shard.facts.push_front({path, form, stamp, epoch, fingerprint});
  shard.by_name.emplace(Name{shard.facts.front().path, form}, shard.facts.begin());
}

std::size_t FingerprintMemory::size() {
  std::size_t total = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.facts.size();
  }
  return total;
}

}  // namespace satchel::tool_cache
