// What is kept on a Redis that others can write to: each value behind an HMAC-SHA-256 under the
// team's secret, over what it is (a text of ours, the kind of value, the key of the entry it
// belongs to) and its bytes. All parts before the bytes have one length, so no two values are
// signed as the same text. A value that was altered, cut, moved to another key or made without the
// secret does not open.
//
// An old value of the same key does open: whoever can write there can put one back. It is a result
// of this very call all the same, and is served only where every root has the fingerprint that it
// names; an entry that was invalidated for other reasons, or names no roots, may so come back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/secret.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

// Any thread.
class RemoteSigner {
 public:
  enum class Kind : char {
    kMeta = 'm',
    kPayload = 'p',
    kDependent = 'd',  // bytes: the key of an entry made from this one
    kNamespace = 'n',
  };
  static constexpr std::size_t kOverhead = 32;

  explicit RemoteSigner(std::shared_ptr<const core::Secret> secret) : secret_(std::move(secret)) {}

  // Signature and bytes.
  [[nodiscard]] std::string seal(Kind kind, const Key& key, std::string_view bytes) const;
  // The bytes; nothing if they are not what was sealed.
  [[nodiscard]] std::optional<std::string_view> open(Kind kind, const Key& key,
                                                     std::string_view sealed) const;
  // A name that those with the same secret share, so that teams do not overwrite one another.
  [[nodiscard]] std::string namespace_id() const;

 private:
  const std::shared_ptr<const core::Secret> secret_;
};

}  // namespace satchel::tool_cache
