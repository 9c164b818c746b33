#include "tool_cache.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "arguments.hpp"
#include "callbacks.hpp"
#include "handle_class.hpp"
#include "tool_store.hpp"

namespace satchel_python {
namespace {

// How long the exit waits for threads that are inside the library.
constexpr std::chrono::milliseconds kExitPatience{2000};

// The caches to close at exit. Guarded by Python's lock.
std::vector<std::weak_ptr<ToolCache>>& open_caches() {
  static std::vector<std::weak_ptr<ToolCache>> caches;
  return caches;
}

// Caches that were dropped where they could not be closed: by the garbage collector, running in one
// of their own callbacks. Closed at exit. Guarded by Python's lock.
std::vector<satchel_tool_cache*>& dropped_inside() {
  static std::vector<satchel_tool_cache*> handles;
  return handles;
}

void close_at_exit_later(const std::shared_ptr<ToolCache>& cache) {
  auto& caches = open_caches();
  std::erase_if(caches, [](const auto& other) { return other.expired(); });
  caches.push_back(cache);
}

satchel_library* open_host(const py::object& config, const py::object& log, const py::object& clock,
                           const py::object& monotonic) {
  const Buffer json(config);
  const satchel_host host = host_callbacks(log, clock, monotonic);
  satchel_library* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(
      call_library([&] { return satchel_open(&host, json.data(), json.size(), &handle, &error); }),
      error);
  return handle;
}

// host_store: the seven callables of a store (tool_store.hpp), or None for the directory.
std::shared_ptr<ToolCache> open(const py::object& config, const py::object& store_path,
                                const py::object& workspace_path, const py::object& host_config,
                                const py::object& log, const py::object& clock,
                                const py::object& monotonic, const py::object& host_store) {
  const Buffer json(config);
  const Text store(store_path, "store");
  const Text workspace(workspace_path, "workspace");
  satchel_library* host = open_host(host_config, log, clock, monotonic);
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
  auto cache = std::make_shared<ToolCache>(handle);
  close_at_exit_later(cache);
  return cache;
}

// Runs once, by atexit, before the prompt caches are closed and callbacks shut. A cache with a
// thread stuck inside is left to the operating system: its store is whole at any moment.
void close_tool_caches_at_exit() {
  const auto caches = std::exchange(open_caches(), {});
  const bool any = std::any_of(caches.begin(), caches.end(), [](const auto& weak) {
    const auto cache = weak.lock();
    return cache && !cache->closed();
  });
  if (!any && dropped_inside().empty()) return;
  begin_exit();
  if (!wait_for_calls(kExitPatience)) return;
  for (const auto& weak : caches) {
    if (const auto cache = weak.lock()) cache->close();
  }
  for (satchel_tool_cache* handle : std::exchange(dropped_inside(), {})) {
    without_lock([&handle] { return satchel_tool_cache_close(&handle); });
  }
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

ToolCache::~ToolCache() {
  // At exit close_tool_caches_at_exit has closed it, or found that closing it could block for good.
  if (handle_ == nullptr || exit_has_begun()) return;
  const satchel_status status = without_lock([this] { return satchel_tool_cache_close(&handle_); });
  if (status == SATCHEL_ERR_BUSY) dropped_inside().push_back(handle_);
}

void ToolCache::close() {
  // The member stays as it is meanwhile: calls of other threads get the library's own answer, and a
  // close that is refused leaves the cache open.
  satchel_tool_cache* handle = handle_;
  if (handle == nullptr) return;
  const satchel_status status =
      without_lock([&handle] { return satchel_tool_cache_close(&handle); });
  // ERR_HANDLE: another thread has closed it at the same time.
  if (status == SATCHEL_ERR_BUSY) fail(status, "a callback cannot close the cache it works for");
  handle_ = nullptr;
}

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
