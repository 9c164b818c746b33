// Who is asking: the customer whose entries these are. Entries of two principals never meet.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace satchel::prompt_cache {

// Any thread.
class Principals {
 public:
  Principals() = default;
  Principals(const Principals&) = delete;
  Principals& operator=(const Principals&) = delete;
  virtual ~Principals() = default;
  // Nothing: nobody is known by this key.
  virtual core::Result<std::optional<std::string>> resolve(std::string_view api_key) = 0;
};

// The key's own hash: two keys are two principals, and no key is stored.
std::unique_ptr<Principals> make_key_principals();

// The key in an Authorization header's value: after "Bearer " or "bearer ", without white space
// around it, as the reference reads it. Empty: none.
std::string_view bearer_token(std::string_view authorization);

}  // namespace satchel::prompt_cache
