// The ABI of computing a result: who may, and what becomes of it.
#include <memory>
#include <utility>

#include "boundary.hpp"
#include "satchel/satchel.h"
#include "tool_cache/tool_cache.hpp"
#include "tool_handles.hpp"
#include "tool_input.hpp"

using satchel::abi::Exclusive;
using satchel::abi::HandleType;
using satchel::abi::OpenLease;
using satchel::abi::OpenToolCache;
using satchel::abi::Pin;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Begun;
using satchel::tool_cache::Call;
using satchel::tool_cache::Kept;
using satchel::tool_cache::Key;
using satchel::tool_cache::Meta;
namespace abi = satchel::abi;

extern "C" {

satchel_status satchel_tool_get_or_begin(satchel_tool_cache* cache, const char* key, size_t key_len,
                                         const satchel_tool_call* call,
                                         satchel_tool_result** result, satchel_tool_lease** lease,
                                         satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (result == nullptr) return abi::argument_error("result", "is NULL");
    if (lease == nullptr) return abi::argument_error("lease", "is NULL");
    *result = nullptr;
    *lease = nullptr;
    Pin pin;
    if (Result<Status> pinned = abi::pin_tool_cache(pin, cache); !pinned) {
      return pinned.take_error();
    }
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    Result<Call> asked = abi::read_tool_call(call);
    if (!asked) return asked.take_error();
    auto& open = pin.object<OpenToolCache>();
    Result<Begun> begun = open.engine->get_or_begin(*parsed, std::move(*asked));
    if (!begun) return begun.take_error();
    if (begun->answer == Status::kOk) *result = abi::open_result(std::move(begun->stored));
    if (begun->answer == Status::kLeased) {
      *lease = static_cast<satchel_tool_lease*>(abi::open_handle(
          HandleType::kToolLease,
          std::make_shared<Exclusive<OpenLease>>(cache, open, std::move(begun->lease))));
    }
    return abi::answer(error, begun->answer);
  });
}

satchel_status satchel_tool_lease_commit(satchel_tool_lease* lease, const char* payload,
                                         size_t payload_len, const satchel_tool_meta* meta,
                                         satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    return abi::with_lease(lease, [&](OpenLease& open) -> Result<Status> {
      const Result<std::string_view> bytes = abi::bytes_of(payload, payload_len, "payload");
      if (!bytes) return bytes.error();
      Result<Meta> extra = meta == nullptr ? Meta{} : abi::read_tool_meta(meta);
      if (!extra) return extra.take_error();
      Result<Kept> kept = (*open.seated).commit(*bytes, std::move(*extra));
      if (!kept) return kept.take_error();
      return abi::answer_kept(error, std::move(*kept));
    });
  });
}

satchel_status satchel_tool_lease_abandon(satchel_tool_lease* lease, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    return abi::with_lease(lease, [&](OpenLease& open) -> Result<Status> {
      Result<void> abandoned = (*open.seated).abandon();
      if (!abandoned) return abandoned.take_error();
      return Status::kOk;
    });
  });
}

satchel_status satchel_tool_lease_free(satchel_tool_lease** lease) {
  return abi::free_seated<OpenLease>(lease, HandleType::kToolLease);
}

}  // extern "C"
