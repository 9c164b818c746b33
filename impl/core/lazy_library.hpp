// A shared library that is loaded when it is first needed, once a process, and never unloaded.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <mutex>
#include <string>

#include "core/process_wide.hpp"
#include "core/result.hpp"
#include "core/signals_held.hpp"

namespace satchel::core {

// What dlerror() has to say.
inline Error cannot_load(const char* file) {
  const char* why = dlerror();
  return {Status::kIo,
          std::string(file) + " cannot be loaded: " + (why != nullptr ? why : "unknown reason")};
}

template <class Function>
bool find_function(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// At namespace scope; not a ProcessWide, for it may fail; `Functions`: the table that is filled
// from the library.
template <class Functions>
class LazyLibrary {
 public:
  // Fills the table; refuses a library that cannot be used, which is closed again.
  using Take = Result<void> (*)(void* library, Functions& functions);

  constexpr LazyLibrary(const char* file, Take take) : file_(file), take_(take) {}

  // Any thread. kIo: it cannot be loaded, or was refused; the next call tries again.
  Result<const Functions*> get() {
    if (ready_.load(std::memory_order_acquire)) return &functions_;
    const std::lock_guard lock(making_mutex());
    if (!ready_.load(std::memory_order_relaxed)) {
      if (Result<void> done = load(); !done) return done.take_error();
      ready_.store(true, std::memory_order_release);
    }
    return &functions_;
  }

 private:
  Result<void> load() {
    const SignalsHeld held;  // it may start threads
    void* library = dlopen(file_, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return cannot_load(file_);
    Result<void> done = take_(library, functions_);
    if (!done) dlclose(library);
    return done;
  }

  const char* file_;
  Take take_;
  std::atomic<bool> ready_{false};
  Functions functions_{};
};

}  // namespace satchel::core
