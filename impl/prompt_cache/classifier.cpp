#include "prompt_cache/classifier.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace satchel::prompt_cache {

using core::Error;
using core::kNanosPerSecond;
using core::LogLevel;
using core::Result;

namespace {

constexpr const char* kComponent = "prompt_cache.classify";
constexpr std::size_t kMaxRemembered = 10'000;
constexpr std::int64_t kPrincipalTtl = 60 * kNanosPerSecond;
constexpr std::int64_t kModelTtl = 60 * kNanosPerSecond;
constexpr std::int64_t kVersionsTtl = 300 * kNanosPerSecond;
constexpr std::int64_t kQuiet = 60 * kNanosPerSecond;

Outcome zero(bool degraded) {
  Outcome outcome;
  outcome.active = true;
  outcome.degraded = degraded;
  return outcome;
}

void add_creation(CacheUsage& usage, Tier tier, std::uint64_t tokens) {
  switch (tier) {
    case Tier::k5m:
      usage.creation_5m += tokens;
      break;
    case Tier::k1h:
      usage.creation_1h += tokens;
      break;
    case Tier::k24h:
      usage.creation_24h += tokens;
      break;
  }
}

Metrics::TokenizerOutcome outcome_of(const Error& error) {
  switch (tokenizer_fault(error)) {
    case TokenizerFault::kUnmapped:
      return Metrics::TokenizerOutcome::kUnmapped;
    case TokenizerFault::kNoTemplate:
    case TokenizerFault::kRenderFailed:
      return Metrics::TokenizerOutcome::kRefused;
    case TokenizerFault::kBadAnswer:
      return Metrics::TokenizerOutcome::kHttpError;
    case TokenizerFault::kOutOfReach:
      break;
  }
  return Metrics::TokenizerOutcome::kTransportError;
}

Error wrong_number(std::size_t counts, std::size_t segments) {
  return tokenizer_error(TokenizerFault::kBadAnswer, std::to_string(counts) + " counts for " +
                                                         std::to_string(segments) + " segments");
}

}  // namespace

Classifier::Classifier(ClassifierParts parts, Index& index, ClassifierSettings settings,
                       Metrics& metrics, core::Clock& clock, core::Log& log)
    : parts_(std::move(parts)),
      index_(index),
      deadline_ns_(settings.deadline_ns),
      exact_(settings.exact && parts_.tokenizer->can_render()),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      principals_(kPrincipalTtl, kMaxRemembered, clock),
      models_(kModelTtl, kMaxRemembered, clock),
      versions_(kVersionsTtl, kMaxRemembered, clock),
      principal_trouble_(kQuiet),
      model_trouble_(kQuiet),
      tokenizer_trouble_(kQuiet),
      render_trouble_(kQuiet),
      deadline_trouble_(kQuiet) {}

template <class Ask>
auto Classifier::timed(Metrics::TokenizerCall call, Ask ask) {
  const std::int64_t began = clock_.monotonic_ns();
  auto answer = ask();
  metrics_.tokenizer_ns.observe(clock_.monotonic_ns() - began);
  metrics_.tokenizer_requests[static_cast<std::size_t>(call)].add(
      answer ? Metrics::TokenizerOutcome::kOk : outcome_of(answer.error()));
  return answer;
}

KeptText Classifier::wants_text() const {
  if (exact_) return KeptText::kAll;  // what a template refuses is estimated over the whole prompt
  return parts_.tokenizer->wants_text() ? KeptText::kMarked : KeptText::kNone;
}

Outcome Classifier::classify(const Question& question, Patience patience) {
  const std::int64_t began = clock_.monotonic_ns();
  patience.until_ns = std::min(patience.until_ns, began + deadline_ns_);
  Outcome outcome = classify_now(question, patience);
  metrics_.classify_ns.observe(clock_.monotonic_ns() - began);
  if (!patience.over(clock_)) return outcome;
  const bool gone = patience.given_up != nullptr && patience.given_up->load();
  if (!gone) {
    warn(deadline_trouble_, "took longer than classify_deadline_ms, answered as inactive", {}, {});
  }
  return {};
}

Outcome Classifier::classify_now(const Question& question, Patience patience) {
  const std::optional<std::string> principal = resolve_principal(question.asker, patience);
  if (!principal || patience.over(clock_)) return {};
  const std::optional<ModelConfig> config = resolve_model(question.model, patience);
  if (!config || !config->enabled) return {};
  if (question.digest == nullptr) return skip(Metrics::Skip::kUnparseable, true);
  if (question.digest->breakpoints().empty()) return skip(Metrics::Skip::kNoMarkers, false);
  return classify_active(*principal,
                         {question.model, *config, *question.digest, question.forwarded, patience});
}

