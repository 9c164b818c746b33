// satchel._core: the C ABI for Python. The package around it gives it its shape; see
// python/satchel/_core.pyi for what each function takes and gives.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include "cascade.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"
#include "tool_cache.hpp"

namespace satchel_python {
namespace {

PyObject* abi_version(PyObject* /*module*/, PyObject* /*none*/) {
  return PyLong_FromUnsignedLong(satchel_abi_version());
}

// Callbacks enter Python by PyGILState_Ensure, as pybind11 does already while it is imported. That
// knows the main interpreter alone: with another one it would wait for good.
bool in_main_interpreter() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return true;
  PyErr_SetString(
      PyExc_ImportError,
      "satchel works in the main interpreter of a process only, and this is another one "
      "(mod_wsgi: set WSGIApplicationGroup to %{GLOBAL}; uWSGI: single-interpreter)");
  return false;
}

PyObject* require_main_interpreter(PyObject* /*module*/, PyObject* /*none*/) {
  if (!in_main_interpreter()) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef plain_functions[] = {
    {"require_main_interpreter", require_main_interpreter, METH_NOARGS,
     "require_main_interpreter() -> None\n--\n\nRaises ImportError in any other."},
    {"abi_version", abi_version, METH_NOARGS,
     "abi_version() -> int\n--\n\nThe ABI of the libsatchel.so that was loaded."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace
}  // namespace satchel_python

// The name of what pybind11 defines here, so that ours can look first.
#define PyInit__core init_by_pybind11
PYBIND11_MODULE(_core, module) {
  using namespace satchel_python;
  if (satchel_abi_version() < SATCHEL_ABI_VERSION) {
    throw py::import_error(std::string("satchel needs a libsatchel.so with ABI ") +
                           std::to_string(SATCHEL_ABI_VERSION) + " or later; this is version " +
                           satchel_version() + " with ABI " +
                           std::to_string(satchel_abi_version()));
  }
  if (PyModule_AddFunctions(module.ptr(), plain_functions) != 0) throw py::error_already_set();
  module.attr("version") = satchel_version();
  module.def("after_fork_in_child", &after_fork_in_child);
  define_prompt_cache(module);
  define_request(module);
  define_prompt_parts(module);
  define_outcome(module);
  define_usage_filter(module);
  define_tool_cache(module);
  define_cascade(module);
}
#undef PyInit__core

extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  return satchel_python::in_main_interpreter() ? init_by_pybind11() : nullptr;
}
