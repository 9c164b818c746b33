// Remembered fingerprints in memory, the least recently asked for first to go.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/file_stamp.hpp"
#include "tool_cache/fingerprint.hpp"

namespace satchel::tool_cache {

// Any thread.
class FingerprintMemory {
 public:
  explicit FingerprintMemory(std::size_t capacity);

  // What is remembered for this very stamp, under this epoch; empty if what is remembered is that
  // there is nothing elsewhere either.
  std::optional<std::string> find(const std::string& path, Form form, const core::FileStamp& stamp,
                                  const core::ClockEpoch& epoch);
  // Replaces what was remembered for the path.
  void put(const std::string& path, Form form, const core::FileStamp& stamp,
           const core::ClockEpoch& epoch, const std::string& fingerprint);

  [[nodiscard]] std::size_t size();

 private:
  struct Fact {
    std::string path;
    Form form;
    core::FileStamp stamp;
    core::ClockEpoch epoch;
    std::string fingerprint;
  };
  struct Name {
    std::string_view path;
    Form form;
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& name) const {
      return std::hash<std::string_view>()(name.path) + static_cast<std::size_t>(name.form);
    }
  };
  struct Shard {
    std::mutex mutex;
    std::list<Fact> facts;  // the one asked for last in front
    std::unordered_map<Name, std::list<Fact>::iterator, NameHash> by_name;  // views into facts
  };
  Shard& shard_of(const Name& name);

  std::size_t capacity_of_shard_;
  std::array<Shard, 16> shards_;
};

}  // namespace satchel::tool_cache
