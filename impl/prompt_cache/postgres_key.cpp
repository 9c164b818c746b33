#include "prompt_cache/postgres_key.hpp"

#include <simdjson.h>

#include <cstddef>
#include <optional>

namespace satchel::prompt_cache {
namespace {

// A B-tree takes keys of 2704 bytes, and there are a UUID, a hash and some headers besides.
constexpr std::size_t kMostText = 2'500;

bool is_text(std::string_view bytes) {
  return bytes.find('\0') == std::string_view::npos &&
         simdjson::validate_utf8(bytes.data(), bytes.size());
}

}  // namespace

core::Uuid principal_uuid(std::string_view principal) {
  const std::optional<core::Uuid> uuid = core::parse_uuid(principal);
  return uuid ? *uuid : core::uuid_v5(kPrincipalNamespace, principal);
}

bool fits_table(const Scope& scope) {
  return scope.model.size() + scope.tokenizer_version.size() <= kMostText && is_text(scope.model) &&
         is_text(scope.tokenizer_version);
}

}  // namespace satchel::prompt_cache
