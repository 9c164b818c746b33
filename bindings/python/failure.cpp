#include "failure.hpp"

#include <utility>

#include "arguments.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

// Of satchel._errors, which is imported once and kept to the end of the process: an exit handler
// may still need it, when nothing can be imported any more.
py::object attribute(const char* name) {
  // Not initialised by the import: the compiler's own lock around that, together with Python's,
  // could deadlock.
  static PyObject* module = nullptr;
  if (module == nullptr) module = py::module_::import("satchel._errors").release().ptr();
  return py::handle(module).attr(name);
}

template <class... Arguments>
[[noreturn]] void raise(const char* name, Arguments&&... arguments) {
  const py::object exception =
      call_python(attribute(name), py::make_tuple(std::forward<Arguments>(arguments)...));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw py::error_already_set();
}

}  // namespace

void fail(satchel_status status, const satchel_error& error) {
  raise("from_status", status, satchel_status_name(status), text(error.message), error.os_errno,
        error.reason);
}

void fail(satchel_status status, std::string_view message) {
  raise("from_status", status, satchel_status_name(status), text(message), 0, 0);
}

void reject(const satchel_error& error, const satchel_forward& answer) {
  const auto status = static_cast<satchel_status>(SATCHEL_REJECTED);
  raise("Rejected", status, satchel_status_name(status), text(error.message), error.os_errno,
        error.reason, answer.http_status, text(answer.content_type), bytes(answer.body));
}

}  // namespace satchel_python
