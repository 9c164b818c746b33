/* libsatchel.so, loaded at run time: a table of its functions. */
#ifndef DEMO_HOST_LIBRARY_H
#define DEMO_HOST_LIBRARY_H

#include <stdbool.h>

#include "bytes.h"
#include "satchel/satchel.h"

/* Every function this host calls, without the prefix satchel_. */
#define LIBRARY_FUNCTIONS(FUNCTION)   \
  FUNCTION(version)                   \
  FUNCTION(abi_version)               \
  FUNCTION(status_name)               \
  FUNCTION(open)                      \
  FUNCTION(close)                     \
  FUNCTION(prompt_cache_open)         \
  FUNCTION(prompt_cache_close)        \
  FUNCTION(prompt_cache_flush)        \
  FUNCTION(prompt_cache_max_body)     \
  FUNCTION(prompt_cache_index_counts) \
  FUNCTION(prompt_cache_metrics)      \
  FUNCTION(buffer_free)               \
  FUNCTION(request_new)               \
  FUNCTION(request_body)              \
  FUNCTION(request_classify_start)    \
  FUNCTION(request_response)          \
  FUNCTION(request_write)             \
  FUNCTION(request_end)               \
  FUNCTION(request_abort)             \
  FUNCTION(request_result_get)        \
  FUNCTION(request_free)

/* The types come from the header, the addresses from the loaded file: naming a function inside
 * __typeof__ makes no reference that a linker would have to resolve. */
struct library {
  void* handle;
#define LIBRARY_MEMBER(name) __typeof__(satchel_##name)* name;
  LIBRARY_FUNCTIONS(LIBRARY_MEMBER)
#undef LIBRARY_MEMBER
};

/* Loads the file at `path`, finds every function, and refuses a library that is older than the
 * header this program was compiled with. False: `complaint` says why. */
bool library_open(struct library* library, const char* path, struct bytes* complaint);
void library_close(struct library* library);

#endif
