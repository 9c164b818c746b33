#include "tool_cache/remote_signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <new>

#include "core/sha256.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::string_view kDomain = "satchel tool cache, shared, 1\n";

struct FreeMac {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// OpenSSL fails here for want of memory only.
core::Hash256 hmac(std::string_view secret, RemoteSigner::Kind kind, const Key& key,
                   std::string_view bytes) {
  const std::unique_ptr<EVP_MAC, FreeMac> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  const std::unique_ptr<EVP_MAC_CTX, FreeMac> context(mac == nullptr ? nullptr
                                                                     : EVP_MAC_CTX_new(mac.get()));
  std::array<char, 7> digest = {"SHA256"};
  const std::array<OSSL_PARAM, 2> settings = {
      OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0), OSSL_PARAM_construct_end()};
  const auto letter = static_cast<unsigned char>(kind);
  core::Hash256 out{};
  std::size_t size = 0;
  const bool made =
      context != nullptr &&
      EVP_MAC_init(context.get(), bytes_of(secret), secret.size(), settings.data()) == 1 &&
      EVP_MAC_update(context.get(), bytes_of(kDomain), kDomain.size()) == 1 &&
      EVP_MAC_update(context.get(), &letter, 1) == 1 &&
      EVP_MAC_update(context.get(), key.bytes.data(), key.bytes.size()) == 1 &&
      EVP_MAC_update(context.get(), bytes_of(bytes), bytes.size()) == 1 &&
      EVP_MAC_final(context.get(), out.data(), &size, out.size()) == 1 && size == out.size();
  if (!made) throw std::bad_alloc();
  return out;
}

}  // namespace

std::string RemoteSigner::seal(Kind kind, const Key& key, std::string_view bytes) const {
  const core::Hash256 signature = hmac(secret_->view(), kind, key, bytes);
  std::string sealed;
  sealed.reserve(kOverhead + bytes.size());
  sealed.append(reinterpret_cast<const char*>(signature.data()), signature.size());
  sealed.append(bytes);
  return sealed;
}

std::optional<std::string_view> RemoteSigner::open(Kind kind, const Key& key,
                                                   std::string_view sealed) const {
  if (sealed.size() < kOverhead) return std::nullopt;
  const std::string_view bytes = sealed.substr(kOverhead);
  const core::Hash256 expected = hmac(secret_->view(), kind, key, bytes);
  // In the same time whatever the difference: it must not tell how much of a forgery was right.
  if (CRYPTO_memcmp(expected.data(), sealed.data(), expected.size()) != 0) return std::nullopt;
  return bytes;
}

std::string RemoteSigner::namespace_id() const {
  const core::Hash256 id = hmac(secret_->view(), Kind::kNamespace, Key{}, {});
  return core::hex(id.data(), 8);
}

}  // namespace satchel::tool_cache
