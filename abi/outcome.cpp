// The ABI of a classification by itself.
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "boundary.hpp"
#include "core/secret.hpp"
#include "prompt_cache/classifier.hpp"
#include "prompt_cache/forward.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_handles.hpp"
#include "satchel/satchel.h"

using satchel::abi::HandleType;
using satchel::abi::OpenCache;
using satchel::abi::Pin;
using satchel::core::Error;
using satchel::core::Result;
using satchel::core::Status;
using satchel::prompt_cache::Asker;
using satchel::prompt_cache::Entry;
using satchel::prompt_cache::Outcome;
using satchel::prompt_cache::PromptCache;
using satchel::prompt_cache::PromptDigest;
using satchel::prompt_cache::TelemetryPolicy;
using satchel::prompt_cache::Workspace;
namespace abi = satchel::abi;
namespace prompt_cache = satchel::prompt_cache;

namespace {

struct OpenOutcome {
  const void* cache = nullptr;  // the handle it came from
  std::mutex mutex;             // guards `committed`
  bool committed = false;
  Outcome outcome;
};

// The body as a request would send it.
std::string forwarded_body(Workspace& workspace, const TelemetryPolicy& telemetry,
                           std::string_view body) {
  std::string forwarded(body);
  workspace.edits.clear();
  prompt_cache::edit_forwarded_body(workspace.tape.root(), telemetry, workspace.edits);
  if (!workspace.edits.empty()) workspace.edits.apply(body, forwarded);
  return forwarded;
}

Outcome classify(PromptCache& cache, const Asker& asker, std::string_view model,
                 std::string_view body) {
  PromptCache::Borrowed workspace(cache);
  PromptDigest digest;
  bool parsed = workspace->tape.read(body).ok();
  if (parsed) {
    workspace->prompt.read(workspace->tape, cache.config().policy);
    parsed = workspace->prompt.find_breakpoints().ok();
  }
  std::string forwarded;
  if (parsed) {
    digest.make(workspace->prompt, cache.classifier().wants_text(), workspace->canonical,
                workspace->hash);
    if (cache.classifier().wants_body() && !digest.breakpoints().empty()) {
      forwarded = forwarded_body(*workspace, cache.config().policy.telemetry, body);
    }
  }
  return cache.classifier().classify({asker, model, parsed ? &digest : nullptr, forwarded});
}

Result<void> read_asker(const satchel_request_head* who, Asker& asker) {
  if (Result<void> checked = abi::check_input_struct(who, sizeof *who, "who"); !checked) {
    return checked;
  }
  const Result<std::string_view> principal =
      abi::bytes_of(who->principal.data, who->principal.len, "principal");
  if (!principal) return principal.error();
  const Result<std::string_view> key =
      abi::bytes_of(who->api_key.data, who->api_key.len, "api_key");
  if (!key) return key.error();
  const Result<std::string_view> header =
      abi::bytes_of(who->authorization.data, who->authorization.len, "authorization");
  if (!header) return header.error();
  asker.principal = *principal;
  asker.api_key = key->empty() ? prompt_cache::bearer_token(*header) : *key;
  return satchel::core::Ok{};
}

satchel_outcome_summary summary_of(const Outcome& found) {
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  summary.active = found.active ? 1 : 0;
  summary.degraded = found.degraded ? 1 : 0;
  summary.has_refresh = found.commit.refresh ? 1 : 0;
  summary.read = found.usage.read;
  summary.creation_5m = found.usage.creation_5m;
  summary.creation_1h = found.usage.creation_1h;
  summary.creation_24h = found.usage.creation_24h;
  summary.entry_count = found.commit.writes.size();
  if (found.commit.refresh) {
    std::memcpy(summary.refresh_hash, found.commit.refresh->hash.data(),
                sizeof summary.refresh_hash);
    summary.refresh_expires_at = found.commit.refresh->expires_at;
  }
  summary.principal = abi::view_of(found.commit.scope.principal);
  summary.model = abi::view_of(found.commit.scope.model);
  summary.tokenizer_version = abi::view_of(found.commit.scope.tokenizer_version);
  summary.render_total = found.render_total.value_or(0);
  summary.has_render_total = found.render_total ? 1 : 0;
  return summary;
}

template <class Use>
satchel_status with_outcome(satchel_outcome* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kOutcome);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kOutcome);
    return use(pin.object<OpenOutcome>());
  });
}

}  // namespace

