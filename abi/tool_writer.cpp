// The ABI of payloads that are stored piece by piece, for a key or for a lease.
#include <memory>
#include <optional>
#include <utility>

#include "boundary.hpp"
#include "satchel/satchel.h"
#include "tool_cache/tool_cache.hpp"
#include "tool_handles.hpp"
#include "tool_input.hpp"

using satchel::abi::argument_error;
using satchel::abi::Exclusive;
using satchel::abi::HandleType;
using satchel::abi::OpenLease;
using satchel::abi::OpenToolCache;
using satchel::abi::Pin;
using satchel::abi::Seated;
using satchel::abi::Turn;
using satchel::core::Error;
using satchel::core::Result;
using satchel::core::Status;
using satchel::tool_cache::Kept;
using satchel::tool_cache::Key;
using satchel::tool_cache::Meta;
using satchel::tool_cache::PayloadWriter;
namespace abi = satchel::abi;

namespace {

struct OpenWriter {
  // For a key.
  OpenWriter(const void* cache, OpenToolCache& open, const Key& for_key, Meta beside,
             std::unique_ptr<PayloadWriter> writer)
      : key(for_key), meta(std::move(beside)) {
    own.emplace(cache, open, &OpenToolCache::writers, std::move(writer));
  }
  // For a lease, which has the payload.
  OpenWriter(const void* of_lease, Meta beside) : lease(of_lease), meta(std::move(beside)) {}

  // That of a lease is nothing by itself, and may be freed anywhere.
  [[nodiscard]] const void* cache() const { return own ? own->cache() : nullptr; }

  const void* lease = nullptr;  // a handle, pinned while a call runs
  Key key;
  Meta meta;
  std::optional<Seated<PayloadWriter>> own;
  const char* over = nullptr;  // why it takes no more
};

// Runs `for_key(writer, cache)` or `for_lease(writer, lease)`, one thread at a time.
template <class ForKey, class ForLease>
satchel_status with_writer(satchel_tool_writer* handle, satchel_error* error, ForKey for_key,
                           ForLease for_lease) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kToolWriter);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kToolWriter);
    auto& exclusive = pin.object<Exclusive<OpenWriter>>();
    const Turn turn(exclusive.busy);
    if (!turn.mine()) return abi::busy_error(HandleType::kToolWriter);
    OpenWriter& open = exclusive.value;
    if (open.lease != nullptr) {
      return abi::with_lease(open.lease, [&](OpenLease& lease) -> Result<Status> {
        if (open.over != nullptr) return Error{Status::kState, open.over, 0, 0};
        return for_lease(open, lease);
      });
    }
    Pin cache;
    if (Result<Status> opened = abi::pin_tool_cache(cache, open.cache()); !opened) {
      return opened.take_error();
    }
    if (open.over != nullptr) return Error{Status::kState, open.over, 0, 0};
    return for_key(open, cache.object<OpenToolCache>());
  });
}

// A gap in the middle must not become a result.
Result<Status> write_to(OpenWriter& open, PayloadWriter& writer, const char* data, size_t len) {
  const Result<std::string_view> bytes = abi::bytes_of(data, len, "data");
  if (!bytes) return bytes.error();
  Result<void> written = writer.write(*bytes);
  if (written) return Status::kOk;
  open.over = "a write to this writer failed before";
  return written.take_error();
}

constexpr const char* kCommitted = "this writer was committed before";

}  // namespace

extern "C" {

satchel_status satchel_tool_writer_new(satchel_tool_cache* cache, const char* key, size_t key_len,
                                       const satchel_tool_meta* meta, satchel_tool_writer** out,
                                       satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return argument_error("out", "is NULL");
    *out = nullptr;
    Pin pin;
    if (Result<Status> pinned = abi::pin_tool_cache(pin, cache); !pinned) {
      return pinned.take_error();
    }
    const Result<Key> parsed = abi::read_key(key, key_len);
    if (!parsed) return parsed.error();
    Result<Meta> beside = abi::read_tool_meta(meta);
    if (!beside) return beside.take_error();
    auto& open = pin.object<OpenToolCache>();
    Result<std::unique_ptr<PayloadWriter>> begun = open.engine->begin_persist(*parsed);
    if (!begun) return begun.take_error();
    *out = static_cast<satchel_tool_writer*>(abi::open_handle(
        HandleType::kToolWriter, std::make_shared<Exclusive<OpenWriter>>(
                                     cache, open, *parsed, std::move(*beside), std::move(*begun))));
    return Status::kOk;
  });
}

satchel_status satchel_tool_lease_writer(satchel_tool_lease* lease, const satchel_tool_meta* meta,
                                         satchel_tool_writer** out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return argument_error("out", "is NULL");
    *out = nullptr;
    return abi::with_lease(lease, [&](OpenLease& open) -> Result<Status> {
      Result<Meta> extra = meta == nullptr ? Meta{} : abi::read_tool_meta(meta);
      if (!extra) return extra.take_error();
      if (open.has_writer) return Error{Status::kState, "this lease has had its writer", 0, 0};
      Result<PayloadWriter*> begun = (*open.seated).writer();
      if (!begun) return begun.take_error();
      *out = static_cast<satchel_tool_writer*>(
          abi::open_handle(HandleType::kToolWriter,
                           std::make_shared<Exclusive<OpenWriter>>(lease, std::move(*extra))));
      open.has_writer = true;
      return Status::kOk;
    });
  });
}

satchel_status satchel_tool_writer_write(satchel_tool_writer* writer, const char* data, size_t len,
                                         satchel_error* error) {
  return with_writer(
      writer, error,
      [&](OpenWriter& open, OpenToolCache& /*cache*/) -> Result<Status> {
        return write_to(open, **open.own, data, len);
      },
      [&](OpenWriter& open, OpenLease& lease) -> Result<Status> {
        Result<PayloadWriter*> target = (*lease.seated).writer();
        if (!target) return target.take_error();
        return write_to(open, **target, data, len);
      });
}

satchel_status satchel_tool_writer_commit(satchel_tool_writer* writer, satchel_error* error) {
  return with_writer(
      writer, error,
      [&](OpenWriter& open, OpenToolCache& cache) -> Result<Status> {
        open.over = kCommitted;
        Result<void> stored =
            cache.engine->commit_written(open.key, **open.own, std::move(open.meta));
        if (!stored) return stored.take_error();
        return Status::kOk;
      },
      [&](OpenWriter& open, OpenLease& lease) -> Result<Status> {
        open.over = kCommitted;
        Result<Kept> kept = (*lease.seated).commit_written(std::move(open.meta));
        if (!kept) return kept.take_error();
        return abi::answer_kept(error, std::move(*kept));
      });
}

satchel_status satchel_tool_writer_free(satchel_tool_writer** writer) {
  return abi::free_seated<OpenWriter>(writer, HandleType::kToolWriter);
}

}  // extern "C"
