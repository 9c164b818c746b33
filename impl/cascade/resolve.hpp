// The cascade's order of steps: one function over injected parts, without any I/O of its own, to be
// read beside the specification. Reference: linesmith-core 0.4.1, cascade/mod.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cascade/cache_file.hpp"
#include "cascade/lock_file.hpp"
#include "cascade/observation.hpp"
#include "cascade/transcripts.hpp"
#include "cascade/usage.hpp"
#include "cascade/usage_error.hpp"
#include "core/secret.hpp"
#include "core/timestamp.hpp"

namespace satchel::cascade {

struct TokenAnswer {
  UsageError error = UsageError::kNone;
  core::Secret token;  // where there is no error
};

// What asking the endpoint came to.
struct Fetched {
  UsageError error = UsageError::kNone;
  std::optional<std::int64_t> retry_after_s;   // of kRateLimited, where the answer said it readably
  std::shared_ptr<const EndpointUsage> usage;  // where there is no error
  bool broken_off = false;                     // we are closing: it says nothing of the endpoint
  bool cut_short = false;  // others took its time: that it did not come says nothing either
};

// What the order of steps asks for: lazily, and each of token, fetch and transcripts at most once.
class ResolveParts {
 public:
  ResolveParts() = default;
  ResolveParts(const ResolveParts&) = delete;
  ResolveParts& operator=(const ResolveParts&) = delete;
  virtual ~ResolveParts() = default;

  virtual core::Timestamp now() = 0;
  // What cannot be read is a miss.
  virtual std::optional<CacheEntry> cache() = 0;
  virtual std::optional<Lock> lock() = 0;
  virtual std::shared_ptr<const Observation> observation() = 0;

  // One fetch a machine: true when it is this one's turn to ask, until end_turn() or the end of
  // this object; false when somebody else was at it for as long as one may wait.
  virtual bool wait_for_turn() = 0;
  virtual void end_turn() = 0;
  virtual TokenAnswer token() = 0;
  virtual Fetched fetch(const core::Secret& token) = 0;
  virtual TranscriptAnswer transcripts(core::Timestamp now) = 0;

  // Failures are logged and change nothing.
  virtual void write_cache(const EndpointUsage& usage) = 0;
  virtual void clear_cache() = 0;
  virtual void write_lock(const Lock& lock) = 0;
};

// How much is used. `fresh_ns`: how long an answer counts as fresh.
Usage resolve(ResolveParts& parts, std::int64_t fresh_ns);

// What would be answered now without asking anybody, if that is an answer at all: for a host that
// takes stale data at once and has it refreshed behind its back. `refresh`: it is not fresh, and
// the endpoint may be asked.
struct AtOnce {
  std::optional<Usage> usage;
  bool refresh = false;
};
AtOnce resolve_at_once(ResolveParts& parts, std::int64_t fresh_ns);

}  // namespace satchel::cascade
