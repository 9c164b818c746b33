// A tool cache: the handle. What is asked of it stands in files of their own: lookups in
// tool_result, storing in tool_writer and tool_lease, everything else in tool_upkeep.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <memory>
#include <utility>

#include "failure.hpp"
#include "interpreter.hpp"

namespace satchel_python {

namespace py = pybind11;

class ToolCache {
 public:
  explicit ToolCache(satchel_tool_cache* handle) : handle_(handle) {}
  ToolCache(const ToolCache&) = delete;
  ToolCache& operator=(const ToolCache&) = delete;
  ~ToolCache();

  [[nodiscard]] bool closed() const { return handle_ == nullptr; }
  void close();

  // Runs call(handle, error) without Python's lock. Errors are thrown, answers returned. The
  // library answers for a handle that is closed meanwhile.
  template <class Call>
  satchel_status ask(Call&& call) const {
    satchel_error error = SATCHEL_ERROR_INIT;
    return ask(error, std::forward<Call>(call));
  }
  // The same, for answers whose message is wanted.
  template <class Call>
  satchel_status ask(satchel_error& error, Call&& call) const {
    const satchel_status status =
        call_library([&, handle = handle_] { return call(handle, &error); });
    check(status, error);
    return status;
  }

 private:
  satchel_tool_cache* handle_;  // guarded by Python's lock
};

using ToolCacheClass = py::class_<ToolCache, std::shared_ptr<ToolCache>>;

void define_tool_cache(py::module_& module);

// Each gives the class its methods.
void define_tool_upkeep(ToolCacheClass& cache);
void define_tool_result(py::module_& module, ToolCacheClass& cache);
void define_tool_writer(py::module_& module, ToolCacheClass& cache);
void define_tool_lease(py::module_& module, ToolCacheClass& cache);

}  // namespace satchel_python
