// libcurl, loaded when it is first needed. Linked, it would load some 25 other libraries into every
// process at its start, most of which never ask another machine anything.
//
// Loaded and initialised once a process, never unloaded; a host that uses libcurl itself shares
// the same one. Whoever initialises libcurl first chooses its allocator. If that is us, all that
// libcurl frees is wiped, a token in a request for instance, and what a host lets it send after us
// too. If it is the host, the host's allocator stays and freed memory of libcurl may hold what was
// sent; nothing else changes.
#pragma once

#include <curl/curl.h>

#include "core/result.hpp"

namespace satchel::core {

struct LibCurl {
  decltype(&curl_version_info) version_info = nullptr;
  decltype(&curl_global_init_mem) global_init_mem = nullptr;
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_strerror) easy_strerror = nullptr;
  decltype(&curl_multi_init) multi_init = nullptr;
  decltype(&curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&curl_multi_setopt) multi_setopt = nullptr;
  decltype(&curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&curl_multi_perform) multi_perform = nullptr;
  decltype(&curl_multi_poll) multi_poll = nullptr;
  decltype(&curl_multi_wakeup) multi_wakeup = nullptr;
  decltype(&curl_multi_info_read) multi_info_read = nullptr;
  decltype(&curl_multi_strerror) multi_strerror = nullptr;

  bool wipes = false;  // our allocator is in use
};

// Any thread. kIo: it cannot be loaded or is too old; the next call tries again. What it returns
// lives as long as the process.
Result<const LibCurl*> libcurl();

// Too old for us? 7.84 is the first that several threads may initialise, 7.85 the first with the
// options that limit the protocols.
Result<void> check_libcurl_version(const curl_version_info_data& version);

}  // namespace satchel::core
