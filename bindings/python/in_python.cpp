#include "in_python.hpp"

namespace satchel_python {

void report_error_in(py::handle callable) {
  if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) != 0) {
    PyErr_Clear();
    PyErr_SetInterrupt();
    return;
  }
  PyErr_WriteUnraisable(callable.ptr());
}

}  // namespace satchel_python
