#include "prompt_cache/prompt_cache.hpp"

#include <utility>

#include "core/curl_transport.hpp"
#include "prompt_cache/http_tokenizer.hpp"
#include "prompt_cache/make_index.hpp"

namespace satchel::prompt_cache {
namespace {

// How many workspaces wait for the next request, and how large each may be by then. More requests
// at once are served as well: their workspaces are freed instead of kept.
constexpr std::size_t kKeptWorkspaces = 16;
constexpr std::size_t kKeptBytes = std::size_t{4} << 20;

std::vector<std::string> model_names(const Config& config) {
  std::vector<std::string> names;
  for (const auto& [name, model] : config.models) {
    if (name != "*") names.push_back(name);
  }
  return names;
}

ClassifierParts with_built_ins(ClassifierParts parts, const Config& config, Metrics& metrics,
                               core::Clock& clock, core::Log& log) {
  if (!parts.principals) parts.principals = make_key_principals();
  if (!parts.models) parts.models = make_model_table(config.models);
  if (parts.tokenizer) return parts;
  if (config.tokenizer.url.empty()) {
    parts.tokenizer = make_byte_estimate();
    return parts;
  }
  std::unique_ptr<core::Transport> transport = core::with_built_in(
      std::move(parts.transport),
      core::make_curl_transport({parts.user_agent, config.tokenizer.ca_file}, log));
  parts.tokenizer =
      make_http_tokenizer(config.tokenizer, std::move(transport), metrics.tokenizer_retries, clock);
  return parts;
}

}  // namespace

PromptCache::PromptCache(Config config, ClassifierParts parts,
                         std::unique_ptr<IndexBackend> host_index, core::Clock& clock,
                         core::Log& log)
    : config_(std::move(config)),
      clock_(clock),
      metrics_(model_names(config_)),
      index_(make_index(config_, std::move(host_index), clock, log)),
      classifier_(std::make_unique<Classifier>(
          with_built_ins(std::move(parts), config_, metrics_, clock, log), *index_,
          ClassifierSettings{classify_deadline_ns(), config_.exact}, metrics_, clock, log)),
      pool_(static_cast<std::size_t>(config_.classify_threads),
            static_cast<std::size_t>(config_.classify_queue)) {
  // Giving back happens in destructors, which must not fail for want of memory.
  workspaces_.reserve(kKeptWorkspaces);
}

void PromptCache::shut_down() {
  pool_.stop();
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
