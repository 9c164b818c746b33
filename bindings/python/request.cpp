// A request on its way through the proxy.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"
#include "request_head.hpp"
#include "turn.hpp"

namespace satchel_python {
namespace {

class Request {
 public:
  explicit Request(satchel_request* handle) : handle_(handle) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    if (handle_ != nullptr) without_lock([this] { return satchel_request_free(&handle_); });
  }

  [[nodiscard]] bool closed() const { return handle_ == nullptr; }

  // (body, target, body_changed, target_changed), or None to pass everything through.
  py::object body(const py::object& data) {
    const Turn turn(busy_);
    const Buffer buffer(data);
    satchel_forward forward = SATCHEL_FORWARD_INIT;
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = call_library([&] {
      return satchel_request_body(handle_, buffer.data(), buffer.size(), &forward, &error);
    });
    if (status == SATCHEL_PASS_THROUGH) return py::none();
    if (status == SATCHEL_REJECTED) reject(error, forward);
    check(status, error);
    return py::make_tuple(bytes_out(forward.body, data, buffer), text(forward.target),
                          forward.body_changed != 0, forward.target_changed != 0);
  }

  void classify() {
    const Turn turn(busy_);
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_classify(handle_, &error); }), error);
  }

  int response(int http_status, const py::object& content_type,
               const py::object& content_encoding) {
    const Turn turn(busy_);
    const Text type(content_type, "content_type");
    const Text encoding(content_encoding, "content_encoding");
    int32_t plan = SATCHEL_RESPONSE_AS_IS;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] {
            return satchel_request_response(handle_, http_status, type.data(), type.size(),
                                            encoding.data(), encoding.size(), &plan, &error);
          }),
          error);
    return plan;
  }

  py::object write(py::handle data) {
    const Turn turn(busy_);
    const Buffer buffer(data);
    satchel_view out{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] {
            return satchel_request_write(handle_, buffer.data(), buffer.size(), &out, &error);
          }),
          error);
    return bytes_out(out, data, buffer);
  }

  py::bytes end() {
    const Turn turn(busy_);
    satchel_view out{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_end(handle_, &out, &error); }), error);
    return bytes(out);
  }

  void abort() {
    const Turn turn(busy_);
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_abort(handle_, &error); }), error);
  }

  py::tuple result() {
    const Turn turn(busy_);
    satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_result_get(handle_, &result, &error); }),
          error);
    return py::make_tuple(result.classified != 0, result.active != 0, result.degraded != 0,
                          result.had_markers != 0, result.saw_usage != 0, result.saw_error != 0,
                          result.commit, result.read, result.creation_5m, result.creation_1h,
                          result.creation_24h, result.prompt_tokens, result.upstream_cached_tokens,
                          result.library_ns);
  }

  void close() {
    const Turn turn(busy_);
    if (handle_ == nullptr) return;
    const satchel_status status = without_lock([this] { return satchel_request_free(&handle_); });
    if (status < 0) fail(status, "the request could not be freed");
  }

 private:
  satchel_request* handle_;
  bool busy_ = false;  // guarded by Python's lock
};

// None: not the library's business.
py::object new_request(const PromptCache& cache, const py::object& method, const py::object& target,
                       const py::object& authorization, const py::object& api_key,
                       const py::object& principal) {
  const RequestHead head(method, target, authorization, api_key, principal);
  satchel_request* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = call_library([&, opened = cache.handle()] {
    return satchel_request_new(opened, head.get(), &handle, &error);
  });
  check(status, error);
  if (status == SATCHEL_PASS_THROUGH) return py::none();
  return py::cast(std::make_unique<Request>(handle));
}

// By CPython's own calling convention, not by pybind11's dispatcher: a stream calls it once a
// chunk, and the dispatcher alone would take five times as long as this whole frame.
PyObject* write(PyObject* self, PyObject* data) {
  return guarded([&]() -> py::object { return py::handle(self).cast<Request&>().write(data); });
}

PyMethodDef write_method = {"write", write, METH_O, nullptr};

}  // namespace

void define_request(py::module_& module) {
  py::class_<Request> request(module, "Request");
  made_by_functions_only(request);
  request.def_property_readonly("closed", &Request::closed)
      .def("body", &Request::body)
      .def("classify", &Request::classify)
      .def("response", &Request::response)
      .def("end", &Request::end)
      .def("abort", &Request::abort)
      .def("result", &Request::result)
      .def("close", &Request::close);
  request.attr("write") = py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(request.ptr()), &write_method));
  module.def("new_request", &new_request);
}

}  // namespace satchel_python
