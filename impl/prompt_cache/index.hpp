// The index: which prefixes were seen, per scope. A cache, never a ledger: a lost entry is a miss
// at full price, so an implementation may drop whatever it cannot keep.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/sha256.hpp"
#include "prompt_cache/tier.hpp"

namespace satchel::prompt_cache {

using PrefixHash = core::Hash256;

// Entries of different scopes never meet.
struct Scope {
  std::string principal;
  std::string model;  // as the client named it
  std::string tokenizer_version;
};

struct Entry {
  PrefixHash hash{};
  std::uint32_t cumulative_token_count = 0;
  Tier tier = Tier::k5m;
  std::int64_t expires_at = 0;  // Unix nanoseconds; live while now < expires_at
};

struct Refresh {
  PrefixHash hash{};
  std::int64_t expires_at = 0;
};

// All that one request changes. One call, so that an index can make it one transaction.
struct Commit {
  Scope scope;
  std::vector<Entry> writes;  // upserts: tokens, tier and expiry of an existing entry are replaced
  std::optional<Refresh> refresh;  // sets the expiry of an entry that exists

  [[nodiscard]] bool empty() const { return writes.empty() && !refresh; }
};

struct IndexCounts {
  std::uint64_t lookups = 0;
  std::uint64_t lookup_failures = 0;
  std::uint64_t hits = 0;
  std::uint64_t entries_written = 0;
  std::uint64_t entries_refreshed = 0;
  std::uint64_t entries_dropped = 0;
  std::uint64_t entries_swept = 0;
  std::uint64_t entries_waiting = 0;
  std::uint64_t lookups_turned_away = 0;  // failures for want of a free connection
  std::uint64_t write_retries = 0;
};

// All calls from any thread.
class Index {
 public:
  Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  virtual ~Index() = default;  // writes what commit() took, bounded by the commit deadline

  // The first of `candidates` (deepest first) that is live at `now`. Sees every commit() that
  // returned before, of this process at once, of others as soon as they are written. An error
  // means that nothing can be said: the caller caches nothing.
  virtual core::Result<std::optional<Entry>> lookup(const Scope& scope,
                                                    std::span<const PrefixHash> candidates,
                                                    std::int64_t now) = 0;

  // Takes the changes over; writing may happen later. False: they were dropped.
  virtual bool commit(Commit commit) = 0;

  // Waits until everything taken before is written or dropped. False after `timeout_ns`.
  virtual bool flush(std::int64_t timeout_ns) = 0;

  // Drops every entry.
  virtual core::Result<void> forget() = 0;

  virtual IndexCounts counts() = 0;
};

}  // namespace satchel::prompt_cache
