#include "prompt_parts.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "host_index.hpp"
#include "http.hpp"

using satchel::prompt_cache::ClassifierParts;
using satchel::prompt_cache::ModelConfig;
using satchel::prompt_cache::ModelVersions;
using satchel::prompt_cache::Patience;
using satchel::prompt_cache::Prefix;
using satchel::prompt_cache::RenderCounts;
using satchel::prompt_cache::RenderRequest;
using satchel::prompt_cache::Segment;
using satchel::prompt_cache::TokenizerFault;

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
struct satchel_render_answer {
  std::optional<RenderCounts> counts;
  std::optional<TokenizerFault> fault;
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
  HostTokenizer(Shared<satchel_tokenizer> table, std::shared_ptr<Context> context)
      : table_(std::move(table)), context_(std::move(context)) {}

  [[nodiscard]] bool wants_text() const override { return true; }
  [[nodiscard]] bool can_render() const override { return (*table_)->render != nullptr; }

  Result<std::vector<ModelVersions>> versions(std::string_view model, Patience patience) override {
    satchel_versions_answer answer;
    const satchel_status status =
        (*table_)->versions((*table_)->user, model.data(), model.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->versions(model, patience);
    if (Result<void> ok = answered("tokenizer.versions", status); !ok) return ok.take_error();
    return std::move(answer.models);
  }

  Result<std::vector<std::uint32_t>> tokenize(std::string_view model,
                                              std::span<const Segment> segments,
                                              Patience patience) override {
    std::vector<satchel_view> views;
    views.reserve(segments.size());
    for (const Segment& segment : segments) views.push_back(view_of(segment.text));
    satchel_counts_answer answer;
    const satchel_status status = (*table_)->tokenize((*table_)->user, model.data(), model.size(),
                                                      views.data(), views.size(), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->tokenize(model, segments, patience);
    if (Result<void> ok = answered("tokenizer.tokenize", status); !ok) return ok.take_error();
    return std::move(answer.cumulative);
  }

  Result<RenderCounts> render(std::string_view model, const RenderRequest& request,
                              Patience patience) override {
    std::vector<satchel_prefix> prefixes;
    prefixes.reserve(request.prefixes.size());
    for (const Prefix& prefix : request.prefixes) {
      prefixes.push_back({prefix.tools, prefix.message, prefix.block, prefix.tool_call});
    }
    const std::int64_t left_ms = patience.left_ns(context_->clock()) / core::kNanosPerMilli;
    const satchel_render_request asked{sizeof(satchel_render_request),
                                       view_of(request.messages),
                                       view_of(request.tools),
                                       prefixes.data(),
                                       prefixes.size(),
                                       static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                                           left_ms, 1, std::numeric_limits<std::uint32_t>::max())),
                                       0};
    satchel_render_answer answer;
    const satchel_status status =
        (*table_)->render((*table_)->user, model.data(), model.size(), &asked, &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->render(model, request, patience);
    if (Result<void> ok = answered("tokenizer.render", status); !ok) return ok.take_error();
    if (answer.fault) return tokenizer_error(*answer.fault, "tokenizer.render says so");
    if (answer.counts) return std::move(*answer.counts);
    return core::Error{core::Status::kCallback, "tokenizer.render answered OK without an answer", 0,
                       0};
  }

 private:
  const Shared<satchel_tokenizer> table_;
  const std::shared_ptr<Context> context_;
  const std::unique_ptr<prompt_cache::Tokenizer> built_in_ = prompt_cache::make_byte_estimate();
};

// Throws nothing: there are other tables to be taken.
template <class Table>
Result<void> take(const Table* table, const char* name, Shared<Table>& taken,
                  std::size_t first = 0) try {
  if (table == nullptr) return Ok{};
  Result<void> checked = check_input_struct(table, sizeof(Table), name, first);
  if (checked) taken = take_table(read_input_struct(*table));
  return checked;
} catch (const std::bad_alloc&) {
  return core::Error{core::Status::kMemory, {}, 0, 0};
}

// What the configuration says of tokenizers, and the host brings, must fit together.
Result<void> check_tokenizer(const prompt_cache::Config& config,
                             const prompt_cache::Tokenizer* host) {
  const bool service = !config.tokenizer.url.empty();
  const char* wrong = nullptr;
  if (service && host != nullptr) {
    wrong = "configuration: tokenizer: the host brings one already";
  } else if (config.exact && !service && (host == nullptr || !host->can_render())) {
    wrong = "configuration: exact: needs a tokenizer that renders";
  }
  if (wrong == nullptr) return Ok{};
  return core::Error{core::Status::kConfig, wrong, 0, 0};
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
  Result<void> tokenizer =
      take(parts->tokenizer, "tokenizer", tables.tokenizer, offsetof(satchel_tokenizer, render));
  Result<void> index = take(parts->index, "index", tables.index);
  for (Result<void>* taken : {&principals, &models, &tokenizer, &index}) {
    if (!*taken) return taken->take_error();
  }
  return tables;
}

Result<ClassifierParts> make_prompt_parts(const Tables& tables, const prompt_cache::Config& config,
                                          const std::shared_ptr<Context>& context) {
  ClassifierParts taken;
  taken.transport = make_host_transport(context);
  taken.user_agent = "satchel/" SATCHEL_VERSION_STRING;
  if (tables.principals != nullptr && (*tables.principals)->resolve != nullptr) {
    taken.principals = std::make_unique<HostPrincipals>(tables.principals);
  }
  if (tables.models != nullptr && (*tables.models)->resolve != nullptr) {
    taken.models = std::make_unique<HostModels>(tables.models, config.models);
  }
  if (tables.tokenizer != nullptr) {
    const bool versions = (*tables.tokenizer)->versions != nullptr;
    const bool tokenize = (*tables.tokenizer)->tokenize != nullptr;
    if (versions != tokenize) {
      return argument_error("tokenizer", "has one of versions and tokenize; it needs both");
    }
    if ((*tables.tokenizer)->render != nullptr && !versions) {
      return argument_error("tokenizer", "has render alone; it needs versions and tokenize");
    }
    if (versions) taken.tokenizer = std::make_unique<HostTokenizer>(tables.tokenizer, context);
  }
  if (Result<void> checked = check_tokenizer(config, taken.tokenizer.get()); !checked) {
    return checked.take_error();
  }
  return taken;
}

Result<std::unique_ptr<prompt_cache::IndexBackend>> make_index_part(const Tables& tables) {
  if (tables.index == nullptr) return std::unique_ptr<prompt_cache::IndexBackend>();
  const bool find = (*tables.index)->find != nullptr;
  const bool commit = (*tables.index)->commit != nullptr;
  if (find != commit) return argument_error("index", "has one of find and commit; it needs both");
  if (!find) return std::unique_ptr<prompt_cache::IndexBackend>();
  return make_host_index(tables.index);
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
    const Result<std::span<const uint32_t>> given = abi::items_of(cumulative, count, "cumulative");
    if (!given) return given.error();
    answer->cumulative.assign(given->begin(), given->end());
    return Status::kOk;
  });
}

