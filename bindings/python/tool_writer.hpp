// A payload on its way into the store, piece by piece.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

namespace satchel_python {

namespace py = pybind11;

class ToolWriter {
 public:
  explicit ToolWriter(satchel_tool_writer* handle) : handle_(handle) {}
  ToolWriter(const ToolWriter&) = delete;
  ToolWriter& operator=(const ToolWriter&) = delete;
  ~ToolWriter();

  [[nodiscard]] bool closed() const { return handle_ == nullptr; }
  // How many bytes.
  std::size_t write(const py::object& data);
  // None: stored; else why not.
  py::object commit();
  // Stores nothing unless it was committed.
  void close();

 private:
  satchel_tool_writer* handle_;
  bool busy_ = false;  // guarded by Python's lock
};

// What a commit answers: None for stored, else why not.
py::object why_not_stored(satchel_status status, const satchel_error& error);

}  // namespace satchel_python
