// How an entry lies in Redis: key and value.
//
//   satchel:pc1:{<scope id, 32 hex digits>}:<prefix hash, 32 bytes>
//   '1' <stamp, 16 digits> <expiry, 8 bytes> <token count, 4> <tier, 1> <check, 8>
//
// Numbers in bytes are big-endian. What stands in the braces keeps a scope on one node of a
// cluster. The check is over the key as well: a value that is cut, of somebody else or under
// another key is none. Another layout gets another name in the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "prompt_cache/entry_key.hpp"
#include "prompt_cache/tier.hpp"

namespace satchel::prompt_cache {

constexpr std::string_view kRedisKeyPattern = "satchel:pc1:*";

std::string redis_key(const ScopeId& scope, const PrefixHash& hash);

struct RedisValue {
  // When it was true in PostgreSQL, as microseconds of the Redis server's clock. An older value
  // never replaces a newer one, however late it arrives.
  std::int64_t stamp_us = 0;
  std::int64_t expires_at = 0;  // Unix nanoseconds, of the Redis server's clock
  std::uint32_t cumulative_token_count = 0;
  Tier tier = Tier::k5m;
};

// Lua reads the stamp from here, and a double keeps it exactly.
constexpr std::size_t kRedisStampAt = 1;
constexpr std::size_t kRedisStampDigits = 16;
constexpr std::int64_t kMaxRedisStamp = 9'007'199'254'740'991;

std::string encode_redis_value(std::string_view key, const RedisValue& value);
std::optional<RedisValue> decode_redis_value(std::string_view key, std::string_view bytes);

}  // namespace satchel::prompt_cache
