// What a batch of commits makes of the table: each row is touched by one refresh and one upsert at
// most, the refreshes first, whatever happened to it in between.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/uuid.hpp"
#include "prompt_cache/pending_commits.hpp"
#include "prompt_cache/postgres_clock.hpp"

namespace satchel::prompt_cache {

class PostgresBatch {
 public:
  // The commits must outlive it.
  explicit PostgresBatch(std::span<const PendingCommit* const> commits);

  [[nodiscard]] bool has_refreshes() const { return refreshes_ > 0; }
  [[nodiscard]] bool has_upserts() const { return upserts_ > 0; }
  // The statements' parameters: arrays, in the order of the key, so that processes that write the
  // same rows do not lock each other out.
  [[nodiscard]] std::vector<std::string> refreshes(const PostgresClock& clock) const;
  [[nodiscard]] std::vector<std::string> upserts(const PostgresClock& clock) const;

  // Entries that the commits write.
  [[nodiscard]] std::uint64_t written() const { return written_; }
  // Refreshes of what the same batch had written before.
  [[nodiscard]] std::uint64_t refreshed_in_upserts() const { return refreshed_in_upserts_; }

 private:
  struct Key {
    core::Uuid principal{};
    std::string_view model;
    std::string_view tokenizer_version;
    PrefixHash hash{};
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr)
  };
  struct Change {
    std::optional<std::int64_t> refreshed_to;  // before the upsert
    std::optional<Entry> upsert;
  };

  std::map<Key, Change> changes_;
  std::uint64_t refreshes_ = 0;
  std::uint64_t upserts_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t refreshed_in_upserts_ = 0;
};

}  // namespace satchel::prompt_cache
