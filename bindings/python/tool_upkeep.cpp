// What is asked of a tool cache beside lookups and storing: invalidation, fingerprints, upkeep,
// statistics. What the library writes as JSON is handed on as bytes.
#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "arguments.hpp"
#include "failure.hpp"
#include "tool_cache.hpp"

namespace satchel_python {
namespace {

// How often a flush looks for Ctrl-C.
constexpr double kFlushSliceMs = 100;

// Calls of the form f(cache, key, key_len, uint64_t* or int32_t* out, error).
template <class Number, class Function>
Number of_text(const ToolCache& cache, const Text& about, Function function) {
  Number number = 0;
  cache.ask([&](auto* handle, auto* error) {
    return function(handle, about.data(), about.size(), &number, error);
  });
  return number;
}

// Calls of the form f(cache, uint64_t* out, error).
using CountFunction = satchel_status (*)(satchel_tool_cache*, uint64_t*, satchel_error*);
template <CountFunction function>
uint64_t count(const ToolCache& cache) {
  uint64_t number = 0;
  cache.ask([&](auto* handle, auto* error) { return function(handle, &number, error); });
  return number;
}

// Calls of the form f(cache, uint64_t in, uint64_t* out, error).
using BoundedFunction = satchel_status (*)(satchel_tool_cache*, uint64_t, uint64_t*,
                                           satchel_error*);
template <BoundedFunction function>
uint64_t bounded(const ToolCache& cache, uint64_t bound) {
  uint64_t number = 0;
  cache.ask([&](auto* handle, auto* error) { return function(handle, bound, &number, error); });
  return number;
}

// Calls of the form f(cache, buffer, error).
using BufferFunction = satchel_status (*)(satchel_tool_cache*, satchel_buffer*, satchel_error*);
template <BufferFunction function>
py::bytes buffer(const ToolCache& cache) {
  OwnedBuffer out;
  cache.ask([&](auto* handle, auto* error) { return function(handle, out.out(), error); });
  return bytes(out.view());
}

bool contains(const ToolCache& cache, const py::object& hex) {
  return of_text<int32_t>(cache, Text(hex, "key"), satchel_tool_contains) != 0;
}

void mark_dirty(const ToolCache& cache, const py::object& hex) {
  const Text key(hex, "key");
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_mark_dirty(handle, key.data(), key.size(), error);
  });
}

uint64_t invalidate_upstream(const ToolCache& cache, const py::object& hex) {
  return of_text<uint64_t>(cache, Text(hex, "key"), satchel_tool_invalidate_upstream);
}

uint64_t invalidate_path(const ToolCache& cache, const py::object& path) {
  return of_text<uint64_t>(cache, Text(path, "path"), satchel_tool_invalidate_path);
}

// None: oversized.
py::object fingerprint(const ToolCache& cache, const py::object& path_bytes, int32_t form) {
  const Text path(path_bytes, "path");
  OwnedBuffer out;
  const satchel_status status = cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_fingerprint(handle, path.data(), path.size(), form, out.out(), error);
  });
  if (status == SATCHEL_OVERSIZED) return py::none();
  return text(out.view());
}

void rebuild(const ToolCache& cache) { cache.ask(satchel_tool_rebuild); }

void flush(const ToolCache& cache, double seconds) {
  if (!(seconds >= 0)) throw py::value_error("timeout must be a number of seconds, 0 or more");
  const auto begin = std::chrono::steady_clock::now();
  satchel_error error = SATCHEL_ERROR_INIT;
  for (;;) {
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - begin;
    const double left_ms = std::max(0.0, seconds * 1000 - passed.count());
    const auto slice_ms = static_cast<uint32_t>(std::ceil(std::min(left_ms, kFlushSliceMs)));
    satchel_status status = SATCHEL_OK;
    cache.ask([&](auto* handle, auto* /*unused*/) {
      status = satchel_tool_cache_flush(handle, slice_ms, &error);
      return static_cast<satchel_status>(SATCHEL_OK);
    });
    if (status == SATCHEL_OK) return;
    if (status != SATCHEL_ERR_TIMEOUT || left_ms <= kFlushSliceMs) fail(status, error);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

py::bytes list(const ToolCache& cache, const py::object& after_key, const py::object& kind_text,
               uint32_t limit) {
  const Text after(after_key, "after");
  const Text kind(kind_text, "kind");
  OwnedBuffer out;
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_list(handle, after.data(), after.size(), kind.data(), kind.size(), limit,
                             out.out(), error);
  });
  return bytes(out.view());
}

py::bytes why(const ToolCache& cache, const py::object& hex) {
  const Text key(hex, "key");
  OwnedBuffer out;
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_why(handle, key.data(), key.size(), out.out(), error);
  });
  return bytes(out.view());
}

// False: not there, or half of it.
bool verify(const ToolCache& cache, const py::object& hex) {
  const Text key(hex, "key");
  return cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_verify(handle, key.data(), key.size(), error);
  }) == SATCHEL_OK;
}

void record(const ToolCache& cache, const py::object& tool_text, const py::object& outcome_text,
            uint64_t duration_us, const py::object& summary, const py::object& reason_text) {
  const Text tool(tool_text, "tool");
  const Text outcome(outcome_text, "outcome");
  const Text args_summary(summary, "args_summary");
  const Text reason(reason_text, "reason");
  cache.ask([&](auto* handle, auto* error) {
    return satchel_tool_record(handle, tool.data(), tool.size(), outcome.data(), outcome.size(),
                               duration_us, args_summary.data(), args_summary.size(), reason.data(),
                               reason.size(), error);
  });
}

}  // namespace

void define_tool_upkeep(ToolCacheClass& cache) {
  cache.def("contains", &contains)
      .def("mark_dirty", &mark_dirty)
      .def("invalidate_upstream", &invalidate_upstream)
      .def("invalidate_path", &invalidate_path)
      .def("fingerprint", &fingerprint)
      .def("entry_count", &count<satchel_tool_entry_count>)
      .def("known_kinds", &buffer<satchel_tool_known_kinds>)
      .def("total_bytes", &count<satchel_tool_total_bytes>)
      .def("evict_to_cap", &bounded<satchel_tool_evict_to_cap>)
      .def("evict", &count<satchel_tool_evict>)
      .def("sweep", &bounded<satchel_tool_sweep>)
      .def("rebuild", &rebuild)
      .def("flush", &flush)
      .def("stats", &buffer<satchel_tool_stats>)
      .def("metrics", &buffer<satchel_tool_metrics>)
      .def("list", &list)
      .def("why", &why)
      .def("verify", &verify)
      .def("record", &record);
}

}  // namespace satchel_python
