// From a status to an exception. The classes live in satchel/_errors.py.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <string_view>

namespace satchel_python {

namespace py = pybind11;

// Throws the exception that belongs to the status. Lock held.
[[noreturn]] void fail(satchel_status status, const satchel_error& error);
[[noreturn]] void fail(satchel_status status, std::string_view message);

inline void check(satchel_status status, const satchel_error& error) {
  if (status < 0) fail(status, error);
}

// Throws satchel.Rejected: the answer that the client is to get.
[[noreturn]] void reject(const satchel_error& error, const satchel_forward& answer);

// Runs the body of a function that CPython calls without pybind11's dispatcher, and turns what it
// throws into the error that CPython expects.
template <class Work>
PyObject* guarded(Work&& work) {
  try {
    return work().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace satchel_python
