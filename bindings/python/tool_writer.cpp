#include "tool_writer.hpp"

#include <memory>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "tool_cache.hpp"
#include "tool_meta.hpp"
#include "turn.hpp"

namespace satchel_python {
namespace {

void persist(const ToolCache& cache, const py::object& hex, const py::object& data,
             const py::object& kind, const py::iterable& roots, const py::iterable& upstreams) {
  const Text key(hex, "key");
  const Buffer payload(data);
  const ToolMeta meta(kind, roots, upstreams);
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_persist(handle, key.data(), key.size(), payload.data(), payload.size(),
                                meta.get(), error);
  });
}

std::unique_ptr<ToolWriter> new_writer(const ToolCache& cache, const py::object& hex,
                                       const py::object& kind, const py::iterable& roots,
                                       const py::iterable& upstreams) {
  const Text key(hex, "key");
  const ToolMeta meta(kind, roots, upstreams);
  satchel_tool_writer* writer = nullptr;
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_writer_new(handle, key.data(), key.size(), meta.get(), &writer, error);
  });
  return std::make_unique<ToolWriter>(writer);
}

}  // namespace

py::object why_not_stored(satchel_status status, const satchel_error& error) {
  check(status, error);
  return status == SATCHEL_NOT_STORED ? py::object(text(error.message)) : py::none();
}

ToolWriter::~ToolWriter() {
  if (handle_ != nullptr) without_lock([this] { return satchel_tool_writer_free(&handle_); });
}

std::size_t ToolWriter::write(const py::object& data) {
  const Turn turn(busy_);
  const Buffer buffer(data);
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&] {
          return satchel_tool_writer_write(handle_, buffer.data(), buffer.size(), &error);
        }),
        error);
  return buffer.size();
}

py::object ToolWriter::commit() {
  const Turn turn(busy_);
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status =
      call_library([&] { return satchel_tool_writer_commit(handle_, &error); });
  return why_not_stored(status, error);
}

void ToolWriter::close() {
  const Turn turn(busy_);
  if (handle_ == nullptr) return;
  const satchel_status status = without_lock([this] { return satchel_tool_writer_free(&handle_); });
  if (status < 0) fail(status, "the writer could not be freed");
}

void define_tool_writer(py::module_& module, ToolCacheClass& cache) {
  py::class_<ToolWriter> writer(module, "ToolWriter");
  made_by_functions_only(writer);
  writer.def_property_readonly("closed", &ToolWriter::closed)
      .def("write", &ToolWriter::write)
      .def("commit", &ToolWriter::commit)
      .def("close", &ToolWriter::close);
  cache.def("persist", &persist).def("writer", &new_writer);
}

}  // namespace satchel_python
