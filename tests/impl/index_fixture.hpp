// What the tests of the prompt cache's indexes share: entries, commits, lookups.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "prompt_cache/index.hpp"
#include "surroundings.hpp"

namespace satchel::prompt_cache {

using core::CapturedLog;
using core::eventually;
using core::kSecond;
using core::kStart;
using core::ManualClock;
using core::TemporaryDirectory;

// The n-th of any number of different hashes.
inline PrefixHash hash_number(std::uint64_t n) { return core::sha256(std::to_string(n)); }

inline Scope some_scope() { return {"org-1", "gpt-4o-mini", "bytes-v1"}; }

inline Entry entry_number(std::uint64_t n, std::int64_t expires_at = kStart + 300 * kSecond) {
  return {hash_number(n), static_cast<std::uint32_t>(1000 + n % 1'000'000), Tier::k5m, expires_at};
}

inline Commit writing(std::vector<Entry> entries, Scope scope = some_scope()) {
  Commit commit;
  commit.scope = std::move(scope);
  commit.writes = std::move(entries);
  return commit;
}

inline Commit refreshing(const PrefixHash& hash, std::int64_t expires_at,
                         Scope scope = some_scope()) {
  Commit commit;
  commit.scope = std::move(scope);
  commit.refresh = Refresh{hash, expires_at};
  return commit;
}

// What a lookup finds; fails the test where the index cannot say.
inline std::optional<Entry> find(Index& index, const std::vector<PrefixHash>& candidates,
                                 std::int64_t now = kStart, const Scope& scope = some_scope()) {
  core::Result<std::optional<Entry>> found = index.lookup(scope, candidates, now);
  if (!found.ok()) {
    ADD_FAILURE() << found.error().message;
    return std::nullopt;
  }
  return *found;
}

}  // namespace satchel::prompt_cache
