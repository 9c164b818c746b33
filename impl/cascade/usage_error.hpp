// Why there is no fresh answer: the reference's taxonomy (linesmith-core, error.rs), whose names
// stand in the files that we share.
#pragma once

#include <cstdint>
#include <string_view>

namespace satchel::cascade {

// Numbers equal SATCHEL_USAGE_ERROR_*; abi/ asserts it.
enum class UsageError : std::int32_t {
  kNone = 0,
  kNoCredentials = 1,
  kSubprocessFailed = 2,
  kIoError = 3,
  kParseError = 4,
  kMissingField = 5,
  kEmptyToken = 6,
  kTimeout = 7,
  kRateLimited = 8,
  kNetworkError = 9,
  kUnauthorized = 10,
  kForbidden = 11,
  kNoEntries = 12,
  kDirectoryMissing = 13,
};

// "RateLimited"; empty for kNone.
std::string_view usage_error_name(UsageError error);
// As a name read back from a file counts: one that is not a state of the endpoint is kNetworkError.
UsageError usage_error_from_file(std::string_view name);

}  // namespace satchel::cascade
