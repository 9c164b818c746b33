#include "core/libcurl.hpp"

#include <string>

#include "core/lazy_library.hpp"
#include "core/wiping_malloc.hpp"

namespace satchel::core {
namespace {

constexpr const char* kFile = "libcurl.so.4";
constexpr unsigned kOldest = 0x075500;  // 7.85.0

bool find_all(void* library, LibCurl& curl) {
  return find_function(library, "curl_version_info", curl.version_info) &&
         find_function(library, "curl_global_init_mem", curl.global_init_mem) &&
         find_function(library, "curl_easy_init", curl.easy_init) &&
         find_function(library, "curl_easy_cleanup", curl.easy_cleanup) &&
         find_function(library, "curl_easy_setopt", curl.easy_setopt) &&
         find_function(library, "curl_easy_getinfo", curl.easy_getinfo) &&
         find_function(library, "curl_easy_strerror", curl.easy_strerror) &&
         find_function(library, "curl_multi_init", curl.multi_init) &&
         find_function(library, "curl_multi_cleanup", curl.multi_cleanup) &&
         find_function(library, "curl_multi_setopt", curl.multi_setopt) &&
         find_function(library, "curl_multi_add_handle", curl.multi_add_handle) &&
         find_function(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
         find_function(library, "curl_multi_perform", curl.multi_perform) &&
         find_function(library, "curl_multi_poll", curl.multi_poll) &&
         find_function(library, "curl_multi_wakeup", curl.multi_wakeup) &&
         find_function(library, "curl_multi_info_read", curl.multi_info_read) &&
         find_function(library, "curl_multi_strerror", curl.multi_strerror);
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

Result<void> take(void* library, LibCurl& curl) {
  if (!find_all(library, curl)) return cannot_load(kFile);
  Result<void> recent = check_libcurl_version(*curl.version_info(CURLVERSION_NOW));
  return recent ? initialise(curl) : recent;
}

constinit LazyLibrary<LibCurl> library(kFile, take);

}  // namespace

Result<void> check_libcurl_version(const curl_version_info_data& version) {
  if (version.version_num >= kOldest) return Ok{};
  return Error{Status::kIo, std::string(kFile) + " is too old: it is version " + version.version +
                                ", and 7.85.0 is the oldest that can be used"};
}

Result<const LibCurl*> libcurl() { return library.get(); }

}  // namespace satchel::core
