#include "prompt_cache.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "arguments.hpp"
#include "callbacks.hpp"
#include "failure.hpp"
#include "handle_class.hpp"
#include "index.hpp"
#include "interpreter.hpp"

namespace satchel_python {
namespace {

using std::chrono::milliseconds;

// How long the exit waits for threads that are inside the library, and for the commits of a cache
// that it cannot close because of such a thread.
constexpr milliseconds kExitPatience{2000};
// How often a flush looks for Ctrl-C.
constexpr double kFlushSliceMs = 100;

// The caches to close at exit. Guarded by Python's lock.
std::vector<std::weak_ptr<PromptCache>>& open_caches() {
  static std::vector<std::weak_ptr<PromptCache>> caches;
  return caches;
}

// Caches that were dropped where they could not be closed: by the garbage collector, running in one
// of their own callbacks. Closed at exit. Guarded by Python's lock.
std::vector<satchel_prompt_cache*>& dropped_inside() {
  static std::vector<satchel_prompt_cache*> handles;
  return handles;
}

void close_at_exit_later(const std::shared_ptr<PromptCache>& cache) {
  auto& caches = open_caches();
  std::erase_if(caches, [](const auto& other) { return other.expired(); });
  caches.push_back(cache);
}

// The tables that the user's callables make. The library owns what they hold as soon as it is
// called with them, whether that succeeds or not.
struct Parts {
  Parts(const py::object& resolve_principal, const py::object& resolve_model,
        const py::object& versions, const py::object& tokenize, const py::object& render,
        const py::object& index_of) {
    if (!resolve_principal.is_none()) {
      principals = principal_callbacks(resolve_principal);
      table.principals = &principals;
    }
    if (!resolve_model.is_none()) {
      models = model_callbacks(resolve_model);
      table.models = &models;
    }
    if (!versions.is_none()) {
      tokenizer = tokenizer_callbacks(versions, tokenize, render);
      table.tokenizer = &tokenizer;
    }
    if (!index_of.is_none()) {
      index = index_callbacks(index_of);
      table.index = &index;
    }
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() = default;

  satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
  satchel_models models = SATCHEL_MODELS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_index index = SATCHEL_INDEX_INIT;
  satchel_prompt_parts table = SATCHEL_PROMPT_PARTS_INIT;
};

std::shared_ptr<PromptCache> open(const py::object& config, const py::object& host_config,
                                  const py::object& log, const py::object& clock,
                                  const py::object& monotonic, const py::object& principals,
                                  const py::object& models, const py::object& versions,
                                  const py::object& tokenize, const py::object& render,
                                  const py::object& index) {
  const Buffer json(config);
  satchel_library* host = open_library(host_config, host_callbacks(log, clock, monotonic));
  const Parts parts(principals, models, versions, tokenize, render, index);
  satchel_prompt_cache* handle = nullptr;
  satchel_error error = SATCHEL_ERROR_INIT;
  // The cache keeps what it needs of the host.
  const satchel_status status = without_lock([&] {
    const satchel_status opened =
        satchel_prompt_cache_open(host, &parts.table, json.data(), json.size(), &handle, &error);
    satchel_close(&host);
    return opened;
  });
  check(status, error);
  auto cache = std::make_shared<PromptCache>(handle);
  close_at_exit_later(cache);
  return cache;
}

// Runs once, by atexit: closes what is open while Python still works. A cache with a thread stuck
// inside, the host's or one of the library's own (in a callback that does not return, say), would
// block its close for good: it only gets the time to write what it was handed, and is left to the
// operating system.
void close_all_at_exit() {
  begin_exit();
  const bool all_came_back = wait_for_calls(kExitPatience) && wait_for_callbacks(kExitPatience);
  for (const auto& weak : std::exchange(open_caches(), {})) {
    const auto cache = weak.lock();
    if (!cache || cache->closed()) continue;
    if (all_came_back) {
      cache->close();
    } else {
      without_lock([handle = cache->handle()] {
        return satchel_prompt_cache_flush(handle, static_cast<uint32_t>(kExitPatience.count()),
                                          nullptr);
      });
    }
  }
  if (all_came_back) {
    for (satchel_prompt_cache* handle : std::exchange(dropped_inside(), {})) {
      without_lock([&handle] { return satchel_prompt_cache_close(&handle); });
    }
  }
  // A callback that has not come back by now will not.
  shut_callbacks(all_came_back ? kExitPatience : milliseconds{100});
}

}  // namespace

PromptCache::~PromptCache() {
  // At exit close_all_at_exit has closed it, or found that closing it could block for good.
  if (handle_ == nullptr || exit_has_begun()) return;
  const satchel_status status =
      without_lock([this] { return satchel_prompt_cache_close(&handle_); });
  if (status == SATCHEL_ERR_BUSY) dropped_inside().push_back(handle_);
}

void PromptCache::close() {
  // The member stays as it is meanwhile: calls of other threads get the library's own answer, and a
  // close that is refused leaves the cache open.
  satchel_prompt_cache* handle = handle_;
  if (handle == nullptr) return;
  const satchel_status status =
      without_lock([&handle] { return satchel_prompt_cache_close(&handle); });
  // ERR_HANDLE: another thread has closed it at the same time.
  if (status == SATCHEL_ERR_BUSY) fail(status, "a callback cannot close the cache it works for");
  handle_ = nullptr;
}

void PromptCache::flush(double seconds) {
  if (!(seconds >= 0)) throw py::value_error("timeout must be a number of seconds, 0 or more");
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  satchel_error error = SATCHEL_ERROR_INIT;
  for (;;) {
    const double passed_ms =
        std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    const double left_ms = std::max(0.0, seconds * 1000 - passed_ms);
    const auto slice_ms = static_cast<uint32_t>(std::ceil(std::min(left_ms, kFlushSliceMs)));
    const satchel_status status = call_library(
        [&, handle = handle_] { return satchel_prompt_cache_flush(handle, slice_ms, &error); });
    if (status == SATCHEL_OK) return;
    if (status != SATCHEL_ERR_TIMEOUT || left_ms <= kFlushSliceMs) fail(status, error);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

void PromptCache::forget() {
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&, handle = handle_] { return satchel_prompt_cache_forget(handle, &error); }),
        error);
}

py::tuple PromptCache::index_counts() const {
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&, handle = handle_] {
          return satchel_prompt_cache_index_counts(handle, &counts, &error);
        }),
        error);
  return py::make_tuple(counts.lookups, counts.lookup_failures, counts.hits, counts.entries_written,
                        counts.entries_refreshed, counts.entries_dropped, counts.entries_swept,
                        counts.entries_waiting, counts.lookups_turned_away, counts.write_retries);
}

