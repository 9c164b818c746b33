#include "cascade/usage_error.hpp"

#include <array>
#include <cstddef>

namespace satchel::cascade {
namespace {

constexpr std::array<std::string_view, 14> kNames = {"",
                                                     "NoCredentials",
                                                     "SubprocessFailed",
                                                     "IoError",
                                                     "ParseError",
                                                     "MissingField",
                                                     "EmptyToken",
                                                     "Timeout",
                                                     "RateLimited",
                                                     "NetworkError",
                                                     "Unauthorized",
                                                     "Forbidden",
                                                     "NoEntries",
                                                     "DirectoryMissing"};

}  // namespace

std::string_view usage_error_name(UsageError error) {
  return kNames[static_cast<std::size_t>(error)];
}

UsageError usage_error_from_file(std::string_view name) {
  for (const UsageError known :
       {UsageError::kNoCredentials, UsageError::kTimeout, UsageError::kRateLimited,
        UsageError::kUnauthorized, UsageError::kForbidden, UsageError::kParseError}) {
    if (name == usage_error_name(known)) return known;
  }
  return UsageError::kNetworkError;
}

}  // namespace satchel::cascade
