// The ABI: version, status, error, buffer, satchel_open.
#include <cstring>
#include <memory>
#include <string>

#include "boundary.hpp"
#include "host.hpp"
#include "satchel/satchel.h"

using satchel::abi::Context;
using satchel::abi::HandleType;
using satchel::abi::HostTable;
using satchel::core::Result;
using satchel::core::Status;
namespace abi = satchel::abi;

static_assert(static_cast<int>(Status::kOk) == SATCHEL_OK);
static_assert(static_cast<int>(Status::kPassThrough) == SATCHEL_PASS_THROUGH);
static_assert(static_cast<int>(Status::kRejected) == SATCHEL_REJECTED);
static_assert(static_cast<int>(Status::kUnchanged) == SATCHEL_UNCHANGED);
static_assert(static_cast<int>(Status::kNotHandled) == SATCHEL_NOT_HANDLED);
static_assert(static_cast<int>(Status::kMiss) == SATCHEL_MISS);
static_assert(static_cast<int>(Status::kInvalidated) == SATCHEL_INVALIDATED);
static_assert(static_cast<int>(Status::kLeased) == SATCHEL_LEASED);
static_assert(static_cast<int>(Status::kWait) == SATCHEL_WAIT);
static_assert(static_cast<int>(Status::kNotStored) == SATCHEL_NOT_STORED);
static_assert(static_cast<int>(Status::kOversized) == SATCHEL_OVERSIZED);
static_assert(static_cast<int>(Status::kPending) == SATCHEL_PENDING);
static_assert(static_cast<int>(Status::kArgument) == SATCHEL_ERR_ARGUMENT);
static_assert(static_cast<int>(Status::kHandle) == SATCHEL_ERR_HANDLE);
static_assert(static_cast<int>(Status::kState) == SATCHEL_ERR_STATE);
static_assert(static_cast<int>(Status::kConfig) == SATCHEL_ERR_CONFIG);
static_assert(static_cast<int>(Status::kMemory) == SATCHEL_ERR_MEMORY);
static_assert(static_cast<int>(Status::kIo) == SATCHEL_ERR_IO);
static_assert(static_cast<int>(Status::kBusy) == SATCHEL_ERR_BUSY);
static_assert(static_cast<int>(Status::kCallback) == SATCHEL_ERR_CALLBACK);
static_assert(static_cast<int>(Status::kForked) == SATCHEL_ERR_FORKED);
static_assert(static_cast<int>(Status::kStream) == SATCHEL_ERR_STREAM);
static_assert(static_cast<int>(Status::kJson) == SATCHEL_ERR_JSON);
static_assert(static_cast<int>(Status::kTimeout) == SATCHEL_ERR_TIMEOUT);
static_assert(static_cast<int>(Status::kLimit) == SATCHEL_ERR_LIMIT);
static_assert(static_cast<int>(Status::kInternal) == SATCHEL_ERR_INTERNAL);
static_assert(static_cast<int>(Status::kIntegrity) == SATCHEL_ERR_INTEGRITY);
static_assert(static_cast<int>(Status::kMeta) == SATCHEL_ERR_META);
static_assert(static_cast<int>(Status::kNoSpace) == SATCHEL_ERR_NO_SPACE);
static_assert(static_cast<int>(Status::kUnavailable) == SATCHEL_ERR_UNAVAILABLE);

extern "C" {

const char* satchel_version(void) { return SATCHEL_VERSION_STRING; }

uint32_t satchel_abi_version(void) { return SATCHEL_ABI_VERSION; }

const char* satchel_status_name(satchel_status status) {
  switch (status) {
    case SATCHEL_OK:
      return "OK";
    case SATCHEL_PASS_THROUGH:
      return "PASS_THROUGH";
    case SATCHEL_REJECTED:
      return "REJECTED";
    case SATCHEL_UNCHANGED:
      return "UNCHANGED";
    case SATCHEL_NOT_HANDLED:
      return "NOT_HANDLED";
    case SATCHEL_MISS:
      return "MISS";
    case SATCHEL_INVALIDATED:
      return "INVALIDATED";
    case SATCHEL_LEASED:
      return "LEASED";
    case SATCHEL_WAIT:
      return "WAIT";
    case SATCHEL_NOT_STORED:
      return "NOT_STORED";
    case SATCHEL_OVERSIZED:
      return "OVERSIZED";
    case SATCHEL_PENDING:
      return "PENDING";
    case SATCHEL_ERR_ARGUMENT:
      return "ERR_ARGUMENT";
    case SATCHEL_ERR_HANDLE:
      return "ERR_HANDLE";
    case SATCHEL_ERR_STATE:
      return "ERR_STATE";
    case SATCHEL_ERR_CONFIG:
      return "ERR_CONFIG";
    case SATCHEL_ERR_MEMORY:
      return "ERR_MEMORY";
    case SATCHEL_ERR_IO:
      return "ERR_IO";
    case SATCHEL_ERR_BUSY:
      return "ERR_BUSY";
    case SATCHEL_ERR_CALLBACK:
      return "ERR_CALLBACK";
    case SATCHEL_ERR_FORKED:
      return "ERR_FORKED";
    case SATCHEL_ERR_STREAM:
      return "ERR_STREAM";
    case SATCHEL_ERR_JSON:
      return "ERR_JSON";
    case SATCHEL_ERR_TIMEOUT:
      return "ERR_TIMEOUT";
    case SATCHEL_ERR_LIMIT:
      return "ERR_LIMIT";
    case SATCHEL_ERR_INTERNAL:
      return "ERR_INTERNAL";
    case SATCHEL_ERR_INTEGRITY:
      return "ERR_INTEGRITY";
    case SATCHEL_ERR_META:
      return "ERR_META";
    case SATCHEL_ERR_NO_SPACE:
      return "ERR_NO_SPACE";
    case SATCHEL_ERR_UNAVAILABLE:
      return "ERR_UNAVAILABLE";
    default:
      return "UNKNOWN";
  }
}

void satchel_error_init(satchel_error* error) {
  if (error != nullptr) *error = SATCHEL_ERROR_INIT;
}

void satchel_buffer_free(satchel_buffer* buffer) {
  if (buffer == nullptr) return;
  const std::unique_ptr<std::string> owned(static_cast<std::string*>(buffer->owner));
  *buffer = SATCHEL_BUFFER_INIT;
}

void satchel_host_init(satchel_host* host) {
  if (host != nullptr) *host = SATCHEL_HOST_INIT;
}

satchel_status satchel_open(const satchel_host* host, const char* config, size_t config_len,
                            satchel_library** out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    std::shared_ptr<HostTable<satchel_host>> table;
    if (host != nullptr) {
      if (Result<void> checked = abi::check_input_struct(host, sizeof(satchel_host), "host");
          !checked) {
        return checked.take_error();
      }
      table = abi::take_table(*host);
    }
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    const Result<std::string_view> text = abi::bytes_of(config, config_len, "config");
    if (!text) return text.error();
    Result<std::shared_ptr<Context>> context = abi::make_context(table, *text);
    if (!context) return context.take_error();
    *out =
        static_cast<satchel_library*>(abi::open_handle(HandleType::kLibrary, std::move(*context)));
    return Status::kOk;
  });
}

satchel_status satchel_close(satchel_library** library) {
  return abi::close_and_forget(library, HandleType::kLibrary);
}

}  // extern "C"
