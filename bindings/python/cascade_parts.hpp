// The parts of a cascade that are written in Python, as the tables that the library takes.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

namespace satchel_python {

namespace py = pybind11;

// The shapes that the callables have (satchel/_cascade_parts.py makes them from what the user
// gave). Each may return NotImplemented to ask for the built-in. A table owns its callables from
// the moment it is handed over.
//   files: a tuple of
//     read(name) -> (bytes, Unix ns) | None    write(name, bytes)    remove(name)
satchel_usage_files usage_files_callbacks(const py::object& callables);
//   credentials() -> str | bytes | int, a SATCHEL_USAGE_ERROR_* | None
satchel_credentials credentials_callbacks(const py::object& token);
//   transcripts(Unix ns) -> ((start, four counts) | None, four counts) | None
satchel_transcripts transcripts_callbacks(const py::object& windows);

}  // namespace satchel_python
