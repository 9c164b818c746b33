#include "prompt_parts.hpp"

#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boundary.hpp"

using satchel::prompt_cache::ClassifierParts;
using satchel::prompt_cache::ModelConfig;
using satchel::prompt_cache::ModelVersions;
using satchel::prompt_cache::Segment;

// What callbacks fill: they live on the stack of the call that asks.
struct satchel_principal_answer {
  std::optional<std::string> id;
};
struct satchel_model_answer {
  ModelConfig config;
};
struct satchel_versions_answer {
  std::vector<ModelVersions> models;
};
struct satchel_counts_answer {
  std::vector<std::uint32_t> cumulative;
};

namespace satchel::abi {

using core::Ok;
using core::Result;

namespace {

class HostPrincipals final : public prompt_cache::Principals {
 public:
  explicit HostPrincipals(Shared<satchel_principals> table) : table_(std::move(table)) {}

  Result<std::optional<std::string>> resolve(std::string_view api_key) override {
    satchel_principal_answer answer;
    const satchel_status status =
        (*table_)->resolve((*table_)->user, api_key.data(), api_key.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->resolve(api_key);
    if (Result<void> ok = answered("principals.resolve", status); !ok) return ok.take_error();
    return std::move(answer.id);
  }

 private:
  const Shared<satchel_principals> table_;
  const std::unique_ptr<prompt_cache::Principals> built_in_ = prompt_cache::make_key_principals();
};

class HostModels final : public prompt_cache::Models {
 public:
  HostModels(Shared<satchel_models> table, prompt_cache::ModelTable built_in)
      : table_(std::move(table)), built_in_(prompt_cache::make_model_table(std::move(built_in))) {}

  Result<ModelConfig> resolve(std::string_view model) override {
    satchel_model_answer answer;
    const satchel_status status =
        (*table_)->resolve((*table_)->user, model.data(), model.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->resolve(model);
    if (Result<void> ok = answered("models.resolve", status); !ok) return ok.take_error();
    return answer.config;
  }

 private:
  const Shared<satchel_models> table_;
  const std::unique_ptr<prompt_cache::Models> built_in_;
};

class HostTokenizer final : public prompt_cache::Tokenizer {
 public:
  explicit HostTokenizer(Shared<satchel_tokenizer> table) : table_(std::move(table)) {}

  [[nodiscard]] bool wants_text() const override { return true; }

