// An index of the user's own, written in Python, as the table that the library takes.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

namespace satchel_python {

namespace py = pybind11;

// callables: a tuple of (satchel/_index.py makes them from what the user gave)
//   find(scope, hashes, live_after) -> list of rows      commit(scope, rows, refresh) -> bool |
//   None clear()
// where a scope is (principal, model, tokenizer_version, id), a row (hash, count, tier, expires_at)
// and a refresh (hash, expires_at) or None; None from commit: try again. The table owns them from
// the moment it is handed over.
satchel_index index_callbacks(const py::object& callables);

}  // namespace satchel_python
