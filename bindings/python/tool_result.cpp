#include "tool_result.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "tool_cache.hpp"

namespace satchel_python {
namespace {

// Bytes to be written without Python's lock, before anybody else has seen them.
class UnseenBytes {
 public:
  explicit UnseenBytes(std::uint64_t size)
      : object_(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size))) {
    if (object_ == nullptr) throw py::error_already_set();
  }
  UnseenBytes(const UnseenBytes&) = delete;
  UnseenBytes& operator=(const UnseenBytes&) = delete;
  ~UnseenBytes() { Py_XDECREF(object_); }

  [[nodiscard]] char* data() const { return PyBytes_AS_STRING(object_); }
  // The first `size` of them.
  py::bytes take(std::size_t size) {
    if (_PyBytes_Resize(&object_, static_cast<Py_ssize_t>(size)) != 0) {
      throw py::error_already_set();
    }
    return py::reinterpret_steal<py::bytes>(std::exchange(object_, nullptr));
  }

 private:
  PyObject* object_;
};

class WritableBuffer {
 public:
  explicit WritableBuffer(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE) != 0) {
      throw py::error_already_set();
    }
  }
  WritableBuffer(const WritableBuffer&) = delete;
  WritableBuffer& operator=(const WritableBuffer&) = delete;
  ~WritableBuffer() { PyBuffer_Release(&view_); }

  [[nodiscard]] char* data() const { return static_cast<char*>(view_.buf); }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
};

// (state, result, reason): "hit" has a result, "invalidated" a reason.
py::tuple lookup(const ToolCache& cache, const py::object& hex, bool revalidate) {
  const Text key(hex, "key");
  const auto look = revalidate ? satchel_tool_lookup_revalidate : satchel_tool_lookup;
  satchel_tool_result* found = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = cache.ask(error, [&](auto* handle, auto* why) {
    return look(handle, key.data(), key.size(), &found, why);
  });
  if (status == SATCHEL_OK) {
    return py::make_tuple("hit", std::make_unique<ToolResult>(found), py::none());
  }
  if (status == SATCHEL_INVALIDATED) {
    return py::make_tuple("invalidated", py::none(), text(error.message));
  }
  return py::make_tuple("miss", py::none(), py::none());
}

}  // namespace

ToolResult::~ToolResult() {
  without_lock([this] { return satchel_tool_result_free(&handle_); });
}

// It only reads what the lookup has made: not worth giving the lock away for.
satchel_tool_result_info ToolResult::get() const {
  satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(satchel_tool_result_info_get(handle_, &info, &error), error);
  return info;
}

py::tuple ToolResult::info() const {
  const satchel_tool_result_info info = get();
  return py::make_tuple(text(info.kind), text(info.payload_hash), info.bytes, info.root_count,
                        info.upstream_count);
}

py::list ToolResult::roots() const {
  py::list roots;
  const uint64_t count = get().root_count;
  for (uint64_t i = 0; i < count; ++i) {
    satchel_root root{{nullptr, 0}, {nullptr, 0}};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(satchel_tool_result_root(handle_, i, &root, &error), error);
    roots.append(py::make_tuple(bytes(root.path), text(root.expected_hash)));
  }
  return roots;
}

py::list ToolResult::upstreams() const {
  py::list upstreams;
  const uint64_t count = get().upstream_count;
  for (uint64_t i = 0; i < count; ++i) {
    satchel_view key{nullptr, 0};
    satchel_error error = SATCHEL_ERROR_INIT;
    check(satchel_tool_result_upstream(handle_, i, &key, &error), error);
    upstreams.append(text(key));
  }
  return upstreams;
}

py::bytes ToolResult::payload() const {
  const uint64_t size = get().bytes;
  UnseenBytes out(size);
  satchel_error error = SATCHEL_ERROR_INIT;
  std::size_t got = 0;
  check(call_library([&] {
          satchel_view payload{nullptr, 0};
          const satchel_status status = satchel_tool_result_payload(handle_, &payload, &error);
          if (status == SATCHEL_OK && payload.len != 0) {
            got = std::min<std::size_t>(payload.len, size);
            std::memcpy(out.data(), payload.data, got);
          }
          return status;
        }),
        error);
  return out.take(got);
}

py::bytes ToolResult::read(std::uint64_t offset, std::uint64_t count) const {
  const uint64_t size = get().bytes;
  const uint64_t wanted = std::min(count, size - std::min(size, offset));
  UnseenBytes out(wanted);
  satchel_error error = SATCHEL_ERROR_INIT;
  std::size_t got = 0;
  check(call_library([&] {
          satchel_status status = SATCHEL_OK;
          std::size_t more = 1;
          while (status == SATCHEL_OK && more != 0 && got < wanted) {
            more = 0;
            status = satchel_tool_result_read(handle_, offset + got, out.data() + got, wanted - got,
                                              &more, &error);
            got += more;
          }
          return status;
        }),
        error);
  return out.take(got);
}

std::size_t ToolResult::read_into(std::uint64_t offset, const py::object& buffer) const {
  const WritableBuffer out(buffer);
  satchel_error error = SATCHEL_ERROR_INIT;
  std::size_t got = 0;
  check(call_library([&] {
          return satchel_tool_result_read(handle_, offset, out.data(), out.size(), &got, &error);
        }),
        error);
  return got;
}

void define_tool_result(py::module_& module, ToolCacheClass& cache) {
  py::class_<ToolResult> result(module, "ToolResult");
  made_by_functions_only(result);
  result.def("info", &ToolResult::info)
      .def("roots", &ToolResult::roots)
      .def("upstreams", &ToolResult::upstreams)
      .def("payload", &ToolResult::payload)
      .def("read", &ToolResult::read)
      .def("read_into", &ToolResult::read_into);
  cache.def("lookup", &lookup);
}

}  // namespace satchel_python