  Result<std::vector<ModelVersions>> versions(std::string_view model) override {
    satchel_versions_answer answer;
    const satchel_status status =
        (*table_)->versions((*table_)->user, model.data(), model.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->versions(model);
    if (Result<void> ok = answered("tokenizer.versions", status); !ok) return ok.take_error();
    return std::move(answer.models);
  }

  Result<std::vector<std::uint32_t>> tokenize(std::string_view model,
                                              std::span<const Segment> segments) override {
    std::vector<satchel_view> views;
    views.reserve(segments.size());
    for (const Segment& segment : segments) views.push_back(view_of(segment.text));
    satchel_counts_answer answer;
    const satchel_status status = (*table_)->tokenize((*table_)->user, model.data(), model.size(),
                                                      views.data(), views.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->tokenize(model, segments);
    if (Result<void> ok = answered("tokenizer.tokenize", status); !ok) return ok.take_error();
    return std::move(answer.cumulative);
  }

 private:
  const Shared<satchel_tokenizer> table_;
  const std::unique_ptr<prompt_cache::Tokenizer> built_in_ = prompt_cache::make_byte_estimate();
};

// Throws nothing: there are other tables to be taken.
template <class Table>
Result<void> take(const Table* table, const char* name, Shared<Table>& taken) try {
  if (table == nullptr) return Ok{};
  Result<void> checked = check_input_struct(table, sizeof(Table), name);
  if (checked) taken = take_table(*table);
  return checked;
} catch (const std::bad_alloc&) {
  return core::Error{core::Status::kMemory, {}, 0, 0};
}

}  // namespace

Result<Tables> take_tables(const satchel_prompt_parts* parts) {
  Tables tables;
  if (parts == nullptr) return tables;
  if (Result<void> checked = check_input_struct(parts, sizeof *parts, "parts"); !checked) {
    return checked.take_error();
  }
  Result<void> principals = take(parts->principals, "principals", tables.principals);
  Result<void> models = take(parts->models, "models", tables.models);
  Result<void> tokenizer = take(parts->tokenizer, "tokenizer", tables.tokenizer);
  for (Result<void>* taken : {&principals, &models, &tokenizer}) {
    if (!*taken) return taken->take_error();
  }
  return tables;
}

Result<ClassifierParts> make_prompt_parts(const Tables& tables,
                                          const prompt_cache::ModelTable& models) {
  ClassifierParts taken;
  if (tables.principals != nullptr && (*tables.principals)->resolve != nullptr) {
    taken.principals = std::make_unique<HostPrincipals>(tables.principals);
  }
  if (tables.models != nullptr && (*tables.models)->resolve != nullptr) {
    taken.models = std::make_unique<HostModels>(tables.models, models);
  }
  if (tables.tokenizer != nullptr) {
    const bool versions = (*tables.tokenizer)->versions != nullptr;
    const bool tokenize = (*tables.tokenizer)->tokenize != nullptr;
    if (versions != tokenize) {
      return argument_error("tokenizer", "has one of versions and tokenize; it needs both");
    }
    if (versions) taken.tokenizer = std::make_unique<HostTokenizer>(tables.tokenizer);
  }
  return taken;
}

}  // namespace satchel::abi

namespace abi = satchel::abi;
using satchel::core::Result;
using satchel::core::Status;

extern "C" {

void satchel_principals_init(satchel_principals* principals) {
  if (principals != nullptr) *principals = SATCHEL_PRINCIPALS_INIT;
}

void satchel_models_init(satchel_models* models) {
  if (models != nullptr) *models = SATCHEL_MODELS_INIT;
}

void satchel_tokenizer_init(satchel_tokenizer* tokenizer) {
  if (tokenizer != nullptr) *tokenizer = SATCHEL_TOKENIZER_INIT;
}

void satchel_prompt_parts_init(satchel_prompt_parts* parts) {
  if (parts != nullptr) *parts = SATCHEL_PROMPT_PARTS_INIT;
}

satchel_status satchel_principal_set(satchel_principal_answer* answer, const char* id,
                                     size_t id_len) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    const Result<std::string_view> text = abi::bytes_of(id, id_len, "id");
    if (answer == nullptr || !text) return abi::argument_error("answer or id", "is NULL");
    if (text->empty()) return abi::argument_error("id", "is empty");
    answer->id = std::string(*text);
    return Status::kOk;
  });
}

satchel_status satchel_model_set(satchel_model_answer* answer, int32_t enabled,
                                 uint32_t min_prefix_tokens) {
  if (answer == nullptr) return SATCHEL_ERR_ARGUMENT;
  answer->config = {enabled != 0, min_prefix_tokens};
  return SATCHEL_OK;
}

satchel_status satchel_versions_add(satchel_versions_answer* answer, const char* model,
                                    size_t model_len, const char* tokenizer_version,
                                    size_t tokenizer_version_len, const char* template_version,
                                    size_t template_version_len) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> name = abi::bytes_of(model, model_len, "model");
    if (!name) return name.error();
    const Result<std::string_view> tokenizer =
        abi::bytes_of(tokenizer_version, tokenizer_version_len, "tokenizer_version");
    if (!tokenizer) return tokenizer.error();
    const Result<std::string_view> chat_template =
        abi::bytes_of(template_version, template_version_len, "template_version");
    if (!chat_template) return chat_template.error();
    answer->models.push_back(
        {std::string(*name), std::string(*tokenizer), std::string(*chat_template)});
    return Status::kOk;
  });
}

satchel_status satchel_counts_set(satchel_counts_answer* answer, const uint32_t* cumulative,
                                  size_t count) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    if (cumulative == nullptr && count != 0) return abi::argument_error("cumulative", "is NULL");
    answer->cumulative.assign(cumulative, cumulative + count);
    return Status::kOk;
  });
}

}  // extern "C"
