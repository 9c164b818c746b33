// The ABI of lookups and of what they find.
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "satchel/satchel.h"
#include "tool_cache/tool_cache.hpp"
#include "tool_handles.hpp"
#include "tool_input.hpp"

using satchel::abi::HandleType;
using satchel::abi::Pin;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Found;
using satchel::tool_cache::Key;
using satchel::tool_cache::Meta;
using satchel::tool_cache::Root;
using satchel::tool_cache::Stored;
using satchel::tool_cache::ToolCache;
namespace abi = satchel::abi;

namespace {

struct OpenResult {
  explicit OpenResult(Stored found) : stored(std::move(found)) {}

  const Stored stored;
  std::mutex reading;  // a payload is read by one thread at a time
};

template <class Use>
satchel_status with_result(satchel_tool_result* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kToolResult);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kToolResult);
    return use(pin.object<OpenResult>());
  });
}

using Lookup = Result<Found> (ToolCache::*)(const Key&);

satchel_status look_up(satchel_tool_cache* cache, const char* key, size_t key_len,
                       satchel_tool_result** out, satchel_error* error, Lookup lookup) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    Pin pin;
    if (Result<Status> pinned = abi::pin_tool_cache(pin, cache); !pinned) {
      return pinned.take_error();
    }
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    Result<Found> found = (*pin.object<abi::OpenToolCache>().engine.*lookup)(*parsed);
    if (!found) return found.take_error();
    if (found->answer == Status::kOk) *out = abi::open_result(std::move(found->stored));
    return abi::answer(error, found->answer, std::move(found->why));
  });
}

}  // namespace

satchel_tool_result* satchel::abi::open_result(Stored stored) {
  return static_cast<satchel_tool_result*>(
      open_handle(HandleType::kToolResult, std::make_shared<OpenResult>(std::move(stored))));
}

extern "C" {

satchel_status satchel_tool_lookup(satchel_tool_cache* cache, const char* key, size_t key_len,
                                   satchel_tool_result** out, satchel_error* error) {
  return look_up(cache, key, key_len, out, error, &ToolCache::lookup);
}

satchel_status satchel_tool_lookup_revalidate(satchel_tool_cache* cache, const char* key,
                                              size_t key_len, satchel_tool_result** out,
                                              satchel_error* error) {
  return look_up(cache, key, key_len, out, error, &ToolCache::lookup_revalidate);
}

satchel_status satchel_tool_result_info_get(satchel_tool_result* result,
                                            satchel_tool_result_info* info, satchel_error* error) {
  return with_result(result, error, [&](const OpenResult& open) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(info, sizeof *info, "info"); !checked) {
      return checked.take_error();
    }
    const Meta& meta = *open.stored.meta;
    info->kind = abi::view_of(meta.tool_kind);
    info->payload_hash = abi::view_of(meta.payload_hash);
    info->bytes = open.stored.payload->size();
    info->root_count = meta.file_roots.size();
    info->upstream_count = meta.upstream_keys.size();
    return Status::kOk;
  });
}

satchel_status satchel_tool_result_root(satchel_tool_result* result, size_t index,
                                        satchel_root* root, satchel_error* error) {
  return with_result(result, error, [&](const OpenResult& open) -> Result<Status> {
    if (root == nullptr) return abi::argument_error("root", "is NULL");
    const std::vector<Root>& roots = open.stored.meta->file_roots;
    if (index >= roots.size()) return abi::argument_error("index", "is out of range");
    root->path = abi::view_of(roots[index].path);
    root->expected_hash = abi::view_of(roots[index].expected_hash);
    return Status::kOk;
  });
}

satchel_status satchel_tool_result_upstream(satchel_tool_result* result, size_t index,
                                            satchel_view* key, satchel_error* error) {
  return with_result(result, error, [&](const OpenResult& open) -> Result<Status> {
    if (key == nullptr) return abi::argument_error("key", "is NULL");
    const std::vector<std::string>& upstreams = open.stored.meta->upstream_keys;
    if (index >= upstreams.size()) return abi::argument_error("index", "is out of range");
    *key = abi::view_of(upstreams[index]);
    return Status::kOk;
  });
}

satchel_status satchel_tool_result_payload(satchel_tool_result* result, satchel_view* payload,
                                           satchel_error* error) {
  return with_result(result, error, [&](OpenResult& open) -> Result<Status> {
    if (payload == nullptr) return abi::argument_error("payload", "is NULL");
    const std::lock_guard lock(open.reading);
    Result<std::string_view> bytes = open.stored.payload->view();
    if (!bytes) return bytes.take_error();
    *payload = abi::view_of(*bytes);
    return Status::kOk;
  });
}

satchel_status satchel_tool_result_read(satchel_tool_result* result, uint64_t offset, char* data,
                                        size_t capacity, size_t* got, satchel_error* error) {
  return with_result(result, error, [&](OpenResult& open) -> Result<Status> {
    if (got == nullptr) return abi::argument_error("got", "is NULL");
    *got = 0;
    if (const Result<std::string_view> room = abi::bytes_of(data, capacity, "data"); !room) {
      return room.error();
    }
    const std::lock_guard lock(open.reading);
    Result<std::size_t> read = open.stored.payload->read(offset, data, capacity);
    if (!read) return read.take_error();
    *got = *read;
    return Status::kOk;
  });
}

satchel_status satchel_tool_result_free(satchel_tool_result** result) {
  return abi::close_and_forget(result, HandleType::kToolResult);
}

}  // extern "C"
