// The classes of _core.
#pragma once

#include <pybind11/pybind11.h>

namespace satchel_python {

namespace py = pybind11;

// Takes the way to an instance that was never constructed, Class.__new__(Class), away: pybind11
// would lend it raw memory.
template <class... Options>
void made_by_functions_only(py::class_<Options...>& defined) {
  auto* type = reinterpret_cast<PyTypeObject*>(defined.ptr());
  type->tp_new = nullptr;
  PyType_Modified(type);
}

}  // namespace satchel_python
