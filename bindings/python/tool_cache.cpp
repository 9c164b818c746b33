#include "tool_cache.hpp"

#include <array>
#include <chrono>

#include "arguments.hpp"
#include "callbacks.hpp"
#include "handle_class.hpp"
#include "tool_store.hpp"

namespace satchel_python {
namespace {

// How long the exit waits for threads that are inside the library.
constexpr std::chrono::milliseconds kExitPatience{2000};

// host_store: the seven callables of a store (tool_store.hpp), or None for the directory.
std::shared_ptr<ToolCache> open(const py::object& config, const py::object& store_path,
                                const py::object& workspace_path, const py::object& host_config,
                                const py::object& log, const py::object& clock,
                                const py::object& monotonic, const py::object& host_store) {
  const Buffer json(config);
  const Text store(store_path, "store");
  const Text workspace(workspace_path, "workspace");
  satchel_library* host = open_library(host_config, host_callbacks(log, clock, monotonic));
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  place.store = store.view();
  place.workspace = workspace.view();
  satchel_tool_store table = SATCHEL_TOOL_STORE_INIT;
  if (!host_store.is_none()) {
    table = tool_store_callbacks(host_store);
    place.host_store = &table;
  }
  satchel_tool_cache* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  // The cache keeps what it needs of the host.
  const satchel_status status = without_lock([&] {
    const satchel_status opened =
        satchel_tool_cache_open(host, &place, json.data(), json.size(), &handle, &error);
    satchel_close(&host);
    return opened;
  });
  check(status, error);
  return ToolCache::make(handle);
}

// Runs once, by atexit, before the prompt caches are closed and callbacks shut. A cache with a
// thread stuck inside is left to the operating system: its store is whole at any moment.
void close_tool_caches_at_exit() {
  if (!ToolCache::any_open()) return;
  begin_exit();
  if (wait_for_calls(kExitPatience)) ToolCache::close_all();
}

using KeyFunction = satchel_status (*)(const char*, size_t, char*, satchel_error*);

template <KeyFunction key_of>
py::str key(const py::object& data) {
  const Buffer input(data);
  std::array<char, 65> hex{};
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&] { return key_of(input.data(), input.size(), hex.data(), &error); }),
        error);
  return text(hex.data(), hex.size() - 1);
}

}  // namespace

void define_tool_cache(py::module_& module) {
  ToolCacheClass cache(module, "ToolCache");
  made_by_functions_only(cache);
  cache.def_property_readonly("closed", &ToolCache::closed).def("close", &ToolCache::close);
  define_tool_upkeep(cache);
  define_tool_result(module, cache);
  define_tool_writer(module, cache);
  define_tool_lease(module, cache);
  module.def("open_tool_cache", &open, py::arg("config"), py::kw_only(), py::arg("store"),
             py::arg("workspace"), py::arg("host_config"), py::arg("log"), py::arg("clock"),
             py::arg("monotonic"), py::arg("host_store"));
  module.def("close_tool_caches_at_exit", &close_tool_caches_at_exit);
  module.def("tool_key", &key<satchel_tool_key>);
  module.def("tool_result_key", &key<satchel_tool_result_key>);
}

}  // namespace satchel_python
