#include "arguments.hpp"

#include <string>

namespace satchel_python {

Text::Text(py::handle object, const char* name) {
  if (object.is_none()) return;
  if (PyBytes_Check(object.ptr())) {
    keep_ = py::reinterpret_borrow<py::object>(object);
  } else if (PyUnicode_Check(object.ptr())) {
    Py_ssize_t len = 0;
    if (const char* data = PyUnicode_AsUTF8AndSize(object.ptr(), &len)) {
      keep_ = py::reinterpret_borrow<py::object>(object);
      view_ = {data, static_cast<std::size_t>(len)};
      return;
    }
    PyErr_Clear();
    keep_ = py::reinterpret_steal<py::object>(
        PyUnicode_AsEncodedString(object.ptr(), "utf-8", "surrogateescape"));
    if (!keep_) throw py::error_already_set();
  } else {
    throw py::type_error(std::string(name) + " must be str or bytes, not " +
                         Py_TYPE(object.ptr())->tp_name);
  }
  view_ = {PyBytes_AS_STRING(keep_.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(keep_.ptr()))};
}

py::str text(std::string_view utf8) {
  PyObject* object =
      PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "surrogateescape");
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(object);
}

py::object bytes_out(satchel_view out, py::handle given, const Buffer& buffer) {
  if (out.data == buffer.data() && out.len == buffer.size() && PyBytes_CheckExact(given.ptr())) {
    return py::reinterpret_borrow<py::object>(given);
  }
  return bytes(out);
}

}  // namespace satchel_python