// From here on the model is enabled: whatever fails is zero, in the same shape. What is over by
// then is made inactive by classify().
Outcome Classifier::classify_active(std::string_view principal, const Asked& asked) {
  const PromptDigest& digest = asked.digest;
  const auto mapping = resolve_versions(asked.model, asked.patience);
  if (!mapping) return skip(Metrics::Skip::kTokenizerUnreachable, true);
  const std::optional<ModelVersions>& versions = *mapping;
  if (!versions) return skip(Metrics::Skip::kTokenizerUnmapped, false);

  Outcome outcome = zero(false);
  Scope& scope = outcome.commit.scope;
  scope = {std::string(principal), std::string(asked.model), versions->tokenizer};
  // Exact counts mean something else than sums of segments, and change with the template: entries
  // of either must not be read as the other. A fallback does not change the scope of a model.
  const bool exactly = exact_ && !versions->chat_template.empty();
  if (exactly) scope.tokenizer_version.append("+").append(versions->chat_template);

  if (asked.patience.over(clock_)) return zero(true);
  std::optional<Read> read;
  if (!find_read(scope, digest, read)) return skip(Metrics::Skip::kIndexFailed, true);
  std::optional<KnownPrefix> known;
  if (read) {
    known = read->prefix;
    outcome.usage.read = known->tokens;
    outcome.commit.refresh =
        Refresh{read->entry.hash, clock_.unix_ns() + tier_ns(read->entry.tier)};
    // All that is marked is there already. The floor is not asked: it was when this was written.
    if (known->block == digest.breakpoints().back().block) return outcome;
  }
  BreakpointCounts counts;
  if (!count(asked, exactly, known, counts, outcome)) return zero(true);
  const auto deepest = std::find_if(counts.rbegin(), counts.rend(),
                                    [](const auto& count) { return count.has_value(); });
  if (deepest == counts.rend()) return skip(Metrics::Skip::kRenderFailed, false);
  if (**deepest < asked.config.min_prefix_tokens) return skip(Metrics::Skip::kBelowFloor, false);
  add_writes(digest, counts, known, outcome);
  return outcome;
}

// Every counted breakpoint beyond the read becomes an entry; the span it closes is creation of its
// tier.
void Classifier::add_writes(const PromptDigest& digest, const BreakpointCounts& counts,
                            const std::optional<KnownPrefix>& known, Outcome& outcome) {
  const std::int64_t now = clock_.unix_ns();
  std::uint64_t boundary = outcome.usage.read;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Breakpoint& breakpoint = digest.breakpoints()[i];
    if (!counts[i] || (known && breakpoint.block <= known->block)) continue;
    const std::uint64_t tokens = *counts[i];
    add_creation(outcome.usage, breakpoint.tier, tokens > boundary ? tokens - boundary : 0);
    boundary = tokens;
    outcome.commit.writes.push_back({digest.hash_of(breakpoint.block),
                                     static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                         tokens, std::numeric_limits<std::uint32_t>::max())),
                                     breakpoint.tier, now + tier_ns(breakpoint.tier)});
  }
}

std::optional<std::string> Classifier::resolve_principal(const Asker& asker, Patience patience) {
  if (!asker.principal.empty()) return asker.principal;
  if (asker.api_key.empty()) return std::nullopt;
  const core::Hash256 hash = core::sha256(asker.api_key);
  const std::string remembered_as(hash.begin(), hash.end());
  Metrics::Resolved how{};
  Result<std::optional<std::string>> resolved = principals_.get(
      remembered_as, patience, [&] { return parts_.principals->resolve(asker.api_key); }, how);
  if (!resolved) {
    metrics_.principals.add(how);
    warn(principal_trouble_, "the principal cannot be resolved, not caching", resolved.error(),
         patience);
    return std::nullopt;
  }
  metrics_.principals.add(*resolved ? how : Metrics::Resolved::kUnknownKey);
  return *resolved;
}

std::optional<ModelConfig> Classifier::resolve_model(std::string_view model, Patience patience) {
  Metrics::Resolved how{};
  const Result<ModelConfig> resolved = models_.get(
      std::string(model), patience, [&] { return parts_.models->resolve(model); }, how);
  metrics_.model_configs.add(how);
  if (resolved) return *resolved;
  warn(model_trouble_, "the model's configuration cannot be resolved, not caching",
       resolved.error(), patience);
  return std::nullopt;
}

