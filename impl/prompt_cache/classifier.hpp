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
#include "core/ttl_cache.hpp"
#include "prompt_cache/index.hpp"
#include "prompt_cache/model_table.hpp"
#include "prompt_cache/principal.hpp"
#include "prompt_cache/prompt_digest.hpp"
#include "prompt_cache/tokenizer.hpp"
#include "prompt_cache/usage.hpp"

namespace satchel::prompt_cache {

struct Outcome {
  bool active = false;    // the principal is known and the model enabled
  bool degraded = false;  // zero because something failed, not because of the prompt
  CacheUsage usage;
  Commit commit;
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
};

class Classifier {
 public:
  // `clock`, `log` and `index` must outlive it.
  Classifier(ClassifierParts parts, Index& index, std::int64_t deadline_ns, core::Clock& clock,
             core::Log& log);

  // `digest` is null where the body was no prompt or its markers were wrong. Any thread.
  Outcome classify(const Asker& asker, std::string_view model, const PromptDigest* digest);

  [[nodiscard]] bool wants_text() const { return parts_.tokenizer->wants_text(); }

 private:
  struct Read {
    bool found = false;
    std::size_t block = 0;
    Entry entry;
  };

  std::optional<std::string> resolve_principal(const Asker& asker);
  std::optional<ModelConfig> resolve_model(std::string_view model);
  enum class Mapping : std::uint8_t { kMapped, kUnmapped, kUnreachable };
  Mapping resolve_versions(std::string_view model, ModelVersions& versions);
  bool find_read(const Scope& scope, const PromptDigest& digest, Read& read);
  bool count(std::string_view model, const PromptDigest& digest, const Read& read,
             std::vector<std::uint64_t>& counts);
  Outcome classify_active(std::string_view principal, std::string_view model,
                          const ModelConfig& config, const PromptDigest& digest);
  void add_writes(const PromptDigest& digest, const Read& read,
                  const std::vector<std::uint64_t>& counts, Outcome& outcome);
  void warn(core::LogOnce& once, std::string_view what, const core::Error& error);

  const ClassifierParts parts_;
  Index& index_;
  const std::int64_t deadline_ns_;
  core::Clock& clock_;
  core::Log& log_;

  core::TtlCache<std::optional<std::string>> principals_;  // by the key's hash
  core::TtlCache<ModelConfig> models_;
  core::TtlCache<std::optional<ModelVersions>> versions_;  // nothing: not mapped

  core::LogOnce principal_trouble_;
  core::LogOnce model_trouble_;
  core::LogOnce tokenizer_trouble_;
  core::LogOnce deadline_trouble_;
};

}  // namespace satchel::prompt_cache
