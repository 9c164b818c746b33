// A prompt cache: the handle, and everything asked of the cache itself.
#pragma once

#include <pybind11/pybind11.h>
#include <satchel/satchel.h>

#include <memory>

namespace satchel_python {

namespace py = pybind11;

class PromptCache {
 public:
  explicit PromptCache(satchel_prompt_cache* handle) : handle_(handle) {}
  PromptCache(const PromptCache&) = delete;
  PromptCache& operator=(const PromptCache&) = delete;
  ~PromptCache();

  // The library answers for a handle that is closed meanwhile. NULL once it is closed.
  [[nodiscard]] satchel_prompt_cache* handle() const { return handle_; }
  [[nodiscard]] bool closed() const { return handle_ == nullptr; }

  void close();
  void flush(double seconds);
  void forget();
  [[nodiscard]] py::tuple index_counts() const;
  [[nodiscard]] uint64_t max_body() const;
  [[nodiscard]] py::bytes metrics() const;

 private:
  satchel_prompt_cache* handle_;  // guarded by Python's lock
};

void define_prompt_cache(py::module_& module);
void define_request(py::module_& module);
void define_prompt_parts(py::module_& module);
void define_outcome(py::module_& module);
void define_usage_filter(py::module_& module);

}  // namespace satchel_python
