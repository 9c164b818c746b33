#include "index.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "arguments.hpp"
#include "in_python.hpp"

namespace satchel_python {
namespace {

constexpr size_t kHashBytes = 32;

struct IndexCallables {
  py::object find;
  py::object commit;
  py::object clear;
};

py::bytes hash_bytes(const uint8_t* hash, size_t size = kHashBytes) {
  return {reinterpret_cast<const char*>(hash), size};
}

py::tuple scope_tuple(const satchel_scope& scope) {
  return py::make_tuple(text(scope.principal), text(scope.model), text(scope.tokenizer_version),
                        hash_bytes(scope.id, sizeof scope.id));
}

satchel_entry entry_of(const py::handle& item) {
  const auto row = item.cast<py::tuple>();
  const auto hash = row[0].cast<std::string>();
  if (hash.size() != kHashBytes) throw py::value_error("an entry's hash has 32 bytes");
  satchel_entry entry = SATCHEL_ENTRY_INIT;
  std::memcpy(entry.hash, hash.data(), kHashBytes);
  entry.cumulative_token_count = row[1].cast<uint64_t>();
  entry.tier = row[2].cast<int32_t>();
  entry.expires_at = row[3].cast<int64_t>();
  return entry;
}

satchel_status find(void* user, const satchel_scope* scope, const uint8_t* hashes,
                    size_t hash_count, int64_t live_after, satchel_index_answer* answer) {
  const py::handle callable = static_cast<IndexCallables*>(user)->find;
  return in_python(callable, [&]() -> satchel_status {
    py::list candidates(hash_count);
    for (size_t i = 0; i < hash_count; ++i) candidates[i] = hash_bytes(hashes + kHashBytes * i);
    const py::object found =
        call_python(callable, py::make_tuple(scope_tuple(*scope), candidates, live_after));
    for (const py::handle item : found.cast<py::list>()) {
      const satchel_entry entry = entry_of(item);
      if (const satchel_status status = satchel_index_add(answer, &entry); status != SATCHEL_OK) {
        return status;
      }
    }
    return SATCHEL_OK;
  });
}

satchel_status commit(void* user, const satchel_commit* given, int32_t* refreshed) {
  const py::handle callable = static_cast<IndexCallables*>(user)->commit;
  return in_python(callable, [&]() -> satchel_status {
    py::list rows(given->entry_count);
    for (size_t i = 0; i < given->entry_count; ++i) {
      const satchel_entry& entry = given->entries[i];
      rows[i] = py::make_tuple(hash_bytes(entry.hash), entry.cumulative_token_count, entry.tier,
                               entry.expires_at);
    }
    py::object refresh = py::none();
    if (given->refresh_hash != nullptr) {
      refresh = py::make_tuple(hash_bytes(given->refresh_hash), given->refresh_expires_at);
    }
    const py::object done =
        call_python(callable, py::make_tuple(scope_tuple(*given->scope), rows, refresh));
    if (done.is_none()) return SATCHEL_ERR_UNAVAILABLE;
    *refreshed = done.cast<bool>() ? 1 : 0;
    return SATCHEL_OK;
  });
}

satchel_status clear(void* user) {
  const py::handle callable = static_cast<IndexCallables*>(user)->clear;
  return in_python(callable, [&]() -> satchel_status {
    call_python(callable, py::tuple());
    return SATCHEL_OK;
  });
}

}  // namespace

satchel_index index_callbacks(const py::object& callables) {
  const auto of = callables.cast<py::tuple>();
  satchel_index table = SATCHEL_INDEX_INIT;
  table.user = new IndexCallables{of[0], of[1], of[2]};
  table.release = release_callables<IndexCallables>;
  table.find = find;
  table.commit = commit;
  table.clear = clear;
  return table;
}

}  // namespace satchel_python
