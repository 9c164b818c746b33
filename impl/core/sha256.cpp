#include "core/sha256.hpp"

#include <openssl/evp.h>

#include <new>

#include "core/process_wide.hpp"

namespace satchel::core {
namespace {

// Fetched once: an implicit fetch on every digest costs more than hashing a short block.
constinit ProcessWide<const EVP_MD*> algorithm([]() -> const EVP_MD* {
  const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (md == nullptr) throw std::bad_alloc();
  return md;
});

EVP_MD_CTX* context_of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

// OpenSSL reports failure only where it cannot allocate.
void require(int done) {
  if (done != 1) throw std::bad_alloc();
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()), scratch_(EVP_MD_CTX_new()) {
  const bool made = context_ != nullptr && scratch_ != nullptr &&
                    EVP_DigestInit_ex(context_of(context_), algorithm.get(), nullptr) == 1;
  if (!made) {
    EVP_MD_CTX_free(context_of(context_));
    EVP_MD_CTX_free(context_of(scratch_));
    throw std::bad_alloc();
  }
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(context_of(context_));
  EVP_MD_CTX_free(context_of(scratch_));
}

void Sha256::reset() { require(EVP_DigestInit_ex(context_of(context_), nullptr, nullptr)); }

void Sha256::update(std::string_view bytes) {
  if (bytes.empty()) return;
  require(EVP_DigestUpdate(context_of(context_), bytes.data(), bytes.size()));
}

Hash256 Sha256::digest() {
  Hash256 hash{};
  require(EVP_MD_CTX_copy_ex(context_of(scratch_), context_of(context_)));
  require(EVP_DigestFinal_ex(context_of(scratch_), hash.data(), nullptr));
  return hash;
}

Hash256 sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.digest();
}

std::string hex(const std::uint8_t* bytes, std::size_t len) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * len);
  for (std::size_t i = 0; i < len; ++i) {
    text.push_back(kDigits[bytes[i] >> 4]);
    text.push_back(kDigits[bytes[i] & 15]);
  }
  return text;
}

}  // namespace satchel::core
