// A tool cache: the handle. What is asked of it stands in files of their own: lookups in
// tool_result, storing in tool_writer and tool_lease, everything else in tool_upkeep.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <memory>

#include "opened.hpp"

namespace satchel_python {

namespace py = pybind11;

using ToolCache = Opened<satchel_tool_cache, satchel_tool_cache_close>;
using ToolCacheClass = py::class_<ToolCache, std::shared_ptr<ToolCache>>;

void define_tool_cache(py::module_& module);

// Each gives the class its methods.
void define_tool_upkeep(ToolCacheClass& cache);
void define_tool_result(py::module_& module, ToolCacheClass& cache);
void define_tool_writer(py::module_& module, ToolCacheClass& cache);
void define_tool_lease(py::module_& module, ToolCacheClass& cache);

}  // namespace satchel_python
