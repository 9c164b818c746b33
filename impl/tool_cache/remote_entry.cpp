#include "tool_cache/remote_entry.hpp"

#include <algorithm>
#include <utility>

#include "core/blake3.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::size_t kMaxPath = 4'096;  // PATH_MAX: no file has a longer one
constexpr std::size_t kMaxKind = 1'024;
constexpr std::string_view kDirectory = "dir:";

// 64 hexadecimal digits, as a key is.
bool is_hash(std::string_view text) { return Key::of_name(text).has_value(); }

bool is_portable_fingerprint(std::string_view text) {
  if (text.starts_with(kDirectory)) text.remove_prefix(kDirectory.size());
  return is_hash(text);
}

bool is_path(std::string_view path) {
  return !path.empty() && path.size() <= kMaxPath && path.find('\0') == std::string_view::npos;
}

}  // namespace

std::string payload_hash_of(std::string_view payload) {
  const core::Hash256 hash = core::blake3(payload);
  return core::hex(hash.data(), hash.size());
}

std::optional<std::string> why_not_shared(const Meta& meta) {
  if (meta.tool_kind.size() > kMaxKind) return "its kind is too long";
  if (meta.upstream_keys.size() > kRemoteMaxUpstreams) return "it has too many upstreams";
  std::size_t bytes = meta.tool_kind.size();
  for (const Root& root : meta.file_roots) {
    if (!is_path(root.path)) return "a root has no possible path";
    if (!is_portable_fingerprint(root.expected_hash)) {
      return "a root has a fingerprint that means nothing elsewhere";
    }
    bytes += root.path.size() + root.expected_hash.size();
  }
  if (!std::all_of(meta.upstream_keys.begin(), meta.upstream_keys.end(), is_hash)) {
    return "an upstream is no key";
  }
  bytes += meta.upstream_keys.size() * 64;
  if (bytes > kRemoteMaxMetaBytes / 2) return "it has too many roots";
  return std::nullopt;
}

core::Result<RemoteEntry> checked_remote_entry(Meta meta, std::string payload) {
  const auto refuse = [](std::string why) {
    return core::Error{core::Status::kIntegrity, std::move(why), 0, 0};
  };
  if (std::optional<std::string> why = why_not_shared(meta)) return refuse(std::move(*why));
  if (meta.bytes != payload.size()) return refuse("its payload has another length");
  if (meta.payload_hash != payload_hash_of(payload)) {
    return refuse("its payload does not match its hash");
  }
  meta.encoding = Encoding::kPlain;
  return RemoteEntry{std::move(meta), std::move(payload)};
}

}  // namespace satchel::tool_cache
