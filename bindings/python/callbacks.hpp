// The tables of callbacks that lead into Python.
//
// Each table owns the Python callables it needs. The library copies a table and calls its release
// once, on whichever thread that happens, also when opening fails; from the moment a table is
// handed over nothing else may free it.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

namespace satchel_python {

namespace py = pybind11;

// The shapes that the callables have, None for the built-in (satchel/_callbacks.py makes them from
// what the user gave). Each may return NotImplemented to ask for the built-in.
//   log(level, component, message)       clock() -> int          monotonic() -> int
//   http: see http.hpp
satchel_host host_callbacks(const py::object& log, const py::object& clock,
                            const py::object& monotonic, const py::object& http = py::none());
// satchel_open; takes the table over. config: bytes, JSON.
satchel_library* open_library(const py::object& config, const satchel_host& host);
//   resolve(api_key) -> str | None
satchel_principals principal_callbacks(const py::object& resolve);
//   resolve(model) -> (enabled, min_prefix_tokens) | None
satchel_models model_callbacks(const py::object& resolve);
//   versions(model) -> iterable of (model, tokenizer_version, template_version | None)
//   tokenize(model, segments) -> list of cumulative counts
//   render(model, messages, tools | None, prefixes, timeout_ms) -> (total, counts) or why not;
//     prefixes as (tools, message, block, tool_call)
satchel_tokenizer tokenizer_callbacks(const py::object& versions, const py::object& tokenize,
                                      const py::object& render);

}  // namespace satchel_python
