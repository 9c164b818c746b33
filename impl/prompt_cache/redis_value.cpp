#include "prompt_cache/redis_value.hpp"

#include <algorithm>
#include <charconv>

#include "core/sha256.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr char kVersion = '1';
constexpr std::size_t kCheckBytes = 8;
constexpr std::size_t kExpiryAt = kRedisStampAt + kRedisStampDigits;
constexpr std::size_t kCountAt = kExpiryAt + 8;
constexpr std::size_t kTierAt = kCountAt + 4;
constexpr std::size_t kCheckAt = kTierAt + 1;
constexpr std::size_t kSize = kCheckAt + kCheckBytes;

template <class Number>
void append_number(std::string& out, Number number) {
  for (std::size_t i = sizeof number; i > 0; --i) {
    out += static_cast<char>((number >> (8 * (i - 1))) & 0xff);
  }
}

template <class Number>
Number read_number(std::string_view bytes) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) {
    number = static_cast<Number>((number << 8) | static_cast<unsigned char>(bytes[i]));
  }
  return number;
}

std::string check_of(std::string_view key, std::string_view content) {
  std::string both(key);
  both += content;
  const core::Hash256 hash = core::sha256(both);
  return {hash.begin(), hash.begin() + kCheckBytes};
}

}  // namespace

std::string redis_key(const ScopeId& scope, const PrefixHash& hash) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string key(kRedisKeyPattern.substr(0, kRedisKeyPattern.size() - 1));
  key += '{';
  for (const std::uint8_t byte : scope) {
    key += kDigits[byte >> 4];
    key += kDigits[byte & 0xf];
  }
  key += "}:";
  key.append(hash.begin(), hash.end());
  return key;
}

std::string encode_redis_value(std::string_view key, const RedisValue& value) {
  const std::string stamp =
      std::to_string(std::clamp<std::int64_t>(value.stamp_us, 0, kMaxRedisStamp));
  std::string bytes(1, kVersion);
  bytes.append(kRedisStampDigits - stamp.size(), '0');
  bytes += stamp;
  append_number(bytes, static_cast<std::uint64_t>(value.expires_at));
  append_number(bytes, value.cumulative_token_count);
  bytes += static_cast<char>(value.tier);
  bytes += check_of(key, bytes);
  return bytes;
}

std::optional<RedisValue> decode_redis_value(std::string_view key, std::string_view bytes) {
  if (bytes.size() != kSize || bytes[0] != kVersion) return std::nullopt;
  if (bytes.substr(kCheckAt) != check_of(key, bytes.substr(0, kCheckAt))) return std::nullopt;
  RedisValue value;
  const char* stamp = bytes.data() + kRedisStampAt;
  if (std::from_chars(stamp, stamp + kRedisStampDigits, value.stamp_us).ptr !=
      stamp + kRedisStampDigits) {
    return std::nullopt;
  }
  value.expires_at = static_cast<std::int64_t>(read_number<std::uint64_t>(bytes.substr(kExpiryAt)));
  value.cumulative_token_count = read_number<std::uint32_t>(bytes.substr(kCountAt));
  const auto tier = static_cast<std::uint8_t>(bytes[kTierAt]);
  if (tier >= kTierCount) return std::nullopt;
  value.tier = static_cast<Tier>(tier);
  return value;
}

}  // namespace satchel::prompt_cache
