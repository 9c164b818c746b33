// A cascade: the handle, what is asked of it, and what it found.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include "opened.hpp"

namespace satchel_python {

namespace py = pybind11;

using Cascade = Opened<satchel_cascade, satchel_cascade_close>;

void define_cascade(py::module_& module);

// What a resolve found, as a tuple (_core.pyi: UsageTuple), and frees it. Lock held.
py::tuple usage_tuple(satchel_usage* given);

// Of satchel_cascade_resolve_start: calls the py::object that `user` owns with that tuple and None,
// or with None and an exception.
void usage_done(void* user, satchel_status status, satchel_usage* usage,
                const satchel_error* error) noexcept;

}  // namespace satchel_python
