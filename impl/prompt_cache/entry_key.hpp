// What an index keys its entries by: the scope, condensed, and the prefix's hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "prompt_cache/index.hpp"

namespace satchel::prompt_cache {

// The first 16 bytes of SHA-256 over principal, model and tokenizer version, each with its length
// before it, so that no two scopes are spelled alike.
using ScopeId = std::array<std::uint8_t, 16>;

ScopeId scope_id(const Scope& scope);

struct EntryKey {
  ScopeId scope{};
  PrefixHash hash{};
  friend bool operator==(const EntryKey&, const EntryKey&) = default;

  // Both parts are hashes already: any eight bytes of them are as good as all.
  [[nodiscard]] std::uint64_t condensed() const {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, scope.data(), sizeof a);
    std::memcpy(&b, hash.data(), sizeof b);
    return a ^ b;
  }
};

struct EntryKeyHash {
  std::size_t operator()(const EntryKey& key) const { return key.condensed(); }
};

}  // namespace satchel::prompt_cache
