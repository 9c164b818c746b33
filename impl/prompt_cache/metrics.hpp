// What a prompt cache has done since it was opened, by fixed labels: what a client sends never
// becomes a label. Counted where it happens; docs/scaling.md explains each.
// Source: dwctl prompt_cache/metrics.rs, whose families these are under another prefix.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/metrics.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/usage.hpp"

namespace satchel::prompt_cache {

class Metrics {
 public:
  // `models`: those of the configuration's table. Tokens of all others count as "other".
  explicit Metrics(const std::vector<std::string>& models);

  // ---- requests
  enum class Marked : std::uint8_t { kNo, kYes, kCount };
  core::CounterRow<Marked> marker_requests;  // every body that was JSON
  enum class RequestOutcome : std::uint8_t {
    kRead,
    kCreateOnly,
    kReadAndCreate,
    kZeroActive,
    kInactive,
    kAborted,  // before classification was joined
    kCount
  };
  core::CounterRow<RequestOutcome> requests;
  core::Counter body_too_long;
  // By SATCHEL_MARKER_* of the rejection.
  static constexpr std::size_t kMarkerReasons = 9;
  std::array<core::Counter, kMarkerReasons> markers_rejected;
  // Of active requests, as classified.
  void add_tokens(std::string_view model, const CacheUsage& usage);

  // ---- classification
  enum class Classified : std::uint8_t {
    kOk,
    kDeadlineExceeded,
    kQueueFull,
    kError,
    kAbandoned,  // the client left first
    kCount
  };
  core::CounterRow<Classified> classified;
  core::Histogram classify_ns;
  enum class Skip : std::uint8_t {
    kNoMarkers,
    kUnparseable,
    kTokenizerUnmapped,
    kTokenizeFailed,
    kCountMismatch,
    kBelowFloor,
    kIndexFailed,
    kTokenizerUnreachable,
    kRenderFailed,
    kCount
  };
  core::CounterRow<Skip> skips;
  enum class Resolved : std::uint8_t { kHit, kMiss, kUnknownKey, kFailed, kCount };
  core::CounterRow<Resolved> principals;
  core::CounterRow<Resolved> model_configs;       // never kUnknownKey
  core::CounterRow<Resolved> tokenizer_versions;  // likewise

  // ---- the tokenizer
  enum class TokenizerCall : std::uint8_t { kVersions, kTokenize, kRender, kCount };
  enum class TokenizerOutcome : std::uint8_t {
    kOk,
    kUnmapped,
    kRefused,  // 400, 422: not for this body or model
    kHttpError,
    kTransportError,
    kCount
  };
  std::array<core::CounterRow<TokenizerOutcome>, static_cast<std::size_t>(TokenizerCall::kCount)>
      tokenizer_requests;
  core::Histogram tokenizer_ns;
  core::Counter tokenizer_retries;  // of a service that was overloaded
  enum class RenderFallback : std::uint8_t {
    kNoTemplate,
    kRenderFailed,
    kMisaligned,
    kNotMonotonic,
    kCount
  };
  core::CounterRow<RenderFallback> render_fallbacks;

  // ---- drift between our total and the upstream's prompt_tokens
  core::Counter drift_compared;
  core::Counter drift_alarms;  // over 20 tokens and 1 %
  core::Counter drift_tokens;  // the sum of |ours - theirs|

  // ---- the index
  core::Histogram lookup_ns;
  enum class CommitResult : std::uint8_t { kOk, kDropped, kCount };
  core::CounterRow<CommitResult> commits;
  enum class Veto : std::uint8_t { kNon2xx, kNoUsage, kErrorFrame, kAborted, kCount };
  core::CounterRow<Veto> vetoes;

  [[nodiscard]] std::string text(const IndexCounts& index) const;

 private:
  struct Tokens {
    core::Counter read;
    core::Counter creation_5m;
    core::Counter creation_1h;
    core::Counter creation_24h;
  };
  std::map<std::string, Tokens, std::less<>> tokens_;  // never changes its keys
};

}  // namespace satchel::prompt_cache
