// What becomes of the `usage` object of a response: our counts in, the provider's own cache
// accounting out. Pure functions from a parsed object to edits.
#pragma once

#include <cstdint>
#include <optional>

#include "core/json_edit.hpp"
#include "core/json_tape.hpp"

namespace satchel::prompt_cache {

struct CacheUsage {
  std::uint64_t read = 0;
  std::uint64_t creation_5m = 0;
  std::uint64_t creation_1h = 0;
  std::uint64_t creation_24h = 0;

  friend bool operator==(const CacheUsage&, const CacheUsage&) = default;
};

// What to do with a usage object that comes by.
struct UsageEdit {
  enum class Kind : std::uint8_t {
    kLeave,   // as the provider wrote it
    kScrub,   // remove the provider's cache accounting
    kInject,  // and write ours
  };
  Kind kind = Kind::kLeave;
  CacheUsage usage;
};

// Asked by a response filter for every usage object. `terminal`: this is the one that counts, and
// the answer may be waited for; otherwise it must come at once, from what is known.
class UsageJudge {
 public:
  UsageJudge() = default;
  UsageJudge(const UsageJudge&) = delete;
  UsageJudge& operator=(const UsageJudge&) = delete;
  virtual ~UsageJudge() = default;
  virtual UsageEdit judge(bool terminal) = 0;
  // Asked before the usage object that counts is judged. True: the answer is not there and nobody
  // may wait for it here, so that the filter keeps that object and what follows back.
  virtual bool must_wait() { return false; }
  // More is kept back than the filter has room for: from now on must_wait() is false.
  virtual void give_up_waiting() {}
};

// What a response said, gathered while it went by.
struct UsageSeen {
  bool usage = false;        // an object named usage
  bool error_frame = false;  // SSE only: a frame with a member named error
  bool done = false;         // SSE only: "data: [DONE]", behind which nothing comes
  bool changed = false;      // any byte edited
  std::optional<std::uint64_t> prompt_tokens;
  std::optional<std::uint64_t> upstream_cached_tokens;  // before it was rewritten
  CacheUsage written;  // the counts of the last injection, after the caps
};

// Counts that fit the upstream's prompt_tokens: creation over it makes everything zero, read and
// creation over it cuts the read. Source: dwctl prompt_cache/inject.rs, splice_cache_fields.
CacheUsage capped(const CacheUsage& usage, std::optional<std::uint64_t> prompt_tokens);

// Adds to `edits` what `edit` does to the object `usage`, and notes in `seen` what it said.
void edit_usage(core::JsonValue usage, const UsageEdit& edit, core::JsonEdits& edits,
                UsageSeen& seen);

}  // namespace satchel::prompt_cache
