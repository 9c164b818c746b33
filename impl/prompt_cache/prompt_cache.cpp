#include "prompt_cache/prompt_cache.hpp"

#include <utility>

#include "prompt_cache/memory_index.hpp"
#include "prompt_cache/sqlite_index.hpp"

namespace satchel::prompt_cache {
namespace {

// How many workspaces wait for the next request, and how large each may be by then. More requests
// at once are served as well: their workspaces are freed instead of kept.
constexpr std::size_t kKeptWorkspaces = 16;
constexpr std::size_t kKeptBytes = std::size_t{4} << 20;

std::shared_ptr<Index> make_index(const Config& config, core::Clock& clock, core::Log& log) {
  const std::int64_t sweep_interval_ns = config.index.sweep_interval_ms * core::kNanosPerMilli;
  if (config.index.kind == "sqlite") {
    SqliteIndexOptions options;
    options.path = config.index.path;
    options.max_bytes = static_cast<std::uint64_t>(config.index.max_bytes);
    options.sweep_interval_ns = sweep_interval_ns;
    options.commit_deadline_ns = config.commit_deadline_ms * core::kNanosPerMilli;
    return make_sqlite_index(options, clock, log);
  }
  MemoryIndexOptions options;
  options.max_entries = static_cast<std::size_t>(config.index.max_entries);
  options.sweep_interval_ns = sweep_interval_ns;
  return make_memory_index(options, clock, log);
}

ClassifierParts with_built_ins(ClassifierParts parts, const Config& config) {
  if (!parts.principals) parts.principals = make_key_principals();
  if (!parts.models) parts.models = make_model_table(config.models);
  if (!parts.tokenizer) parts.tokenizer = make_byte_estimate();
  return parts;
}

}  // namespace

PromptCache::PromptCache(Config config, ClassifierParts parts, core::Clock& clock, core::Log& log)
    : config_(std::move(config)),
      index_(make_index(config_, clock, log)),
      classifier_(std::make_unique<Classifier>(with_built_ins(std::move(parts), config_), *index_,
                                               config_.classify_deadline_ms * core::kNanosPerMilli,
                                               clock, log)) {
  // Giving back happens in destructors, which must not fail for want of memory.
  workspaces_.reserve(kKeptWorkspaces);
}

void PromptCache::shut_down() {
  classifier_.reset();
  index_.reset();
}

std::unique_ptr<Workspace> PromptCache::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!workspaces_.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(workspaces_.back());
      workspaces_.pop_back();
      return workspace;
    }
  }
  return std::make_unique<Workspace>();
}

void PromptCache::give_back(std::unique_ptr<Workspace> workspace) {
  workspace->tape.shrink(kKeptBytes);
  workspace->canonical.shrink(kKeptBytes);
  workspace->prompt.shrink(kKeptBytes);
  workspace->edits.shrink(kKeptBytes);
  const std::lock_guard lock(mutex_);
  if (workspaces_.size() < kKeptWorkspaces) workspaces_.push_back(std::move(workspace));
}

}  // namespace satchel::prompt_cache
