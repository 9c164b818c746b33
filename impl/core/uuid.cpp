#include "core/uuid.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <string>

namespace satchel::core {
namespace {

constexpr std::size_t kTextLength = 36;

constexpr bool is_hyphen_at(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != kTextLength) return std::nullopt;
  Uuid uuid{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < kTextLength; ++i) {
    if (is_hyphen_at(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return std::nullopt;
    std::uint8_t& byte = uuid[digits / 2];
    byte = static_cast<std::uint8_t>(byte << 4U | static_cast<unsigned>(digit));
    ++digits;
  }
  return uuid;
}

Uuid uuid_v5(const Uuid& name_space, std::string_view name) {
  std::string text(name_space.begin(), name_space.end());
  text += name;
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> hash{};
  // OpenSSL reports failure only where it cannot allocate.
  if (EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), hash.data(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  Uuid uuid{};
  std::copy_n(hash.begin(), uuid.size(), uuid.begin());
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0fU) | 0x50U);
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3fU) | 0x80U);
  return uuid;
}

}  // namespace satchel::core