std::optional<std::optional<ModelVersions>> Classifier::resolve_versions(std::string_view model,
                                                                         Patience patience) {
  Metrics::Resolved how{};
  Result<std::optional<ModelVersions>> resolved = versions_.get(
      std::string(model), patience, [&] { return list_versions(model, patience); }, how);
  metrics_.tokenizer_versions.add(how);
  if (resolved) return *resolved;
  // Not remembered: caching resumes with the first request after it is back.
  warn(tokenizer_trouble_, "the tokenizer's versions are out of reach, not caching",
       resolved.error(), patience);
  return std::nullopt;
}

Result<std::optional<ModelVersions>> Classifier::list_versions(std::string_view model,
                                                               Patience patience) {
  const Result<std::vector<ModelVersions>> listed = timed(Metrics::TokenizerCall::kVersions, [&] {
    return parts_.tokenizer->versions(model, patience);
  });
  if (!listed) return listed.error();
  std::optional<ModelVersions> found;
  for (const ModelVersions& listed_model : *listed) {
    if (listed_model.model == model) {
      found = listed_model;
    } else {
      versions_.put(listed_model.model, listed_model);
    }
  }
  return found;
}

// The deepest live prefix. False: the index cannot say, so nothing may be claimed as new either.
bool Classifier::find_read(const Scope& scope, const PromptDigest& digest,
                           std::optional<Read>& read) {
  const std::int64_t began = clock_.monotonic_ns();
  const Result<std::optional<Entry>> found =
      index_.lookup(scope, digest.candidates(), clock_.unix_ns());
  metrics_.lookup_ns.observe(clock_.monotonic_ns() - began);
  if (!found) return false;  // the index has logged why
  if (!*found) return true;
  const auto& candidates = digest.candidates();
  const auto match = std::find(candidates.begin(), candidates.end(), (*found)->hash);
  if (match == candidates.end()) return false;
  const auto at = static_cast<std::size_t>(match - candidates.begin());
  read = {**found, {digest.candidate_blocks()[at], (*found)->cumulative_token_count}};
  return true;
}

// Tokens up to and including each breakpoint; those at or before the read are not counted again.
bool Classifier::count(const Asked& asked, bool exactly, const std::optional<KnownPrefix>& known,
                       BreakpointCounts& counts, Outcome& outcome) {
  if (exactly) {
    const Counted counted = count_exactly(asked, known, counts, outcome);
    if (counted != Counted::kFallBack) return counted == Counted::kDone;
  }
  return count_segments(asked, known, counts);
}

Classifier::Counted Classifier::count_exactly(const Asked& asked,
                                              const std::optional<KnownPrefix>& known,
                                              BreakpointCounts& counts, Outcome& outcome) {
  const std::vector<Breakpoint>& breakpoints = asked.digest.breakpoints();
  core::JsonTape tape;
  if (Result<void> read = tape.read(asked.forwarded); !read) {
    return render_failed(tokenizer_error(TokenizerFault::kRenderFailed, read.error().message),
                         asked.patience);
  }
  RenderRequest request = render_request(tape);
  const std::vector<Prefix> prefixes = prefixes_beyond(breakpoints, known);
  request.prefixes = prefixes;
  if (asked.patience.over(clock_)) return Counted::kFailed;
  const Result<RenderCounts> rendered = timed(Metrics::TokenizerCall::kRender, [&] {
    return parts_.tokenizer->render(asked.model, request, asked.patience);
  });
  if (!rendered) return render_failed(rendered.error(), asked.patience);
  const RenderVerdict verdict = judge_render(*rendered, prefixes.size());
  if (verdict != RenderVerdict::kUsable) {
    const bool misaligned = verdict == RenderVerdict::kMisaligned;
    metrics_.render_fallbacks.add(misaligned ? Metrics::RenderFallback::kMisaligned
                                             : Metrics::RenderFallback::kNotMonotonic);
    warn(render_trouble_,
         misaligned ? "the tokenizer rendered another number of prefixes, counting segments"
                    : "the tokenizer's counts of rendered prefixes shrink, counting segments",
         {}, asked.patience);
    return Counted::kFallBack;
  }
  counts = counts_of(*rendered, breakpoints, known);
  if (rendered->total > 0) outcome.render_total = rendered->total;
  if (!has_gaps(counts, breakpoints, known)) return Counted::kDone;
  // Without an estimate a breakpoint stays uncounted: its span belongs to the next one counted.
  const std::size_t blocks = asked.digest.kept_blocks();
  const Result<std::vector<std::uint32_t>> plain = tokenize(asked, 0, blocks);
  if (plain && plain->size() == blocks) {
    fill_gaps(counts, breakpoints, known, *plain, rendered->total);
  } else {
    warn(render_trouble_, "what the template refuses cannot be estimated, not counting it",
         plain ? wrong_number(plain->size(), blocks) : plain.error(), asked.patience);
  }
  return Counted::kDone;
}

