#include "core/libcurl.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>
#include <string>

#include "core/signals_held.hpp"
#include "core/wiping_malloc.hpp"

namespace satchel::core {
namespace {

constexpr const char* kFile = "libcurl.so.4";
constexpr unsigned kOldest = 0x075500;  // 7.85.0

Error cannot_load() {
  const char* why = dlerror();
  return {Status::kIo,
          std::string(kFile) + " cannot be loaded: " + (why != nullptr ? why : "unknown reason")};
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, LibCurl& curl) {
  return find(library, "curl_version_info", curl.version_info) &&
         find(library, "curl_global_init_mem", curl.global_init_mem) &&
         find(library, "curl_easy_init", curl.easy_init) &&
         find(library, "curl_easy_cleanup", curl.easy_cleanup) &&
         find(library, "curl_easy_setopt", curl.easy_setopt) &&
         find(library, "curl_easy_getinfo", curl.easy_getinfo) &&
         find(library, "curl_easy_strerror", curl.easy_strerror) &&
         find(library, "curl_multi_init", curl.multi_init) &&
         find(library, "curl_multi_cleanup", curl.multi_cleanup) &&
         find(library, "curl_multi_setopt", curl.multi_setopt) &&
         find(library, "curl_multi_add_handle", curl.multi_add_handle) &&
         find(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
         find(library, "curl_multi_perform", curl.multi_perform) &&
         find(library, "curl_multi_poll", curl.multi_poll) &&
         find(library, "curl_multi_wakeup", curl.multi_wakeup) &&
         find(library, "curl_multi_info_read", curl.multi_info_read) &&
         find(library, "curl_multi_strerror", curl.multi_strerror);
}

Result<void> initialise(LibCurl& curl) {
  const CURLcode code =
      curl.global_init_mem(CURL_GLOBAL_DEFAULT, satchel_wiping_malloc, satchel_wiping_free,
                           satchel_wiping_realloc, satchel_wiping_strdup, satchel_wiping_calloc);
  if (code != CURLE_OK) {
    return Error{Status::kIo,
                 std::string(kFile) + " cannot be initialised: " + curl.easy_strerror(code)};
  }
  // libcurl does not say whether it took the allocator.
  if (CURL* probe = curl.easy_init(); probe != nullptr) curl.easy_cleanup(probe);
  curl.wipes = wiping_malloc_used();
  return Ok{};
}

Result<void> load(LibCurl& curl) {
  const SignalsHeld held;
  void* library = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return cannot_load();
  Result<void> done = find_all(library, curl)
                          ? check_libcurl_version(*curl.version_info(CURLVERSION_NOW))
                          : Result<void>(cannot_load());
  if (done) done = initialise(curl);
  if (!done) dlclose(library);
  return done;
}

}  // namespace

Result<void> check_libcurl_version(const curl_version_info_data& version) {
  if (version.version_num >= kOldest) return Ok{};
  return Error{Status::kIo, std::string(kFile) + " is too old: it is version " + version.version +
                                ", and 7.85.0 is the oldest that can be used"};
}

Result<const LibCurl*> libcurl() {
  static std::mutex loading;
  static LibCurl loaded;
  static std::atomic<bool> ready{false};
  if (ready.load(std::memory_order_acquire)) return &loaded;
  const std::lock_guard lock(loading);
  if (!ready.load(std::memory_order_relaxed)) {
    if (Result<void> done = load(loaded); !done) return done.take_error();
    ready.store(true, std::memory_order_release);
  }
  return &loaded;
}

}  // namespace satchel::core