satchel_status satchel_render_set(satchel_render_answer* answer, uint32_t total,
                                  const int64_t* prefix_counts, size_t count) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::span<const int64_t>> all =
        abi::items_of(prefix_counts, count, "prefix_counts");
    if (!all) return all.error();
    RenderCounts counts;
    counts.total = total;
    for (const int64_t given : *all) {
      if (given < SATCHEL_NOT_COUNTED || given > std::numeric_limits<std::uint32_t>::max()) {
        return abi::argument_error("prefix_counts", "holds what is no count of tokens");
      }
      std::optional<std::uint32_t>& kept = counts.prefixes.emplace_back();
      if (given != SATCHEL_NOT_COUNTED) kept = static_cast<std::uint32_t>(given);
    }
    answer->counts = std::move(counts);
    return Status::kOk;
  });
}

satchel_status satchel_render_fail(satchel_render_answer* answer, int32_t reason) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    switch (reason) {
      case SATCHEL_RENDER_UNMAPPED:
        answer->fault = TokenizerFault::kUnmapped;
        return Status::kOk;
      case SATCHEL_RENDER_NO_TEMPLATE:
        answer->fault = TokenizerFault::kNoTemplate;
        return Status::kOk;
      case SATCHEL_RENDER_FAILED:
        answer->fault = TokenizerFault::kRenderFailed;
        return Status::kOk;
      default:
        return abi::argument_error("reason", "is no SATCHEL_RENDER_*");
    }
  });
}

}  // extern "C"