Classifier::Counted Classifier::render_failed(const Error& error, Patience patience) {
  switch (tokenizer_fault(error)) {
    case TokenizerFault::kNoTemplate:
      metrics_.render_fallbacks.add(Metrics::RenderFallback::kNoTemplate);
      return Counted::kFallBack;
    case TokenizerFault::kRenderFailed:
      metrics_.render_fallbacks.add(Metrics::RenderFallback::kRenderFailed);
      return Counted::kFallBack;
    case TokenizerFault::kUnmapped:
      metrics_.skips.add(Metrics::Skip::kTokenizerUnmapped);
      return Counted::kFailed;
    case TokenizerFault::kOutOfReach:
    case TokenizerFault::kBadAnswer:
      break;
  }
  metrics_.skips.add(Metrics::Skip::kRenderFailed);
  warn(tokenizer_trouble_, "the tokenizer failed to render, not caching", error, patience);
  return Counted::kFailed;
}

bool Classifier::count_segments(const Asked& asked, const std::optional<KnownPrefix>& known,
                                BreakpointCounts& counts) {
  const std::vector<Breakpoint>& breakpoints = asked.digest.breakpoints();
  const std::size_t first = known ? known->block + 1 : 0;
  const std::size_t segments = breakpoints.back().block + 1 - first;
  const Result<std::vector<std::uint32_t>> cumulative = tokenize(asked, first, segments);
  if (!cumulative) {
    metrics_.skips.add(Metrics::Skip::kTokenizeFailed);
    warn(tokenizer_trouble_, "the tokenizer failed, not caching", cumulative.error(),
         asked.patience);
    return false;
  }
  if (cumulative->size() != segments) {
    metrics_.skips.add(Metrics::Skip::kCountMismatch);
    warn(tokenizer_trouble_, "the tokenizer counted another number of segments, not caching",
         wrong_number(cumulative->size(), segments), asked.patience);
    return false;
  }
  const std::uint64_t base = known ? known->tokens : 0;
  for (const Breakpoint& breakpoint : breakpoints) {
    counts.emplace_back(breakpoint.block < first ? base
                                                 : base + (*cumulative)[breakpoint.block - first]);
  }
  return true;
}

// Plain tokens of `count` blocks from `first` on, each with those before it.
Result<std::vector<std::uint32_t>> Classifier::tokenize(const Asked& asked, std::size_t first,
                                                        std::size_t count) {
  if (asked.patience.over(clock_)) {
    return tokenizer_error(TokenizerFault::kOutOfReach, "no time left");
  }
  const std::vector<Segment> segments = asked.digest.segments(first, first + count - 1);
  Result<std::vector<std::uint32_t>> cumulative = timed(Metrics::TokenizerCall::kTokenize, [&] {
    return parts_.tokenizer->tokenize(asked.model, segments, asked.patience);
  });
  // With sums that shrink, what lies between two of them would be charged twice.
  if (cumulative && !std::is_sorted(cumulative->begin(), cumulative->end())) {
    return tokenizer_error(TokenizerFault::kBadAnswer, "its cumulative counts shrink");
  }
  return cumulative;
}

Outcome Classifier::skip(Metrics::Skip reason, bool degraded) {
  metrics_.skips.add(reason);
  return zero(degraded);
}

// What fails because nobody waits any more is no trouble of its own.
void Classifier::warn(core::LogOnce& once, std::string_view what, const Error& error,
                      Patience patience) {
  if (patience.over(clock_)) return;
  std::uint64_t suppressed = 0;
  if (!once.due(clock_.monotonic_ns(), &suppressed)) return;
  std::string line(what);
  if (!error.message.empty()) line.append(": ").append(error.message);
  if (suppressed > 0) line.append(" (").append(std::to_string(suppressed)).append(" times more)");
  log_.write(LogLevel::kWarn, kComponent, line);
}

}  // namespace satchel::prompt_cache