extern "C" {

satchel_status satchel_prompt_classify(satchel_prompt_cache* cache, const satchel_request_head* who,
                                       const char* model, size_t model_len, const char* body,
                                       size_t body_len, satchel_outcome** out,
                                       satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    Pin pin;
    if (Result<Status> pinned = abi::pin_cache(pin, cache); !pinned) return pinned.take_error();
    const Result<std::string_view> name = abi::bytes_of(model, model_len, "model");
    if (!name) return name.error();
    const Result<std::string_view> bytes = abi::bytes_of(body, body_len, "body");
    if (!bytes) return bytes.error();
    Asker asker;
    if (Result<void> read = read_asker(who, asker); !read) return read.take_error();
    auto opened = std::make_shared<OpenOutcome>();
    opened->cache = cache;
    opened->outcome = classify(*pin.object<OpenCache>().engine, asker, *name, *bytes);
    satchel::core::wipe(asker.api_key);
    *out = static_cast<satchel_outcome*>(abi::open_handle(HandleType::kOutcome, std::move(opened)));
    return Status::kOk;
  });
}

satchel_status satchel_outcome_summary_get(satchel_outcome* outcome,
                                           satchel_outcome_summary* summary, satchel_error* error) {
  return with_outcome(outcome, error, [&](const OpenOutcome& open) -> Result<Status> {
    constexpr std::size_t kFirstSize = offsetof(satchel_outcome_summary, render_total);
    if (Result<void> checked =
            abi::check_output_struct(summary, sizeof *summary, "summary", kFirstSize);
        !checked) {
      return checked.take_error();
    }
    const satchel_outcome_summary now = summary_of(open.outcome);
    abi::fill_output_struct(summary, now);
    return Status::kOk;
  });
}

satchel_status satchel_outcome_entry(satchel_outcome* outcome, size_t index, satchel_entry* entry,
                                     satchel_error* error) {
  return with_outcome(outcome, error, [&](const OpenOutcome& open) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(entry, sizeof *entry, "entry"); !checked) {
      return checked.take_error();
    }
    const auto& writes = open.outcome.commit.writes;
    if (index >= writes.size()) return abi::argument_error("index", "is out of range");
    const Entry& write = writes[index];
    std::memcpy(entry->hash, write.hash.data(), sizeof entry->hash);
    entry->cumulative_token_count = write.cumulative_token_count;
    entry->expires_at = write.expires_at;
    entry->tier = static_cast<int32_t>(write.tier);
    entry->reserved = 0;
    return Status::kOk;
  });
}

satchel_status satchel_outcome_commit(satchel_outcome* outcome, satchel_error* error) {
  return with_outcome(outcome, error, [&](OpenOutcome& open) -> Result<Status> {
    Pin cache;
    if (Result<Status> pinned = abi::pin_cache(cache, open.cache); !pinned) {
      return pinned.take_error();
    }
    {
      const std::lock_guard lock(open.mutex);
      if (std::exchange(open.committed, true)) return Status::kOk;
    }
    if (open.outcome.commit.empty()) return Status::kOk;
    if (cache.object<OpenCache>().engine->index().commit(open.outcome.commit)) return Status::kOk;
    return Error{Status::kLimit, "the index took nothing: see the log", 0, 0};
  });
}

satchel_status satchel_outcome_free(satchel_outcome** outcome) {
  return abi::close_and_forget(outcome, HandleType::kOutcome);
}

}  // extern "C"
