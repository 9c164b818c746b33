// The texts of the reference's HTTP protocol (crate verdant-cache-wire 0.5.2): what is asked, and
// what an answer says.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"
#include "tool_cache/remote_store.hpp"

namespace satchel::tool_cache {

std::string wire_lookup(const Key& key, bool allow_shared);
std::string wire_persist(const Key& key, std::string_view payload, const Meta& meta,
                         bool promote_to_shared);
std::string wire_invalidate(const Key& key);

// Of a lookup. Nothing: it has none, or one that is invalid, or one that another user shared and
// that depends on other entries: the server names those in a way that only their user's
// invalidations reach. An entry of our own with such upstreams is not to be kept for the same
// reason: only the server drops it when one of them is invalidated.
//
// kIntegrity: an entry that is not to be believed; kIo: no answer of this protocol.
core::Result<std::optional<RemoteEntry>> read_wire_lookup(std::string_view body);
// Of a persist. kNotStored with what the server says: it will not have it; kIo.
core::Result<void> read_wire_persist(std::string_view body);
// Of an invalidation. kIo.
core::Result<void> read_wire_invalidate(std::string_view body);

}  // namespace satchel::tool_cache
