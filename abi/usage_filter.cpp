// The ABI of a response filter by itself.
#include <memory>
#include <utility>

#include "boundary.hpp"
#include "prompt_cache/response_filter.hpp"
#include "satchel/satchel.h"

using satchel::abi::Exclusive;
using satchel::abi::HandleType;
using satchel::abi::Pin;
using satchel::abi::Turn;
using satchel::core::Result;
using satchel::core::Status;
using satchel::prompt_cache::ResponseFilter;
using satchel::prompt_cache::ResponseLimits;
using satchel::prompt_cache::UsageEdit;
using satchel::prompt_cache::UsageJudge;
using satchel::prompt_cache::UsageSeen;
namespace abi = satchel::abi;
namespace prompt_cache = satchel::prompt_cache;

namespace {

// Says the same of every usage object.
class FixedJudge final : public UsageJudge {
 public:
  explicit FixedJudge(const UsageEdit& edit) : edit_(edit) {}
  UsageEdit judge(bool /*terminal*/) override { return edit_; }

 private:
  const UsageEdit edit_;
};

struct OpenFilter {
  OpenFilter(bool sse, const UsageEdit& edit)
      : judge(edit),
        filter(sse ? prompt_cache::make_sse_filter(judge, ResponseLimits{})
                   : prompt_cache::make_json_filter(judge, ResponseLimits{})) {}
  FixedJudge judge;
  std::unique_ptr<ResponseFilter> filter;
};

template <class Use>
satchel_status with_filter(satchel_usage_filter* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kUsageFilter);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kUsageFilter);
    auto& exclusive = pin.object<Exclusive<OpenFilter>>();
    const Turn turn(exclusive.busy);
    if (!turn.mine()) return abi::busy_error(HandleType::kUsageFilter);
    return use(*exclusive.value.filter);
  });
}

}  // namespace

extern "C" {

satchel_status satchel_usage_filter_new(int32_t kind, const satchel_cache_usage* usage,
                                        satchel_usage_filter** out, satchel_error* error) {
  return abi::guarded(error, [&]() -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = nullptr;
    if (kind != SATCHEL_BODY_JSON && kind != SATCHEL_BODY_SSE) {
      return abi::argument_error("kind", "is neither SATCHEL_BODY_JSON nor SATCHEL_BODY_SSE");
    }
    UsageEdit edit;
    edit.kind = UsageEdit::Kind::kScrub;
    if (usage != nullptr) {
      if (Result<void> checked = abi::check_input_struct(usage, sizeof *usage, "usage"); !checked) {
        return checked.take_error();
      }
      edit.kind = UsageEdit::Kind::kInject;
      edit.usage = {usage->read, usage->creation_5m, usage->creation_1h, usage->creation_24h};
    }
    auto filter = std::make_shared<Exclusive<OpenFilter>>(kind == SATCHEL_BODY_SSE, edit);
    *out = static_cast<satchel_usage_filter*>(
        abi::open_handle(HandleType::kUsageFilter, std::move(filter)));
    return Status::kOk;
  });
}

satchel_status satchel_usage_filter_write(satchel_usage_filter* filter, const char* data,
                                          size_t len, satchel_view* out, satchel_error* error) {
  return with_filter(filter, error, [&](ResponseFilter& open) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = {nullptr, 0};
    const Result<std::string_view> bytes = abi::bytes_of(data, len, "data");
    if (!bytes) return bytes.error();
    Result<std::string_view> written = open.write(*bytes);
    if (!written) return written.take_error();
    *out = abi::view_of(*written);
    return Status::kOk;
  });
}

satchel_status satchel_usage_filter_end(satchel_usage_filter* filter, satchel_view* out,
                                        satchel_error* error) {
  return with_filter(filter, error, [&](ResponseFilter& open) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    *out = {nullptr, 0};
    Result<std::string_view> tail = open.end();
    if (!tail) return tail.take_error();
    *out = abi::view_of(*tail);
    return Status::kOk;
  });
}

satchel_status satchel_usage_filter_saw(satchel_usage_filter* filter, int32_t* changed,
                                        int32_t* usage, int32_t* error_frame,
                                        satchel_error* error) {
  return with_filter(filter, error, [&](ResponseFilter& open) -> Result<Status> {
    const UsageSeen& seen = open.seen();
    if (changed != nullptr) *changed = seen.changed ? 1 : 0;
    if (usage != nullptr) *usage = seen.usage ? 1 : 0;
    if (error_frame != nullptr) *error_frame = seen.error_frame ? 1 : 0;
    return Status::kOk;
  });
}

satchel_status satchel_usage_filter_free(satchel_usage_filter** filter) {
  return abi::close_and_forget(filter, HandleType::kUsageFilter);
}

}  // extern "C"
