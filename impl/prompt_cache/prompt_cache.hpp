// One prompt cache: its configuration, its index, its classifier and the threads it may run on, and
// the memory that requests borrow while they are parsed.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/json_canonical.hpp"
#include "core/json_edit.hpp"
#include "core/json_tape.hpp"
#include "core/log.hpp"
#include "core/sha256.hpp"
#include "prompt_cache/classification_pool.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/index_backend.hpp"
#include "prompt_cache/metrics.hpp"
#include "prompt_cache/prompt.hpp"

namespace satchel::prompt_cache {

// What parsing a body needs. Reused, so that a request allocates little.
struct Workspace {
  core::JsonTape tape;
  core::JsonCanonical canonical;
  core::Sha256 hash;
  core::JsonEdits edits;
  Prompt prompt;
};

class PromptCache {
 public:
  // Parts that are null get their built-in; `host_index` is null where the configuration says which
  // index it is. `clock` and `log` must outlive it.
  PromptCache(Config config, ClassifierParts parts, std::unique_ptr<IndexBackend> host_index,
              core::Clock& clock, core::Log& log);

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] Index& index() { return *index_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  [[nodiscard]] Classifier& classifier() { return *classifier_; }
  [[nodiscard]] core::Clock& clock() { return clock_; }
  [[nodiscard]] std::int64_t classify_deadline_ns() const {
    return config_.classify_deadline_ms * core::kNanosPerMilli;
  }

  // Does not wait: on the library's own threads.
  void classify_later(const std::shared_ptr<Classification>& classification) {
    pool_.add(classification, *classifier_);
  }

  // Ends what waits to be classified, writes what was committed and lets go of the index and of the
  // parts, while requests may still hold this object: from then on they may only be freed.
  void shut_down();

  // A workspace to use until it goes out of scope; then it is kept for the next.
  class Borrowed {
   public:
    explicit Borrowed(PromptCache& cache) : cache_(cache), workspace_(cache.take()) {}
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    ~Borrowed() { cache_.give_back(std::move(workspace_)); }
    Workspace* operator->() { return workspace_.get(); }
    Workspace& operator*() { return *workspace_; }

   private:
    PromptCache& cache_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take();
  void give_back(std::unique_ptr<Workspace> workspace);

  const Config config_;
  core::Clock& clock_;
  Metrics metrics_;
  std::shared_ptr<Index> index_;
  std::unique_ptr<Classifier> classifier_;
  ClassificationPool pool_;

  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
};

}  // namespace satchel::prompt_cache
