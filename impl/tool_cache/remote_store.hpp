// A store that several machines share, as the tool cache sees it: slow, sometimes away, and not to
// be believed. Who asks it is remote.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "tool_cache/key.hpp"
#include "tool_cache/meta.hpp"

namespace satchel::tool_cache {

struct RemoteEntry {
  Meta meta;
  std::string payload;
  // Whether the local store may have it: not if it would miss an invalidation there.
  bool may_keep = true;
};

// Any thread; every call ends within the time that the remote was configured with. Errors:
// kIntegrity, what it has under the key is not to be believed; kNotStored, it will not have this
// entry; kBusy, it was not asked, too many others are asking; anything else, it is away or not what
// it should be. No message holds a secret.
class RemoteStore {
 public:
  RemoteStore() = default;
  RemoteStore(const RemoteStore&) = delete;
  RemoteStore& operator=(const RemoteStore&) = delete;
  virtual ~RemoteStore() = default;

  // For the log: "Redis at cache:6379".
  [[nodiscard]] virtual std::string name() const = 0;
  virtual core::Result<std::optional<RemoteEntry>> fetch(const Key& key) = 0;
  virtual core::Result<void> send(const Key& key, std::string_view payload, const Meta& meta) = 0;
  virtual core::Result<void> remove(const Key& key) = 0;
  // Everything made from `key`, directly or through others. Those whose keys it can tell.
  virtual core::Result<std::vector<Key>> remove_dependents(const Key& key) = 0;
  // What is under way ends soon, with an error.
  virtual void stop() {}
};

}  // namespace satchel::tool_cache
