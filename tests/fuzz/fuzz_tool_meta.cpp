// Any text as the meta of an entry: what is read is written, and what was written is read as the
// same. A key of any text is 64 lowercase hexadecimal digits or an error.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"

namespace {

void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using satchel::core::Result;
  using satchel::core::Status;
  using satchel::tool_cache::Key;
  using satchel::tool_cache::Meta;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<Meta> meta = satchel::tool_cache::read_meta(text);
  if (meta) {
    const std::string written = satchel::tool_cache::write_meta(*meta);
    const Result<Meta> again = satchel::tool_cache::read_meta(written);
    require(again && *again == *meta, "a meta that was written is read as the same");
  } else {
    require(meta.error().status == Status::kMeta && !meta.error().message.empty(),
            "a meta that cannot be read is ERR_META, and says why");
  }
  const Result<Key> key = Key::parse(text);
  if (key) {
    require(key->hex() == text, "a key is its text");
  } else {
    require(key.error().status == Status::kArgument, "what is no key is ERR_ARGUMENT");
  }
  return 0;
}
