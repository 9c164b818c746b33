// A request on its way through the proxy.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <memory>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "in_python.hpp"
#include "interpreter.hpp"
#include "prompt_cache.hpp"
#include "request_head.hpp"
#include "turn.hpp"

namespace satchel_python {
namespace {

// What was dropped where it could not be freed: by the garbage collector, running in a callback on
// a thread of the library. Guarded by Python's lock.
std::vector<satchel_request*>& dropped_inside() {
  static std::vector<satchel_request*> handles;
  return handles;
}

void free_dropped() {
  for (satchel_request* handle : std::exchange(dropped_inside(), {})) {
    if (without_lock([&handle] { return satchel_request_free(&handle); }) == SATCHEL_ERR_BUSY) {
      dropped_inside().push_back(handle);
    }
  }
}

// Frees what was kept for it, the callable that wants to know how classification ended.
void classify_done(void* user, satchel_status status) noexcept {
  auto* done = static_cast<py::object*>(user);
  PyGILState_STATE state{};
  if (!enter_python(&state)) return;  // the interpreter is gone, and with it whoever waited
  try {
    guarded_call(*done, [&]() -> satchel_status {
      call_python(*done, py::make_tuple(status));
      return SATCHEL_OK;
    });
    delete done;
    leave_python(state);
  } catch (abi::__forced_unwind&) {
    park_thread();
  }
}

class Request {
 public:
  explicit Request(satchel_request* handle) : handle_(handle) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    if (handle_ == nullptr) return;
    const satchel_status status = without_lock([this] { return satchel_request_free(&handle_); });
    if (status == SATCHEL_ERR_BUSY) dropped_inside().push_back(handle_);
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

  // Does not wait; done(status) is called once, on a thread of the library or in here, unless this
  // throws.
  void classify_start(const py::object& done) {
    const Turn turn(busy_);
    auto user = std::make_unique<py::object>(done);
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = call_library([&] {
      // The library may be done with it before this call returns.
      py::object* handed_over = user.release();
      const satchel_status started =
          satchel_request_classify_start(handle_, classify_done, handed_over, &error);
      if (started != SATCHEL_OK) user.reset(handed_over);
      return started;
    });
    check(status, error);
  }

  int descriptor() {
    const Turn turn(busy_);
    int32_t fd = -1;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_descriptor(handle_, &fd, &error); }), error);
    return fd;
  }

  void no_wait() {
    const Turn turn(busy_);
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_request_no_wait(handle_, &error); }), error);
  }

  // Of the last write or end.
  [[nodiscard]] bool pending() const { return pending_; }

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
    const satchel_status status = call_library(
        [&] { return satchel_request_write(handle_, buffer.data(), buffer.size(), &out, &error); });
    check(status, error);
    pending_ = status == SATCHEL_PENDING;
    return bytes_out(out, data, buffer);
  }

  py::bytes end() {
    const Turn turn(busy_);
    satchel_view out{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status =
        call_library([&] { return satchel_request_end(handle_, &out, &error); });
    check(status, error);
    pending_ = status == SATCHEL_PENDING;
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
  bool pending_ = false;
};

// None: not the library's business.
py::object new_request(const PromptCache& cache, const py::object& method, const py::object& target,
                       const py::object& authorization, const py::object& api_key,
                       const py::object& principal) {
  if (!dropped_inside().empty()) free_dropped();
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
      .def_property_readonly("pending", &Request::pending)
      .def("classify", &Request::classify)
      .def("classify_start", &Request::classify_start)
      .def("descriptor", &Request::descriptor)
      .def("no_wait", &Request::no_wait)
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
