// Answers remembered for a time, bounded in number and in their keys' lengths. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace satchel::core {

template <class Value>
class TtlCache {
 public:
  TtlCache(std::int64_t ttl_ns, std::size_t max_entries)
      : ttl_ns_(ttl_ns), max_entries_(max_entries) {}

  std::optional<Value> get(const std::string& key, std::int64_t monotonic_ns) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.until <= monotonic_ns) return std::nullopt;
    return found->second.value;
  }

  void put(const std::string& key, Value value, std::int64_t monotonic_ns) {
    if (key.size() > kLongestKey) return;
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= max_entries_ && entries_.count(key) == 0) make_room(monotonic_ns);
    entries_[key] = Entry{std::move(value), monotonic_ns + ttl_ns_};
  }

 private:
  struct Entry {
    Value value;
    std::int64_t until = 0;
  };

  // Keys come from clients: a model's name may be as long as a body. No real one is that long.
  static constexpr std::size_t kLongestKey = 1024;

  // Asking again is cheap, keeping an order of use is not: what is over goes, else everything.
  void make_room(std::int64_t monotonic_ns) {
    for (auto it = entries_.begin(); it != entries_.end();) {
      it = it->second.until <= monotonic_ns ? entries_.erase(it) : std::next(it);
    }
    if (entries_.size() >= max_entries_) entries_.clear();
  }

  const std::int64_t ttl_ns_;
  const std::size_t max_entries_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace satchel::core
