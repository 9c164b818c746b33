// What comes from a shared remote. The first letter says what: l, p and i are a cache server's
// answers to a lookup, a persist and an invalidation; any other a value from Redis.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "core/base64.hpp"
#include "tool_cache/remote_entry.hpp"
#include "tool_cache/remote_signature.hpp"
#include "tool_cache/remote_wire.hpp"

namespace {

using satchel::core::Status;
using namespace satchel::tool_cache;  // NOLINT(google-build-using-namespace)

void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

void lookup(std::string_view body) {
  const auto answer = read_wire_lookup(body);
  if (!answer) {
    const Status status = answer.error().status;
    require(
        (status == Status::kIntegrity || status == Status::kIo) && !answer.error().message.empty(),
        "an answer that is not taken is refused or none, and it is said why");
    return;
  }
  if (!*answer) return;
  const RemoteEntry& entry = **answer;
  require(!why_not_shared(entry.meta), "nothing is taken that would not be sent");
  require(entry.meta.bytes == entry.payload.size() &&
              entry.meta.payload_hash == payload_hash_of(entry.payload),
          "meta and payload belong together");
  require(entry.may_keep == entry.meta.upstream_keys.empty(),
          "an entry with upstreams is not kept");
  const auto again = read_meta(write_meta(entry.meta));
  require(again && *again == entry.meta, "its meta can be stored");
}

void persisted(std::string_view body) {
  const auto answer = read_wire_persist(body);
  require(
      answer || answer.error().status == Status::kNotStored || answer.error().status == Status::kIo,
      "a persist was done, is not wanted, or nobody knows");
}

void value(std::string_view text) {
  static const RemoteSigner signer(
      std::make_shared<const satchel::core::Secret>(std::string_view("0123456789abcdef")));
  const Key key = key_of("a call");
  require(!signer.open(RemoteSigner::Kind::kMeta, key, text), "nobody guesses a signature");
  const std::string sealed = signer.seal(RemoteSigner::Kind::kMeta, key, text);
  require(signer.open(RemoteSigner::Kind::kMeta, key, sealed) == text, "what was sealed opens");
  const auto bytes = satchel::core::base64_decode(text);
  if (bytes) require(satchel::core::base64_encode(*bytes) == text, "base64 has one spelling");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'l':
      lookup(text);
      break;
    case 'p':
      persisted(text);
      break;
    case 'i':
      (void)read_wire_invalidate(text);
      break;
    default:
      value(text);
  }
  return 0;
}
