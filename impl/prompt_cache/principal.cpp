#include "prompt_cache/principal.hpp"

#include "core/sha256.hpp"
#include "core/text.hpp"

namespace satchel::prompt_cache {
namespace {

class KeyPrincipals final : public Principals {
 public:
  core::Result<std::optional<std::string>> resolve(std::string_view api_key) override {
    const core::Hash256 hash = core::sha256(api_key);
    return std::optional<std::string>("key-" + core::hex(hash.data(), 16));
  }
};

}  // namespace

std::unique_ptr<Principals> make_key_principals() { return std::make_unique<KeyPrincipals>(); }

std::string_view bearer_token(std::string_view authorization) {
  for (const std::string_view scheme : {"Bearer ", "bearer "}) {
    if (authorization.substr(0, scheme.size()) == scheme) {
      return core::trim(authorization.substr(scheme.size()));
    }
  }
  return {};
}

}  // namespace satchel::prompt_cache
