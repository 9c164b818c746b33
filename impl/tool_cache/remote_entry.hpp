// What may go from one machine to another, and what is taken from there. The same rules both ways,
// so that nothing is sent that nobody would take.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "tool_cache/meta.hpp"
#include "tool_cache/remote_store.hpp"

namespace satchel::tool_cache {

constexpr std::size_t kRemoteMaxMetaBytes = std::size_t{1} << 20;
constexpr std::size_t kRemoteMaxUpstreams = 1'000;

// Why an entry stays on its machine; nothing if it may be shared.
//
// Paths are anything that a local root may be: relative ones belong to each machine's own
// workspace, absolute ones, "..", and links lead where they lead there. That is safe because they
// are only ever read, and only to compare their fingerprint. Fingerprints by size and time are not
// shared: two machines' clocks and checkouts (all files of one moment, say) make the same size and
// time of other content.
std::optional<std::string> why_not_shared(const Meta& meta);

// The entry if it may be shared and its payload is the one that its meta names; kIntegrity.
core::Result<RemoteEntry> checked_remote_entry(Meta meta, std::string payload);

// BLAKE3, as Meta::payload_hash has it.
std::string payload_hash_of(std::string_view payload);

}  // namespace satchel::tool_cache
