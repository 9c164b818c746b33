// A response with its usage edited, without a request around it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <satchel/satchel.h>

#include <array>
#include <optional>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"
#include "turn.hpp"

namespace satchel_python {
namespace {

class UsageFilter {
 public:
  explicit UsageFilter(satchel_usage_filter* handle) : handle_(handle) {}
  UsageFilter(const UsageFilter&) = delete;
  UsageFilter& operator=(const UsageFilter&) = delete;
  ~UsageFilter() {
    without_lock([this] { return satchel_usage_filter_free(&handle_); });
  }

  py::object write(py::handle data) {
    const Turn turn(busy_);
    const Buffer buffer(data);
    satchel_view out{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] {
            return satchel_usage_filter_write(handle_, buffer.data(), buffer.size(), &out, &error);
          }),
          error);
    return bytes_out(out, data, buffer);
  }

  py::bytes end() {
    const Turn turn(busy_);
    satchel_view out{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_usage_filter_end(handle_, &out, &error); }), error);
    return bytes(out);
  }

  // (changed, usage, error_frame)
  py::tuple saw() {
    const Turn turn(busy_);
    int32_t changed = 0;
    int32_t usage = 0;
    int32_t error_frame = 0;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(satchel_usage_filter_saw(handle_, &changed, &usage, &error_frame, &error), error);
    return py::make_tuple(changed != 0, usage != 0, error_frame != 0);
  }

 private:
  satchel_usage_filter* handle_;
  bool busy_ = false;  // guarded by Python's lock
};

// counts: read, creation_5m, creation_1h, creation_24h; None to scrub only.
std::unique_ptr<UsageFilter> new_usage_filter(
    bool sse, const std::optional<std::array<uint64_t, 4>>& counts) {
  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  if (counts) {
    usage.read = (*counts)[0];
    usage.creation_5m = (*counts)[1];
    usage.creation_1h = (*counts)[2];
    usage.creation_24h = (*counts)[3];
  }
  satchel_usage_filter* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&] {
          return satchel_usage_filter_new(sse ? SATCHEL_BODY_SSE : SATCHEL_BODY_JSON,
                                          counts ? &usage : nullptr, &handle, &error);
        }),
        error);
  return std::make_unique<UsageFilter>(handle);
}

// As the write of a request: without pybind11's dispatcher.
PyObject* write(PyObject* self, PyObject* data) {
  return guarded([&]() -> py::object { return py::handle(self).cast<UsageFilter&>().write(data); });
}

PyMethodDef write_method = {"write", write, METH_O, nullptr};

}  // namespace

void define_usage_filter(py::module_& module) {
  py::class_<UsageFilter> filter(module, "UsageFilter");
  made_by_functions_only(filter);
  filter.def("end", &UsageFilter::end).def("saw", &UsageFilter::saw);
  filter.attr("write") = py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(filter.ptr()), &write_method));
  module.def("new_usage_filter", &new_usage_filter);
}

}  // namespace satchel_python
