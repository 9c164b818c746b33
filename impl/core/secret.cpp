#include "core/secret.hpp"

#include <openssl/crypto.h>

#include <cstring>

namespace satchel::core {

void wipe(char* data, std::size_t len) {
  if (len != 0) OPENSSL_cleanse(data, len);
}

void wipe(std::string& secret) {
  // The capacity may hold the end of a longer text that stood there before.
  secret.resize(secret.capacity());
  wipe(secret.data(), secret.size());
  secret.clear();
}

Secret::Secret(std::string_view text) : Secret(text.size()) {
  if (!text.empty()) std::memcpy(data_.get(), text.data(), text.size());
}

}  // namespace satchel::core
