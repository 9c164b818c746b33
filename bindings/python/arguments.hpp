// Python's bytes and texts as the library takes them, and back.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <string_view>

namespace satchel_python {

namespace py = pybind11;

// The bytes of any object with the buffer protocol, borrowed while this lives. Lock held.
class Buffer {
 public:
  explicit Buffer(py::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { PyBuffer_Release(&view_); }

  [[nodiscard]] const char* data() const { return static_cast<const char*>(view_.buf); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
};

// A text, borrowed while this lives: str, bytes, or None for none. What a str cannot hold as UTF-8
// travels as surrogates ("surrogateescape"), as in os.fsdecode and in headers read by WSGI servers.
class Text {
 public:
  // `name` is the argument's, for the TypeError.
  Text(py::handle object, const char* name);

  [[nodiscard]] const char* data() const { return view_.data; }
  [[nodiscard]] std::size_t size() const { return view_.len; }
  [[nodiscard]] satchel_view view() const { return view_; }

 private:
  py::object keep_;
  satchel_view view_{nullptr, 0};
};

inline py::bytes bytes(satchel_view view) { return {view.data, view.len}; }

py::str text(std::string_view utf8);
inline py::str text(const char* data, std::size_t len) {
  return text(len == 0 ? std::string_view() : std::string_view(data, len));
}
inline py::str text(satchel_view view) { return text(view.data, view.len); }

// The bytes that a call gave for `given`: the same object where nothing was changed.
py::object bytes_out(satchel_view out, py::handle given, const Buffer& buffer);

// A buffer that the library made, given back when this goes.
class OwnedBuffer {
 public:
  OwnedBuffer() = default;
  OwnedBuffer(const OwnedBuffer&) = delete;
  OwnedBuffer& operator=(const OwnedBuffer&) = delete;
  ~OwnedBuffer() { satchel_buffer_free(&buffer_); }

  satchel_buffer* out() { return &buffer_; }
  [[nodiscard]] satchel_view view() const { return {buffer_.data, buffer_.len}; }

 private:
  satchel_buffer buffer_ = SATCHEL_BUFFER_INIT;
};

}  // namespace satchel_python
