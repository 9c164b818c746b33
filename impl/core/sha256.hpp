// SHA-256 by OpenSSL's EVP, with the state readable at any point: a prompt's prefixes are hashed
// in one pass, and the hash at each boundary costs one copy of the state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace satchel::core {

using Hash256 = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  Sha256();  // throws std::bad_alloc where OpenSSL cannot make a context
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256();

  void reset();
  void update(std::string_view bytes);
  // The hash of everything so far; more may follow.
  Hash256 digest();

 private:
  void* context_;  // EVP_MD_CTX
  void* scratch_;  // EVP_MD_CTX: digest() finishes a copy
};

Hash256 sha256(std::string_view bytes);
std::string hex(const std::uint8_t* bytes, std::size_t len);

}  // namespace satchel::core
