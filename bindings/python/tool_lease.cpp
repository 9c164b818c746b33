// One's turn to compute a result: hash, run, hash.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "arguments.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "interpreter.hpp"
#include "tool_cache.hpp"
#include "tool_meta.hpp"
#include "tool_result.hpp"
#include "tool_writer.hpp"
#include "turn.hpp"

namespace satchel_python {
namespace {

// How often a wait looks for Ctrl-C, and for a cache that is being closed or a process that exits:
// they wait for calls inside the library, and this one may take long.
constexpr double kSliceMs = 500;

class ToolLease {
 public:
  explicit ToolLease(satchel_tool_lease* handle) : handle_(handle) {}
  ToolLease(const ToolLease&) = delete;
  ToolLease& operator=(const ToolLease&) = delete;
  ~ToolLease() {
    without_lock([this] { return satchel_tool_lease_free(&handle_); });
  }

  // None: stored; else why not. kind: None for the call's.
  py::object commit(const py::object& data, const py::object& kind, const py::iterable& roots,
                    const py::iterable& upstreams) {
    const Turn turn(busy_);
    const Buffer payload(data);
    const ToolMeta meta(kind, roots, upstreams);
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = call_library([&] {
      return satchel_tool_lease_commit(handle_, payload.data(), payload.size(), meta.get(), &error);
    });
    return why_not_stored(status, error);
  }

  std::unique_ptr<ToolWriter> writer(const py::object& kind, const py::iterable& roots,
                                     const py::iterable& upstreams) {
    const Turn turn(busy_);
    const ToolMeta meta(kind, roots, upstreams);
    satchel_tool_writer* out = nullptr;
    satchel_error error = SATCHEL_ERROR_INIT;
    check(
        call_library([&] { return satchel_tool_lease_writer(handle_, meta.get(), &out, &error); }),
        error);
    return std::make_unique<ToolWriter>(out);
  }

  void abandon() {
    const Turn turn(busy_);
    satchel_error error = SATCHEL_ERROR_INIT;
    check(call_library([&] { return satchel_tool_lease_abandon(handle_, &error); }), error);
  }

 private:
  satchel_tool_lease* handle_;
  bool busy_ = false;  // guarded by Python's lock
};

uint32_t milliseconds(double value) {
  constexpr double kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(std::min(std::ceil(value), kMost));
}

void check_seconds(double seconds, const char* name) {
  if (!(seconds >= 0)) {
    throw py::value_error(std::string(name) + " must be a number of seconds, 0 or more");
  }
}

// A ToolResult, a ToolLease, or None: somebody else is computing, and was not done within `wait`.
// lease: seconds, 0 for the configured time.
py::object get_or_begin(const ToolCache& cache, const py::object& hex, const py::object& kind_text,
                        const py::object& summary, const py::iterable& root_pairs, double wait,
                        double lease) {
  check_seconds(wait, "wait");
  check_seconds(lease, "lease");
  const Text key(hex, "key");
  const Text kind(kind_text, "kind");
  const Text args_summary(summary, "args_summary");
  const ToolRoots roots(root_pairs);
  satchel_tool_call call = SATCHEL_TOOL_CALL_INIT;
  call.kind = kind.view();
  call.args_summary = args_summary.view();
  call.roots = roots.data();
  call.root_count = roots.size();
  call.lease_ms = milliseconds(lease * 1000);
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - begin;
    const double left_ms = std::max(0.0, wait * 1000 - passed.count());
    const double slice_ms = std::min(left_ms, kSliceMs);
    call.wait_ms = milliseconds(slice_ms);
    satchel_tool_result* result = nullptr;
    satchel_tool_lease* begun = nullptr;
    const satchel_status status = cache.ask([&](auto* handle, auto* error) {
      return satchel_tool_get_or_begin(handle, key.data(), key.size(), &call, &result, &begun,
                                       error);
    });
    if (status == SATCHEL_OK) return py::cast(std::make_unique<ToolResult>(result));
    if (status == SATCHEL_LEASED) return py::cast(std::make_unique<ToolLease>(begun));
    if (slice_ms >= left_ms) return py::none();
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

}  // namespace

void define_tool_lease(py::module_& module, ToolCacheClass& cache) {
  py::class_<ToolLease> lease(module, "ToolLease");
  made_by_functions_only(lease);
  lease.def("commit", &ToolLease::commit)
      .def("writer", &ToolLease::writer)
      .def("abandon", &ToolLease::abandon);
  cache.def("get_or_begin", &get_or_begin);
}

}  // namespace satchel_python
