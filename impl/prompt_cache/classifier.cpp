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

}  // namespace

Classifier::Classifier(ClassifierParts parts, Index& index, std::int64_t deadline_ns,
                       core::Clock& clock, core::Log& log)
    : parts_(std::move(parts)),
      index_(index),
      deadline_ns_(deadline_ns),
      clock_(clock),
      log_(log),
      principals_(kPrincipalTtl, kMaxRemembered),
      models_(kModelTtl, kMaxRemembered),
      versions_(kVersionsTtl, kMaxRemembered),
      principal_trouble_(kQuiet),
      model_trouble_(kQuiet),
      tokenizer_trouble_(kQuiet),
      deadline_trouble_(kQuiet) {}

Outcome Classifier::classify(const Asker& asker, std::string_view model,
                             const PromptDigest* digest) {
  const std::int64_t started = clock_.monotonic_ns();
  const std::optional<std::string> principal = resolve_principal(asker);
  if (!principal) return {};
  const std::optional<ModelConfig> config = resolve_model(model);
  if (!config || !config->enabled) return {};
  if (digest == nullptr) return zero(true);
  if (digest->breakpoints().empty()) return zero(false);
  Outcome outcome = classify_active(*principal, model, *config, *digest);
  if (clock_.monotonic_ns() - started > deadline_ns_) {
    warn(deadline_trouble_, "took longer than classify_deadline_ms, answered as inactive", {});
    return {};
  }
  return outcome;
}

// From here on the model is enabled: whatever fails is zero, in the same shape.
Outcome Classifier::classify_active(std::string_view principal, std::string_view model,
                                    const ModelConfig& config, const PromptDigest& digest) {
  ModelVersions versions;
  switch (resolve_versions(model, versions)) {
    case Mapping::kMapped:
      break;
    case Mapping::kUnmapped:
      return zero(false);
    case Mapping::kUnreachable:
      return zero(true);
  }
  Outcome outcome = zero(false);
  Scope& scope = outcome.commit.scope;
  scope = {std::string(principal), std::string(model), versions.tokenizer};

  Read read;
  if (!find_read(scope, digest, read)) return zero(true);
  if (read.found) {
    outcome.usage.read = read.entry.cumulative_token_count;
    outcome.commit.refresh = Refresh{read.entry.hash, clock_.unix_ns() + tier_ns(read.entry.tier)};
    // All that is marked is there already. The floor is not asked: it was when this was written.
    if (read.block == digest.breakpoints().back().block) return outcome;
  }
  std::vector<std::uint64_t> counts;
  if (!count(model, digest, read, counts)) return zero(true);
  if (counts.back() < config.min_prefix_tokens) return zero(false);
  add_writes(digest, read, counts, outcome);
  return outcome;
}

// Every breakpoint beyond the read becomes an entry; the span it closes is creation of its tier.
void Classifier::add_writes(const PromptDigest& digest, const Read& read,
                            const std::vector<std::uint64_t>& counts, Outcome& outcome) {
  const std::int64_t now = clock_.unix_ns();
  std::uint64_t boundary = outcome.usage.read;
  for (std::size_t i = 0; i < digest.breakpoints().size(); ++i) {
    const Breakpoint& breakpoint = digest.breakpoints()[i];
    if (read.found && breakpoint.block <= read.block) continue;
    add_creation(outcome.usage, breakpoint.tier, counts[i] > boundary ? counts[i] - boundary : 0);
    boundary = counts[i];
    outcome.commit.writes.push_back({digest.hash_of(breakpoint.block),
                                     static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                         counts[i], std::numeric_limits<std::uint32_t>::max())),
                                     breakpoint.tier, now + tier_ns(breakpoint.tier)});
  }
}

std::optional<std::string> Classifier::resolve_principal(const Asker& asker) {
  if (!asker.principal.empty()) return asker.principal;
  if (asker.api_key.empty()) return std::nullopt;
  const core::Hash256 hash = core::sha256(asker.api_key);
  const std::string remembered_as(hash.begin(), hash.end());
  if (auto known = principals_.get(remembered_as, clock_.monotonic_ns())) return *known;
  Result<std::optional<std::string>> resolved = parts_.principals->resolve(asker.api_key);
  if (!resolved) {
    warn(principal_trouble_, "the principal cannot be resolved, not caching", resolved.error());
    return std::nullopt;
  }
  principals_.put(remembered_as, *resolved, clock_.monotonic_ns());
  return *resolved;
}

