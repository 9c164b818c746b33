#include "usage.hpp"

#include <memory>
#include <string>
#include <utility>

#include "boundary.hpp"
#include "handles.hpp"

using satchel::abi::HandleType;
using satchel::abi::Pin;
using satchel::cascade::BucketName;
using satchel::cascade::Usage;
using satchel::cascade::UsageBucket;
using satchel::cascade::UsageError;
using satchel::cascade::UsageSource;
using satchel::core::Result;
using satchel::core::Status;
namespace abi = satchel::abi;

static_assert(static_cast<int>(UsageSource::kEndpoint) == SATCHEL_USAGE_ENDPOINT);
static_assert(static_cast<int>(UsageSource::kCache) == SATCHEL_USAGE_CACHE);
static_assert(static_cast<int>(UsageSource::kStale) == SATCHEL_USAGE_STALE);
static_assert(static_cast<int>(UsageSource::kHeaders) == SATCHEL_USAGE_HEADERS);
static_assert(static_cast<int>(UsageSource::kJsonl) == SATCHEL_USAGE_JSONL);
static_assert(static_cast<int>(UsageError::kNoCredentials) == SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
static_assert(static_cast<int>(UsageError::kSubprocessFailed) ==
              SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED);
static_assert(static_cast<int>(UsageError::kIoError) == SATCHEL_USAGE_ERROR_IO_ERROR);
static_assert(static_cast<int>(UsageError::kParseError) == SATCHEL_USAGE_ERROR_PARSE_ERROR);
static_assert(static_cast<int>(UsageError::kMissingField) == SATCHEL_USAGE_ERROR_MISSING_FIELD);
static_assert(static_cast<int>(UsageError::kEmptyToken) == SATCHEL_USAGE_ERROR_EMPTY_TOKEN);
static_assert(static_cast<int>(UsageError::kTimeout) == SATCHEL_USAGE_ERROR_TIMEOUT);
static_assert(static_cast<int>(UsageError::kRateLimited) == SATCHEL_USAGE_ERROR_RATE_LIMITED);
static_assert(static_cast<int>(UsageError::kNetworkError) == SATCHEL_USAGE_ERROR_NETWORK_ERROR);
static_assert(static_cast<int>(UsageError::kUnauthorized) == SATCHEL_USAGE_ERROR_UNAUTHORIZED);
static_assert(static_cast<int>(UsageError::kForbidden) == SATCHEL_USAGE_ERROR_FORBIDDEN);
static_assert(static_cast<int>(UsageError::kNoEntries) == SATCHEL_USAGE_ERROR_NO_ENTRIES);
static_assert(static_cast<int>(UsageError::kDirectoryMissing) ==
              SATCHEL_USAGE_ERROR_DIRECTORY_MISSING);

namespace {

const char* explanation(UsageError error) {
  switch (error) {
    case UsageError::kNoCredentials:
      return "no credentials were found; log in with Claude Code";
    case UsageError::kSubprocessFailed:
      return "whoever has the credentials failed";
    case UsageError::kIoError:
      return "the credentials cannot be read";
    case UsageError::kParseError:
      return "the answer, or the credentials, cannot be understood";
    case UsageError::kMissingField:
      return "the credentials have no claudeAiOauth.accessToken";
    case UsageError::kEmptyToken:
      return "the access token is empty";
    case UsageError::kTimeout:
      return "the endpoint did not answer in time";
    case UsageError::kRateLimited:
      return "the endpoint asks to wait";
    case UsageError::kNetworkError:
      return "the endpoint cannot be reached, or is in trouble";
    case UsageError::kUnauthorized:
      return "the endpoint refuses the token; it may have expired";
    case UsageError::kForbidden:
      return "the token may not ask for the usage; log in again";
    case UsageError::kNoEntries:
      return "the transcripts hold no entries";
    case UsageError::kDirectoryMissing:
      return "there are no transcripts";
    case UsageError::kNone:
      break;
  }
  return "nothing is known";
}

void fill_bucket(const std::optional<UsageBucket>& bucket, double& utilization,
                 int64_t& resets_at) {
  utilization = bucket ? static_cast<double>(bucket->utilization) : -1;
  resets_at = bucket && bucket->resets_at ? satchel::core::unix_ns_of(*bucket->resets_at) : 0;
}

satchel_tokens tokens_of(const satchel::cascade::TokenCounts& counts) {
  return {counts.input, counts.output, counts.cache_creation, counts.cache_read};
}

void fill_summary(const Usage& usage, satchel_usage_summary& summary) {
  const size_t struct_size = summary.struct_size;
  summary = SATCHEL_USAGE_SUMMARY_INIT;
  summary.struct_size = struct_size;
  summary.source = static_cast<int32_t>(usage.source);
  summary.error = static_cast<int32_t>(usage.error);
  summary.age = satchel::cascade::age_ns(usage);
  if (usage.source == UsageSource::kJsonl) {
    if (usage.transcripts.five_hour) {
      summary.five_hour_tokens = tokens_of(usage.transcripts.five_hour->tokens);
      summary.block_start = satchel::core::unix_ns_of(usage.transcripts.five_hour->start);
    }
    summary.seven_day_tokens = tokens_of(usage.transcripts.seven_day);
    return;
  }
  fill_bucket(usage.endpoint->bucket(BucketName::kFiveHour), summary.five_hour_utilization,
              summary.five_hour_resets_at);
  fill_bucket(usage.endpoint->bucket(BucketName::kSevenDay), summary.seven_day_utilization,
              summary.seven_day_resets_at);
}

template <class Use>
satchel_status with_usage(satchel_usage* handle, satchel_error* error, Use use) {
  return abi::guarded(error, [&]() -> Result<Status> {
    Pin pin;
    const Status pinned = pin.acquire(handle, HandleType::kUsage);
    if (pinned != Status::kOk) return abi::handle_error(pinned, handle, HandleType::kUsage);
    return use(pin.object<const Usage>());
  });
}

}  // namespace

namespace satchel::abi {

core::Error unavailable(UsageError error) {
  return {Status::kUnavailable,
          std::string(cascade::usage_error_name(error)) + ": " + explanation(error), 0,
          static_cast<int>(error)};
}

Result<Status> give_usage(Usage usage, satchel_usage** out) {
  if (usage.source == UsageSource::kNone) return unavailable(usage.error);
  *out = static_cast<satchel_usage*>(
      open_handle(HandleType::kUsage, std::make_shared<Usage>(std::move(usage))));
  return Status::kOk;
}

}  // namespace satchel::abi

extern "C" {

const char* satchel_usage_error_name(int32_t error) {
  if (error < SATCHEL_USAGE_ERROR_NONE || error > SATCHEL_USAGE_ERROR_DIRECTORY_MISSING) {
    return "UNKNOWN";
  }
  return satchel::cascade::usage_error_name(static_cast<UsageError>(error)).data();
}

satchel_status satchel_usage_summary_get(satchel_usage* usage, satchel_usage_summary* summary,
                                         satchel_error* error) {
  return with_usage(usage, error, [&](const Usage& known) -> Result<Status> {
    if (Result<void> checked = abi::check_output_struct(summary, sizeof *summary, "summary");
        !checked) {
      return checked.take_error();
    }
    fill_summary(known, *summary);
    return Status::kOk;
  });
}

satchel_status satchel_usage_json(satchel_usage* usage, satchel_buffer* out, satchel_error* error) {
  return with_usage(usage, error, [&](const Usage& known) -> Result<Status> {
    if (out == nullptr) return abi::argument_error("out", "is NULL");
    abi::fill_buffer(out, satchel::cascade::usage_json(known));
    return Status::kOk;
  });
}

satchel_status satchel_usage_free(satchel_usage** usage) {
  return abi::close_and_forget(usage, HandleType::kUsage);
}

}  // extern "C"
