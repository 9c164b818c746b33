// The ABI of the prompt cache: opening, closing, the index as a whole.
#include "prompt_cache/prompt_cache.hpp"

#include <memory>
#include <utility>

#include "boundary.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_handles.hpp"
#include "prompt_parts.hpp"
#include "satchel/satchel.h"

using satchel::abi::Context;
using satchel::abi::HandleType;
using satchel::abi::OpenCache;
using satchel::abi::Pin;
using satchel::core::Error;
using satchel::core::Result;
using satchel::core::Status;
using satchel::prompt_cache::ClassifierParts;
using satchel::prompt_cache::Config;
using satchel::prompt_cache::IndexCounts;
using satchel::prompt_cache::PromptCache;
namespace abi = satchel::abi;

namespace {

Result<std::shared_ptr<OpenCache>> open_cache(std::shared_ptr<Context> context,
                                              const abi::Tables& tables, std::string_view text) {
  Result<Config> config = satchel::prompt_cache::read_prompt_cache_config(text);
  if (!config) return config.take_error();
  Result<ClassifierParts> parts = abi::make_prompt_parts(tables, *config, context);
  if (!parts) return parts.take_error();
  auto index = abi::make_index_part(tables);
  if (!index) return index.take_error();
  auto opened = std::make_shared<OpenCache>();
  opened->context = std::move(context);
  opened->engine =
      std::make_shared<PromptCache>(std::move(*config), std::move(*parts), std::move(*index),
                                    opened->context->clock(), *opened->context->log);
  return opened;
}

// Runs `use(cache)` with the cache pinned.
template <class Use>
satchel_status with_cache(satchel_prompt_cache* cache, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    if (Result<Status> pinned = abi::pin_cache(pin, cache); !pinned) return pinned.take_error();
    return use(*pin.object<OpenCache>().engine);
  });
}

}  // namespace

extern "C" {

satchel_status satchel_prompt_cache_open(satchel_library* library,
                                         const satchel_prompt_parts* parts, const char* config,
                                         size_t config_len, satchel_prompt_cache** out,
                                         satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Result<abi::Tables> tables = abi::take_tables(parts);
    if (!tables) return tables.take_error();
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    const Result<std::string_view> text = abi::bytes_of(config, config_len, "config");
    if (!text) return text.error();
    Pin pin;
    const Status pinned = pin.acquire(library, HandleType::kLibrary);
    if (pinned != Status::kOk) return abi::handle_error(pinned, library, HandleType::kLibrary);
    Result<std::shared_ptr<OpenCache>> opened =
        open_cache(std::static_pointer_cast<Context>(pin.shared()), *tables, *text);
    if (!opened) return opened.take_error();
    *out = static_cast<satchel_prompt_cache*>(
        abi::open_handle(HandleType::kPromptCache, std::move(*opened), library));
    return Status::kOk;
  });
}

satchel_status satchel_prompt_cache_close(satchel_prompt_cache** cache) {
  if (cache != nullptr) {
    // Whoever is inside would otherwise be waited for until the tokenizer answers.
    Pin pin;
    if (pin.acquire_outermost(*cache, HandleType::kPromptCache) == Status::kOk) {
      pin.object<OpenCache>().engine->classifier().stop();
    }
  }
  return abi::close_and_forget(cache, HandleType::kPromptCache);
}

satchel_status satchel_prompt_cache_flush(satchel_prompt_cache* cache, uint32_t timeout_ms,
                                          satchel_error* error) {
  return with_cache(cache, error, [&](PromptCache& engine) -> Result<Status> {
    if (engine.index().flush(timeout_ms * satchel::core::kNanosPerMilli)) return Status::kOk;
    return Error{Status::kTimeout,
                 "commits were still waiting after " + std::to_string(timeout_ms) + " ms", 0, 0};
  });
}

satchel_status satchel_prompt_cache_forget(satchel_prompt_cache* cache, satchel_error* error) {
  return with_cache(cache, error, [&](PromptCache& engine) -> Result<Status> {
    if (Result<void> forgotten = engine.index().forget(); !forgotten) {
      return forgotten.take_error();
    }
    return Status::kOk;
  });
}

satchel_status satchel_prompt_cache_max_body(satchel_prompt_cache* cache, uint64_t* bytes,
                                             satchel_error* error) {
  return with_cache(cache, error, [&](PromptCache& engine) -> Result<Status> {
    if (bytes == nullptr) return abi::argument_error("bytes", "is NULL");
    *bytes = static_cast<uint64_t>(engine.config().max_body_bytes);
    return Status::kOk;
  });
}

satchel_status satchel_prompt_cache_index_counts(satchel_prompt_cache* cache,
                                                 satchel_index_counts* counts,
                                                 satchel_error* error) {
  return with_cache(cache, error, [&](PromptCache& engine) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(counts, sizeof *counts, "counts");
        !checked) {
      return checked.take_error();
    }
    const IndexCounts now = engine.index().counts();
    counts->lookups = now.lookups;
    counts->lookup_failures = now.lookup_failures;
    counts->hits = now.hits;
    counts->entries_written = now.entries_written;
    counts->entries_refreshed = now.entries_refreshed;
    counts->entries_dropped = now.entries_dropped;
    counts->entries_swept = now.entries_swept;
    counts->entries_waiting = now.entries_waiting;
    counts->lookups_turned_away = now.lookups_turned_away;
    counts->write_retries = now.write_retries;
    return Status::kOk;
  });
}

satchel_status satchel_prompt_cache_metrics(satchel_prompt_cache* cache, satchel_buffer* out,
                                            satchel_error* error) {
  return with_cache(cache, error, [&](PromptCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    abi::fill_buffer(out, engine.metrics().text(engine.index().counts()));
    return Status::kOk;
  });
}

}  // extern "C"
