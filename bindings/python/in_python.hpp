// Callbacks of the library that lead into Python: each runs through in_python, each table's release
// is release_callables.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <new>
#include <utility>

#include "interpreter.hpp"

namespace satchel_python {

namespace py = pybind11;

// Says what went wrong through sys.unraisablehook: there is no caller to raise it to. Ctrl-C is
// raised again where it belongs, in the main thread, as soon as that runs Python code.
void report_error_in(py::handle callable);

// Runs `work` with the lock held and turns whatever it throws into SATCHEL_ERR_CALLBACK.
template <class Work>
satchel_status guarded_call(py::handle callable, Work&& work) {
  try {
    return work();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  report_error_in(callable);
  return SATCHEL_ERR_CALLBACK;
}

// Runs `work` in Python. A thread that CPython ends meanwhile is parked: unwinding it through the
// library would abort the process.
template <class Work>
satchel_status in_python(py::handle callable, Work&& work) {
  PyGILState_STATE state{};
  if (!enter_python(&state)) return SATCHEL_ERR_CALLBACK;
  satchel_status status = SATCHEL_ERR_CALLBACK;
  try {
    status = guarded_call(callable, std::forward<Work>(work));
    leave_python(state);
  } catch (abi::__forced_unwind&) {
    park_thread();
  }
  return status;
}

template <class Callables>
void release_callables(void* user) noexcept {
  PyGILState_STATE state{};
  if (!enter_python(&state)) return;  // the interpreter is gone, and with it what is held here
  try {
    delete static_cast<Callables*>(user);
    leave_python(state);
  } catch (abi::__forced_unwind&) {
    park_thread();
  }
}

inline bool asks_for_built_in(const py::object& answer) {
  return answer.ptr() == Py_NotImplemented;
}

}  // namespace satchel_python
