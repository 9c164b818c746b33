// Which entries have a given path among their roots, without resolving every root each time.
//
// The reference makes the path of each root canonical and compares without regard to case; what
// cannot be made canonical is compared as joined and as written. Here the answers are kept for each
// workspace and each distinct path, as hashes of the three lowercase forms, and are found by them:
//   directories  of the joined paths, textually: what stands before the last slash
//   resolved     path, its directory, and the forms; `anew`: resolved with each call
//
// Why nothing is missed. The canonical form of D/name, with `name` a plain name that is no link, is
// the canonical form of D and the name, or there is none. So it changes only if D leads elsewhere,
// or if `name` in the directory that D leads to comes, goes, or becomes a link. The first is looked
// at with each call: realpath(D). The second changes times in the stamp of that directory, as do
// the directory's permissions, and a mount over it changes device and inode; the stamp is looked at
// with each call and believed only if it was settled when the names were looked at, on a
// filesystem that keeps the promise. What was not settled is looked at again, name by name. Names
// that are links depend on more than their directory, and paths that end in "..", ".", a slash, or
// are of extreme length are not of this form: these are resolved with each call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tool_cache/index_connection.hpp"

namespace satchel::tool_cache {

// Entries with `given` among their roots, by ascending key. Failures are the connection's. `day`:
// the date, by which workspaces that nobody asks for any more are forgotten.
std::vector<Key> entries_with_root(IndexConnection& connection, const std::string& workspace,
                                   std::string_view given, std::int64_t day);

// Within a transaction: no entry has the path any more.
void forget_path(IndexConnection& connection, std::int64_t path);

}  // namespace satchel::tool_cache
