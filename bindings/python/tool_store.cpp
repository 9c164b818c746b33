#include "tool_store.hpp"

#include <utility>

#include "arguments.hpp"
#include "in_python.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

struct StoreCallables {
  explicit StoreCallables(const py::tuple& all)
      : persist(all[0]),
        lookup(all[1]),
        remove(all[2]),
        contains(all[3]),
        iterate(all[4]),
        total_bytes(all[5]),
        evict_to_cap(all[6]) {}

  py::object persist, lookup, remove, contains, iterate, total_bytes, evict_to_cap;
};

const StoreCallables& store(void* user) { return *static_cast<StoreCallables*>(user); }

// bytes for the callee to keep, of a view that is gone when the callback returns
py::bytes copy(const char* data, size_t len) { return bytes({data, len}); }

satchel_status persist(void* user, const char* key, size_t key_len, const char* payload,
                       size_t payload_len, const char* meta, size_t meta_len) {
  const py::handle callable = store(user).persist;
  return in_python(callable, [&]() -> satchel_status {
    call_python(callable, py::make_tuple(text(key, key_len), copy(payload, payload_len),
                                         copy(meta, meta_len)));
    return SATCHEL_OK;
  });
}

satchel_status lookup(void* user, const char* key, size_t key_len, satchel_stored_answer* answer) {
  const py::handle callable = store(user).lookup;
  return in_python(callable, [&]() -> satchel_status {
    const py::object found = call_python(callable, py::make_tuple(text(key, key_len)));
    if (found.is_none()) return SATCHEL_OK;
    const auto [payload_bytes, meta_text] = found.cast<std::pair<py::object, py::object>>();
    const Buffer payload(payload_bytes);
    const Text meta(meta_text, "the meta");
    return satchel_stored_set(answer, payload.data(), payload.size(), meta.data(), meta.size());
  });
}

// Calls of the form f(key) -> bool.
satchel_status ask_of_key(py::handle callable, const char* key, size_t key_len, int32_t* answer) {
  return in_python(callable, [&]() -> satchel_status {
    const py::object said = call_python(callable, py::make_tuple(text(key, key_len)));
    const int truth = PyObject_IsTrue(said.ptr());
    if (truth < 0) throw py::error_already_set();
    *answer = truth;
    return SATCHEL_OK;
  });
}

satchel_status remove(void* user, const char* key, size_t key_len, int32_t* removed) {
  return ask_of_key(store(user).remove, key, key_len, removed);
}

satchel_status contains(void* user, const char* key, size_t key_len, int32_t* present) {
  return ask_of_key(store(user).contains, key, key_len, present);
}

satchel_status iterate(void* user, satchel_keys_answer* answer) {
  const py::handle callable = store(user).iterate;
  return in_python(callable, [&]() -> satchel_status {
    const py::object entries = call_python(callable, py::tuple());
    for (const py::handle item : entries) {
      const auto [hex, meta_text] = item.cast<std::pair<py::object, py::object>>();
      const Text key(hex, "a key");
      const Text meta(meta_text, "the meta");
      const satchel_status status =
          satchel_keys_add(answer, key.data(), key.size(), meta.data(), meta.size());
      if (status != SATCHEL_OK) return status;
    }
    return SATCHEL_OK;
  });
}

satchel_status total_bytes(void* user, uint64_t* bytes) {
  const py::handle callable = store(user).total_bytes;
  return in_python(callable, [&]() -> satchel_status {
    *bytes = call_python(callable, py::tuple()).cast<uint64_t>();
    return SATCHEL_OK;
  });
}

satchel_status evict_to_cap(void* user, uint64_t cap, satchel_keys_answer* answer) {
  const py::handle callable = store(user).evict_to_cap;
  return in_python(callable, [&]() -> satchel_status {
    const py::object removed = call_python(callable, py::make_tuple(cap));
    for (const py::handle item : removed) {
      const Text key(item, "a key");
      const satchel_status status = satchel_keys_add(answer, key.data(), key.size(), nullptr, 0);
      if (status != SATCHEL_OK) return status;
    }
    return SATCHEL_OK;
  });
}

}  // namespace

satchel_tool_store tool_store_callbacks(const py::object& callables) {
  satchel_tool_store table = SATCHEL_TOOL_STORE_INIT;
  table.user = new StoreCallables(callables.cast<py::tuple>());
  table.release = release_callables<StoreCallables>;
  table.persist = persist;
  table.lookup = lookup;
  table.remove = remove;
  table.contains = contains;
  table.iterate = iterate;
  table.total_bytes = total_bytes;
  table.evict_to_cap = evict_to_cap;
  return table;
}

}  // namespace satchel_python
