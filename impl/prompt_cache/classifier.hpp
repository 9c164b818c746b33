// Classification: what of this prompt was seen before, what is new, and what would be written.
//
// Every failure ends in zero: no read, no creation, nothing written.
// Source: dwctl prompt_cache/classifier.rs; vectors prompt_classify.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/transport.hpp"
#include "prompt_cache/exact_count.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/metrics.hpp"
#include "prompt_cache/model_table.hpp"
#include "prompt_cache/patience.hpp"
#include "prompt_cache/principal.hpp"
#include "prompt_cache/prompt_digest.hpp"
#include "prompt_cache/remembered.hpp"
#include "prompt_cache/tokenizer.hpp"
#include "prompt_cache/usage.hpp"

namespace satchel::prompt_cache {

struct Outcome {
  bool active = false;    // the principal is known and the model enabled
  bool degraded = false;  // zero because something failed, not because of the prompt
  CacheUsage usage;
  Commit commit;
  // Tokens of the whole prompt as the upstream should count it, where they were counted exactly.
  std::optional<std::uint64_t> render_total;
};

// Who is asking: a principal that the host knows, or an API key to resolve.
struct Asker {
  std::string principal;
  std::string api_key;
};

struct ClassifierParts {
  std::unique_ptr<Principals> principals;
  std::unique_ptr<Models> models;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<core::Transport> transport;  // the host's, for a tokenizer that is a service
  std::string user_agent;                      // of our own requests
};

struct ClassifierSettings {
  std::int64_t deadline_ns = 0;
  bool exact = false;  // counts as the chat template writes, where tokenizer and model have one
};

// What is asked of a classifier. Views, valid during the call.
struct Question {
  const Asker& asker;
  std::string_view model;
  const PromptDigest* digest;  // null: the body was no prompt, or its markers were wrong
  std::string_view forwarded;  // the body as forwarded, where wants_body()
};

class Classifier {
 public:
  // `metrics`, `clock`, `log` and `index` must outlive it.
  Classifier(ClassifierParts parts, Index& index, ClassifierSettings settings, Metrics& metrics,
             core::Clock& clock, core::Log& log);

  // Nothing is asked any more once `patience` is over: the outcome is inactive then. Any thread.
  Outcome classify(const Question& question, Patience patience = {});
  // Ends what is being asked, soon; later questions are answered without a tokenizer.
  void stop() { parts_.tokenizer->stop(); }

  // Which texts a digest must keep for us.
  [[nodiscard]] KeptText wants_text() const;
  // Whether a question needs the body.
  [[nodiscard]] bool wants_body() const { return exact_; }

 private:
  struct Read {
    Entry entry;
    KnownPrefix prefix;
  };
  // A question whose model is enabled.
  struct Asked {
    std::string_view model;
    const ModelConfig& config;
    const PromptDigest& digest;
    std::string_view forwarded;
    Patience patience;
  };
  enum class Counted : std::uint8_t { kDone, kFallBack, kFailed };

  std::optional<std::string> resolve_principal(const Asker& asker, Patience patience);
  std::optional<ModelConfig> resolve_model(std::string_view model, Patience patience);
  // Nothing: out of reach. Nothing inside: not mapped.
  std::optional<std::optional<ModelVersions>> resolve_versions(std::string_view model,
                                                               Patience patience);
  core::Result<std::optional<ModelVersions>> list_versions(std::string_view model,
                                                           Patience patience);

  Outcome classify_now(const Question& question, Patience patience);
  Outcome classify_active(std::string_view principal, const Asked& asked);
  bool find_read(const Scope& scope, const PromptDigest& digest, std::optional<Read>& read);
  bool count(const Asked& asked, bool exactly, const std::optional<KnownPrefix>& known,
             BreakpointCounts& counts, Outcome& outcome);
  Counted count_exactly(const Asked& asked, const std::optional<KnownPrefix>& known,
                        BreakpointCounts& counts, Outcome& outcome);
  bool count_segments(const Asked& asked, const std::optional<KnownPrefix>& known,
                      BreakpointCounts& counts);
  Counted render_failed(const core::Error& error, Patience patience);
  core::Result<std::vector<std::uint32_t>> tokenize(const Asked& asked, std::size_t first,
                                                    std::size_t count);
  void add_writes(const PromptDigest& digest, const BreakpointCounts& counts,
                  const std::optional<KnownPrefix>& known, Outcome& outcome);
  template <class Ask>
  auto timed(Metrics::TokenizerCall call, Ask ask);
  Outcome skip(Metrics::Skip reason, bool degraded);
  void warn(core::LogOnce& once, std::string_view what, const core::Error& error,
            Patience patience);

  const ClassifierParts parts_;
  Index& index_;
  const std::int64_t deadline_ns_;
  const bool exact_;
  Metrics& metrics_;
  core::Clock& clock_;
  core::Log& log_;

  Remembered<std::optional<std::string>> principals_;  // by the key's hash
  Remembered<ModelConfig> models_;
  Remembered<std::optional<ModelVersions>> versions_;  // nothing: not mapped

  core::LogOnce principal_trouble_;
  core::LogOnce model_trouble_;
  core::LogOnce tokenizer_trouble_;
  core::LogOnce render_trouble_;
  core::LogOnce deadline_trouble_;
};

}  // namespace satchel::prompt_cache
