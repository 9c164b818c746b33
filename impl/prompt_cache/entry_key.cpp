#include "prompt_cache/entry_key.hpp"

#include <algorithm>
#include <string_view>

#include "core/sha256.hpp"

namespace satchel::prompt_cache {
namespace {

void add_with_length(core::Sha256& sha, std::string_view text) {
  std::array<char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>((static_cast<std::uint64_t>(text.size()) >> (8 * i)) & 0xff);
  }
  sha.update({length.data(), length.size()});
  sha.update(text);
}

}  // namespace

ScopeId scope_id(const Scope& scope) {
  // Making a context costs more than hashing with it.
  static thread_local core::Sha256 sha;
  sha.reset();
  add_with_length(sha, scope.principal);
  add_with_length(sha, scope.model);
  add_with_length(sha, scope.tokenizer_version);
  const core::Hash256 hash = sha.digest();
  ScopeId id{};
  std::copy_n(hash.begin(), id.size(), id.begin());
  return id;
}

}  // namespace satchel::prompt_cache