std::optional<ModelConfig> Classifier::resolve_model(std::string_view model) {
  const std::string name(model);
  if (auto known = models_.get(name, clock_.monotonic_ns())) return known;
  const Result<ModelConfig> resolved = parts_.models->resolve(model);
  if (!resolved) {
    warn(model_trouble_, "the model's configuration cannot be resolved, not caching",
         resolved.error());
    return std::nullopt;
  }
  models_.put(name, *resolved, clock_.monotonic_ns());
  return *resolved;
}

Classifier::Mapping Classifier::resolve_versions(std::string_view model, ModelVersions& versions) {
  const std::string name(model);
  auto known = versions_.get(name, clock_.monotonic_ns());
  if (!known) {
    const Result<std::vector<ModelVersions>> listed = parts_.tokenizer->versions(model);
    if (!listed) {
      // Not remembered: caching resumes with the first request after it is back.
      warn(tokenizer_trouble_, "the tokenizer's versions are out of reach, not caching",
           listed.error());
      return Mapping::kUnreachable;
    }
    known.emplace();
    for (const ModelVersions& listed_model : *listed) {
      if (listed_model.model == model) {
        *known = listed_model;
      } else {
        versions_.put(listed_model.model, listed_model, clock_.monotonic_ns());
      }
    }
    versions_.put(name, *known, clock_.monotonic_ns());
  }
  if (!*known) return Mapping::kUnmapped;
  versions = **known;
  return Mapping::kMapped;
}

// The deepest live prefix. False: the index cannot say, so nothing may be claimed as new either.
bool Classifier::find_read(const Scope& scope, const PromptDigest& digest, Read& read) {
  const Result<std::optional<Entry>> found =
      index_.lookup(scope, digest.candidates(), clock_.unix_ns());
  if (!found) return false;  // the index has logged why
  if (!*found) return true;
  const auto& candidates = digest.candidates();
  const auto match = std::find(candidates.begin(), candidates.end(), (*found)->hash);
  if (match == candidates.end()) return false;
  read.found = true;
  read.block = digest.candidate_blocks()[static_cast<std::size_t>(match - candidates.begin())];
  read.entry = **found;
  return true;
}

// Tokens up to and including each breakpoint; those at or before the read are not counted again.
bool Classifier::count(std::string_view model, const PromptDigest& digest, const Read& read,
                       std::vector<std::uint64_t>& counts) {
  const std::size_t first = read.found ? read.block + 1 : 0;
  const std::vector<Segment> segments = digest.segments(first, digest.breakpoints().back().block);
  const Result<std::vector<std::uint32_t>> cumulative = parts_.tokenizer->tokenize(model, segments);
  if (!cumulative) {
    warn(tokenizer_trouble_, "the tokenizer failed, not caching", cumulative.error());
    return false;
  }
  if (cumulative->size() != segments.size()) {
    warn(tokenizer_trouble_, "the tokenizer counted another number of segments, not caching",
         {core::Status::kCallback, std::to_string(cumulative->size()) + " counts for " +
                                       std::to_string(segments.size()) + " segments"});
    return false;
  }
  const std::uint64_t base = read.found ? read.entry.cumulative_token_count : 0;
  for (const Breakpoint& breakpoint : digest.breakpoints()) {
    counts.push_back(breakpoint.block < first ? base
                                              : base + (*cumulative)[breakpoint.block - first]);
  }
  return true;
}

void Classifier::warn(core::LogOnce& once, std::string_view what, const Error& error) {
  std::uint64_t suppressed = 0;
  if (!once.due(clock_.monotonic_ns(), &suppressed)) return;
  std::string line(what);
  if (!error.message.empty()) line.append(": ").append(error.message);
  if (suppressed > 0) line.append(" (").append(std::to_string(suppressed)).append(" times more)");
  log_.write(LogLevel::kWarn, kComponent, line);
}

}  // namespace satchel::prompt_cache
