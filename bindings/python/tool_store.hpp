// A store of the user's own, written in Python, as the table that the library takes.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

namespace satchel_python {

namespace py = pybind11;

// callables: a tuple of (satchel/_tool_store.py makes them from what the user gave)
//   persist(key, payload, meta)    lookup(key) -> (payload, meta) | None    remove(key) -> bool
//   contains(key) -> bool          iterate() -> iterable of (key, meta)     total_bytes() -> int
//   evict_to_cap(cap) -> iterable of keys
// The table owns them from the moment it is handed over.
satchel_tool_store tool_store_callbacks(const py::object& callables);

}  // namespace satchel_python
