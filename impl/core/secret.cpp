#include "core/secret.hpp"

#include <openssl/crypto.h>

namespace satchel::core {

void wipe(std::string& secret) {
  // The whole capacity: a shorter text may stand where a longer one was.
  secret.resize(secret.capacity());
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace satchel::core