uint64_t PromptCache::max_body() const {
  uint64_t bytes = 0;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&, handle = handle_] {
          return satchel_prompt_cache_max_body(handle, &bytes, &error);
        }),
        error);
  return bytes;
}

py::bytes PromptCache::metrics() const {
  OwnedBuffer out;
  satchel_error error = SATCHEL_ERROR_INIT;
  check(call_library([&, handle = handle_] {
          return satchel_prompt_cache_metrics(handle, out.out(), &error);
        }),
        error);
  return bytes(out.view());
}

void define_prompt_cache(py::module_& module) {
  py::class_<PromptCache, std::shared_ptr<PromptCache>> cache(module, "PromptCache");
  made_by_functions_only(cache);
  cache.def_property_readonly("closed", &PromptCache::closed)
      .def("close", &PromptCache::close)
      .def("flush", &PromptCache::flush)
      .def("forget", &PromptCache::forget)
      .def("index_counts", &PromptCache::index_counts)
      .def("max_body", &PromptCache::max_body)
      .def("metrics", &PromptCache::metrics);
  module.def("open_prompt_cache", &open, py::arg("config"), py::kw_only(), py::arg("host_config"),
             py::arg("log"), py::arg("clock"), py::arg("monotonic"), py::arg("principals"),
             py::arg("models"), py::arg("versions"), py::arg("tokenize"), py::arg("render"),
             py::arg("index"));
  module.def("close_all_at_exit", &close_all_at_exit);
}

}  // namespace satchel_python
