// The ABI of the tool cache: keys, opening, closing, what is dropped, fingerprints.
#include "tool_cache/tool_cache.hpp"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "boundary.hpp"
#include "satchel/satchel.h"
#include "tool_cache/config.hpp"
#include "tool_handles.hpp"
#include "tool_input.hpp"
#include "tool_store.hpp"

using satchel::abi::Context;
using satchel::abi::HandleType;
using satchel::abi::OpenToolCache;
using satchel::abi::Pin;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Config;
using satchel::tool_cache::FingerprintForm;
using satchel::tool_cache::Key;
using satchel::tool_cache::Place;
using satchel::tool_cache::ToolCache;
namespace abi = satchel::abi;
namespace tool_cache = satchel::tool_cache;

static_assert(static_cast<int>(FingerprintForm::kContent) == SATCHEL_FINGERPRINT_CONTENT);
static_assert(static_cast<int>(FingerprintForm::kDirectory) == SATCHEL_FINGERPRINT_DIRECTORY);
static_assert(static_cast<int>(FingerprintForm::kStat) == SATCHEL_FINGERPRINT_STAT);
static_assert(static_cast<int>(FingerprintForm::kContentOrStat) ==
              SATCHEL_FINGERPRINT_CONTENT_OR_STAT);

namespace {

// The host's store is taken first, so that it is released once whatever comes.
Result<Place> read_place(const satchel_tool_place* place) {
  if (Result<void> checked = abi::check_input_struct(place, sizeof *place, "place"); !checked) {
    return checked.take_error();
  }
  Place read;
  if (place->host_store != nullptr) {
    Result<std::unique_ptr<tool_cache::Store>> taken = abi::take_tool_store(place->host_store);
    if (!taken) return taken.take_error();
    read.host_store = std::move(*taken);
  }
  const Result<std::string_view> store =
      abi::read_path(place->store.data, place->store.len, "place.store");
  if (!store) return store.error();
  const Result<std::string_view> workspace =
      abi::read_path(place->workspace.data, place->workspace.len, "place.workspace");
  if (!workspace) return workspace.error();
  if (store->empty() && !read.host_store) return abi::argument_error("place.store", "is empty");
  if (!store->empty() && read.host_store) {
    return abi::argument_error("place.store", "stands beside a host_store; one of them");
  }
  read.store = *store;
  read.workspace = *workspace;
  return read;
}

Result<std::shared_ptr<OpenToolCache>> open_cache(std::shared_ptr<Context> context, Place place,
                                                  std::string_view text) {
  Result<Config> config = tool_cache::read_tool_cache_config(text);
  if (!config) return config.take_error();
  auto opened = std::make_shared<OpenToolCache>();
  opened->context = std::move(context);
  Result<std::unique_ptr<ToolCache>> engine = ToolCache::open(
      std::move(place), std::move(*config), opened->context->clock(), *opened->context->log);
  if (!engine) return engine.take_error();
  opened->engine = std::move(*engine);
  return opened;
}

template <class Hash>
satchel_status hash_key(const char* bytes, size_t len, const char* name, char* key,
                        satchel_error* error, Hash hash) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (key == nullptr) return abi::argument_error("key", "is NULL");
    const Result<std::string_view> read = abi::bytes_of(bytes, len, name);
    if (!read) return read.error();
    const std::string hex = hash(*read).hex();
    std::memcpy(key, hex.c_str(), hex.size() + 1);
    return Status::kOk;
  });
}

}  // namespace

extern "C" {

void satchel_tool_meta_init(satchel_tool_meta* meta) {
  if (meta != nullptr) *meta = SATCHEL_TOOL_META_INIT;
}

void satchel_tool_place_init(satchel_tool_place* place) {
  if (place != nullptr) *place = SATCHEL_TOOL_PLACE_INIT;
}

void satchel_tool_call_init(satchel_tool_call* call) {
  if (call != nullptr) *call = SATCHEL_TOOL_CALL_INIT;
}

satchel_status satchel_tool_cache_open(satchel_library* library, const satchel_tool_place* place,
                                       const char* config, size_t config_len,
                                       satchel_tool_cache** out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Result<Place> where = read_place(place);
    if (!where) return where.take_error();
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    const Result<std::string_view> text = abi::bytes_of(config, config_len, "config");
    if (!text) return text.error();
    Pin pin;
    const Status pinned = pin.acquire(library, HandleType::kLibrary);
    if (pinned != Status::kOk) return abi::handle_error(pinned, library, HandleType::kLibrary);
    Result<std::shared_ptr<OpenToolCache>> opened =
        open_cache(std::static_pointer_cast<Context>(pin.shared()), std::move(*where), *text);
    if (!opened) return opened.take_error();
    *out = static_cast<satchel_tool_cache*>(
        abi::open_handle(HandleType::kToolCache, std::move(*opened), library));
    return Status::kOk;
  });
}

