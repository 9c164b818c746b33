/* The library and its prompt cache, opened for this host. */
#ifndef DEMO_HOST_PROMPT_CACHE_H
#define DEMO_HOST_PROMPT_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "library.h"
#include "options.h"

struct prompt_cache {
  struct library library;
  satchel_library* opened;
  satchel_prompt_cache* cache;
  uint64_t max_body;
};

/* False: `complaint` says what was wrong with which option. */
bool prompt_cache_start(struct prompt_cache* prompt_cache, const struct options* options,
                        struct bytes* complaint);

/* Waits for the entries that are on their way into the index, then closes everything. */
void prompt_cache_stop(struct prompt_cache* prompt_cache);

#endif
