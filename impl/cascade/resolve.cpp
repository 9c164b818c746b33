#include "cascade/resolve.hpp"

#include <algorithm>
#include <utility>

#include "core/civil_date.hpp"

namespace satchel::cascade {

using core::Timestamp;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// Backoffs, in seconds. A refusal that only a new login clears is not asked about every 30 s.
constexpr std::int64_t kRateLimitBackoff = 300;
constexpr std::int64_t kForbiddenBackoff = 300;
constexpr std::int64_t kErrorBackoff = 30;

struct Known {
  Timestamp now;
  std::optional<CacheEntry> cache;
  std::shared_ptr<const Observation> observation;

  [[nodiscard]] bool has_data() const { return cache && cache->data != nullptr; }
};

// Not the lock: a fresh cache answers without.
Known look(ResolveParts& parts) {
  Known known;
  known.cache = parts.cache();
  known.observation = parts.observation();
  known.now = parts.now();
  // What lies in the future was written by a clock that is not ours.
  if (known.cache && known.cache->cached_at > known.now) known.cache.reset();
  if (known.observation && known.observation->observed_at > known.now) known.observation.reset();
  return known;
}

bool is_refusal(UsageError error) {
  return error == UsageError::kUnauthorized || error == UsageError::kForbidden;
}

Usage of_file(const Known& known, UsageSource source, UsageError why) {
  Usage usage;
  usage.source = source;
  usage.error = why;
  usage.now = known.now;
  usage.as_of = known.cache->cached_at;
  usage.endpoint = known.cache->data;
  usage.endpoint_as_of = known.cache->cached_at;
  return usage;
}

// What headers said, over what the endpoint said before them.
std::optional<Usage> of_headers(const Known& known, UsageSource source, UsageError why) {
  EndpointUsage together;
  if (known.has_data()) together = *known.cache->data;
  if (!lay_over(*known.observation, known.now, together)) return std::nullopt;
  Usage usage;
  usage.source = source;
  usage.error = why;
  usage.now = known.now;
  usage.as_of = known.observation->observed_at;
  usage.endpoint = std::make_shared<const EndpointUsage>(std::move(together));
  if (known.has_data()) usage.endpoint_as_of = known.cache->cached_at;
  usage.observation = known.observation;
  return usage;
}

bool headers_are_newer(const Known& known) {
  return known.observation &&
         (!known.has_data() || known.observation->observed_at > known.cache->cached_at);
}

// Step 2: what is fresh is the answer, and nothing else is touched.
std::optional<Usage> fresh(const Known& known, std::int64_t fresh_ns) {
  const bool cache_is_fresh =
      known.has_data() && core::is_younger(known.cache->cached_at, known.now, fresh_ns);
  if (headers_are_newer(known)) {
    const bool enough =
        answers(*known.observation, known.now, fresh_ns) ||
        (cache_is_fresh && core::is_younger(known.observation->observed_at, known.now, fresh_ns));
    if (enough) {
      if (std::optional<Usage> usage = of_headers(known, UsageSource::kHeaders, UsageError::kNone))
        return usage;
    }
  }
  if (cache_is_fresh) return of_file(known, UsageSource::kCache, UsageError::kNone);
  return std::nullopt;
}

// What was known last, however old.
std::optional<Usage> stale(const Known& known, UsageError why) {
  if (headers_are_newer(known)) {
    if (std::optional<Usage> usage = of_headers(known, UsageSource::kStale, why)) return usage;
  }
  if (known.has_data()) return of_file(known, UsageSource::kStale, why);
  return std::nullopt;
}

Usage nothing(const Known& known, UsageError why) {
  Usage usage;
  usage.error = why;
  usage.now = known.now;
  usage.as_of = known.now;
  return usage;
}

// The transcripts depend on no token: they answer where the endpoint does not.
Usage transcripts_or(ResolveParts& parts, const Known& known, UsageError error) {
  const TranscriptAnswer answer = parts.transcripts(known.now);
  Usage usage = nothing(known, error);
  if (answer.error != UsageError::kNone) return usage;
  usage.source = UsageSource::kJsonl;
  usage.transcripts = answer.windows;
  if (usage.transcripts.five_hour) {
    // An entry dated in the future may not move the end of its block beyond now's own.
    const std::int64_t hour = core::floor_divide(known.now.seconds, 3600);
    Timestamp& start = usage.transcripts.five_hour->start;
    start = std::min(start, Timestamp{hour * 3600, 0});
  }
  return usage;
}

// Somebody else had the turn for as long as we may wait, or nearly.
Usage waited_in_vain(ResolveParts& parts, const Known& known) {
  if (std::optional<Usage> usage = stale(known, UsageError::kTimeout)) return *usage;
  return transcripts_or(parts, known, UsageError::kTimeout);
}

bool is_active(const std::optional<Lock>& lock, Timestamp now) {
  return lock && lock->blocked_until > now.seconds;
}

// Step 3: somebody is told to wait, so all of us do. Never reaches credentials or the endpoint.
Usage while_blocked(ResolveParts& parts, const Known& known, const Lock& lock) {
  const UsageError lock_error = lock.error ? usage_error_from_file(*lock.error) : UsageError::kNone;
  // Behind a refusal usage would go on growing while the numbers never move.
  if (!is_refusal(lock_error)) {
    if (std::optional<Usage> usage = stale(known, lock_error)) return *usage;
  }
  if (known.cache && known.cache->error_code) {
    return transcripts_or(parts, known, usage_error_from_file(*known.cache->error_code));
  }
  return transcripts_or(parts, known, lock.error ? lock_error : UsageError::kRateLimited);
}

std::int64_t backoff_s(const Fetched& fetched) {
  switch (fetched.error) {
    case UsageError::kRateLimited:
      return fetched.retry_after_s.value_or(kRateLimitBackoff);
    case UsageError::kForbidden:
      return kForbiddenBackoff;
    default:
      return kErrorBackoff;
  }
}

// Step 5.
Usage after_fetch(ResolveParts& parts, const Known& known, const Fetched& fetched,
                  std::int64_t fresh_ns) {
  if (fetched.error == UsageError::kNone) {
    parts.write_cache(*fetched.usage);
    parts.write_lock({known.now.seconds + fresh_ns / kSecond, {}});
    Usage usage;
    usage.source = UsageSource::kEndpoint;
    usage.now = known.now;
    usage.as_of = known.now;
    usage.endpoint = fetched.usage;
    usage.endpoint_as_of = known.now;
    return usage;
  }
  if (fetched.broken_off) return nothing(known, fetched.error);
  // A lock would keep all of the machine from an endpoint that had no time to answer.
  if (fetched.cut_short) {
    parts.end_turn();
    return waited_in_vain(parts, known);
  }
  // A peer must not find the cache of a login that is over, and take it for fresh.
  if (is_refusal(fetched.error)) parts.clear_cache();
  parts.write_lock(
      {known.now.seconds + backoff_s(fetched), std::string(usage_error_name(fetched.error))});
  parts.end_turn();
  if (!is_refusal(fetched.error)) {
    if (std::optional<Usage> usage = stale(known, fetched.error)) return *usage;
  }
  return transcripts_or(parts, known, fetched.error);
}

// Steps 1 to 3. nullopt: the endpoint is to be asked.
std::optional<Usage> without_asking(ResolveParts& parts, Known& known, std::int64_t fresh_ns) {
  if (std::optional<Usage> usage = fresh(known, fresh_ns)) return usage;
  const std::optional<Lock> lock = parts.lock();
  if (!is_active(lock, known.now)) return std::nullopt;
  // A fetcher writes the cache and then the lock: both may have happened since our look.
  known = look(parts);
  if (std::optional<Usage> usage = fresh(known, fresh_ns)) return usage;
  return while_blocked(parts, known, *lock);
}

}  // namespace

Usage resolve(ResolveParts& parts, std::int64_t fresh_ns) {
  Known known = look(parts);
  if (std::optional<Usage> usage = without_asking(parts, known, fresh_ns)) return *usage;

  // Whoever had the turn before us may have been done between our look and our turn.
  const bool my_turn = parts.wait_for_turn();
  known = look(parts);
  if (std::optional<Usage> usage = without_asking(parts, known, fresh_ns)) return *usage;
  if (!my_turn) return waited_in_vain(parts, known);

  // Step 4. Credential failures never write a lock: it would only delay the recovery.
  const TokenAnswer token = parts.token();
  if (token.error != UsageError::kNone) {
    parts.end_turn();
    return transcripts_or(parts, known, token.error);
  }
  return after_fetch(parts, known, parts.fetch(token.token), fresh_ns);
}

AtOnce resolve_at_once(ResolveParts& parts, std::int64_t fresh_ns) {
  Known known = look(parts);
  if (std::optional<Usage> usage = without_asking(parts, known, fresh_ns)) return {usage, false};
  return {stale(known, UsageError::kNone), true};
}

}  // namespace satchel::cascade