satchel_status satchel_tool_cache_close(satchel_tool_cache** cache) {
  if (cache != nullptr) {
    // Whoever waits inside would otherwise be waited for until his time is over.
    Pin pin;
    if (pin.acquire_outermost(*cache, HandleType::kToolCache) == Status::kOk) {
      pin.object<OpenToolCache>().engine->break_off();
    }
  }
  return abi::close_and_forget(cache, HandleType::kToolCache);
}

satchel_status satchel_tool_key(const char* input, size_t input_len, char* key,
                                satchel_error* error) {
  return hash_key(input, input_len, "input", key, error, tool_cache::key_of);
}

satchel_status satchel_tool_result_key(const char* content, size_t content_len, char* key,
                                       satchel_error* error) {
  return hash_key(content, content_len, "content", key, error, tool_cache::tool_result_key);
}

satchel_status satchel_tool_persist(satchel_tool_cache* cache, const char* key, size_t key_len,
                                    const char* payload, size_t payload_len,
                                    const satchel_tool_meta* meta, satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    const Result<std::string_view> bytes = abi::bytes_of(payload, payload_len, "payload");
    if (!bytes) return bytes.error();
    Result<tool_cache::Meta> beside = abi::read_tool_meta(meta);
    if (!beside) return beside.take_error();
    Result<void> stored = engine.persist(*parsed, *bytes, std::move(*beside));
    if (!stored) return stored.take_error();
    return Status::kOk;
  });
}

satchel_status satchel_tool_contains(satchel_tool_cache* cache, const char* key, size_t key_len,
                                     int32_t* present, satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (present == nullptr) return abi::argument_error("present", "is NULL");
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    abi::ContainsFailure failure;
    const bool found = engine.contains(*parsed);
    if (failure.error) return std::move(*failure.error);
    *present = found ? 1 : 0;
    return Status::kOk;
  });
}

satchel_status satchel_tool_mark_dirty(satchel_tool_cache* cache, const char* key, size_t key_len,
                                       satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    if (Result<void> marked = engine.mark_dirty(*parsed); !marked) return marked.take_error();
    return Status::kOk;
  });
}

satchel_status satchel_tool_invalidate_upstream(satchel_tool_cache* cache, const char* key,
                                                size_t key_len, uint64_t* dropped,
                                                satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    return abi::give(engine.invalidate_upstream(*parsed), dropped);
  });
}

satchel_status satchel_tool_invalidate_path(satchel_tool_cache* cache, const char* path,
                                            size_t path_len, uint64_t* matches,
                                            satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    const Result<std::string_view> changed = abi::read_path(path, path_len, "path");
    if (!changed) return changed.error();
    return abi::give(engine.invalidate_path(*changed), matches);
  });
}

satchel_status satchel_tool_fingerprint(satchel_tool_cache* cache, const char* path,
                                        size_t path_len, int32_t form, satchel_buffer* out,
                                        satchel_error* error) {
  return abi::with_tool_cache(cache, error, [&](ToolCache& engine) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    const Result<std::string_view> file = abi::read_path(path, path_len, "path");
    if (!file) return file.error();
    if (form < SATCHEL_FINGERPRINT_CONTENT || form > SATCHEL_FINGERPRINT_CONTENT_OR_STAT) {
      return abi::argument_error("form", "is none of SATCHEL_FINGERPRINT_*");
    }
    Result<std::string> taken = engine.fingerprint(*file, static_cast<FingerprintForm>(form));
    if (!taken) return taken.take_error();
    abi::fill_buffer(out, std::move(*taken));
    return Status::kOk;
  });
}

}  // extern "C"
