// What keeps the entries where a lookup or a write is a call to somebody else: PostgreSQL, Redis,
// the host. QueuedIndex makes an index of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/pending_commits.hpp"

namespace satchel::prompt_cache {

// Times cross this interface in the clock of this process; a store that several hosts share keeps
// them in one that all of them can see, and converts.
class IndexBackend {
 public:
  IndexBackend() = default;
  IndexBackend(const IndexBackend&) = delete;
  IndexBackend& operator=(const IndexBackend&) = delete;
  virtual ~IndexBackend() = default;

  // What it is called in the log: "the index in PostgreSQL at db:5432". No secrets.
  [[nodiscard]] virtual const std::string& name() const = 0;

  // All there are of `candidates` (deepest first) that expire after `live_after`, in any order; the
  // live ones behind the first live one may be left out where `live_after` is not the smallest
  // number. Any thread, several at once; bounded in time by the backend's own configuration. kBusy:
  // all its connections are in use.
  virtual core::Result<std::vector<Entry>> find(const Scope& scope,
                                                std::span<const PrefixHash> candidates,
                                                std::int64_t live_after) = 0;

  enum class Outcome : std::uint8_t {
    kDone,
    kAgain,    // out of reach or busy: the same commits are worth another try
    kRefused,  // they will never be taken, as they are or by this store as it is
  };
  struct Written {
    Outcome outcome = Outcome::kDone;
    core::Error why;  // not kDone
    std::uint64_t written = 0;
    std::uint64_t refreshed = 0;
  };
  // All of it, in this order, or nothing that a second try would not repair. From here on: the
  // queue's thread only.
  virtual Written write(std::span<const PendingCommit* const> commits) = 0;

  // What write() may put off, such as refreshes that are merged: writes what is due by now, with
  // `all` everything. Called every second or so, before flush() returns, and at the end.
  virtual Written settle(bool all) {
    static_cast<void>(all);
    return {};
  }

  struct Swept {
    core::Result<std::uint64_t> rows = std::uint64_t{0};
    bool more = false;  // there may be more to do at once
  };
  // Drops a small batch of what has expired, unless another process is at it or the store does so
  // by itself.
  virtual Swept sweep() { return {}; }

  // Drops every entry.
  virtual core::Result<void> clear() = 0;
};

}  // namespace satchel::prompt_cache
