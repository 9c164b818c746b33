/* A workspace, a store beside it, keys and metas, for the test programs in C. */
#ifndef SATCHEL_TESTS_ABI_TOOL_SAMPLE_H
#define SATCHEL_TESTS_ABI_TOOL_SAMPLE_H

#include <satchel/satchel.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sample.h"

#define TOOL_8(c) c c c c c c c c
#define TOOL_64(c) TOOL_8(c) TOOL_8(c) TOOL_8(c) TOOL_8(c) TOOL_8(c) TOOL_8(c) TOOL_8(c) TOOL_8(c)
/* Keys, as the calls want them. */
#define KEY_A TOOL_64("a"), (size_t)64
#define KEY_B TOOL_64("b"), (size_t)64
#define KEY_C TOOL_64("c"), (size_t)64
#define KEY_D TOOL_64("d"), (size_t)64

/* Writes a file of the workspace. */
static inline void tool_write(const char* directory, const char* name, const char* text) {
  char path[512];
  FILE* file = NULL;
  snprintf(path, sizeof path, "%s/workspace/%s", directory, name);
  file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

/* Puts a workspace into a directory, and in it the file "a.txt". */
static inline void tool_workspace(const char* directory) {
  char path[512];
  snprintf(path, sizeof path, "%s/workspace", directory);
  if (mkdir(path, 0700) != 0) abort();
  tool_write(directory, "a.txt", "one");
}

/* A new directory with a workspace. As sample_directory(). */
static inline char* tool_directory(void) {
  char* const directory = sample_directory();
  tool_workspace(directory);
  return directory;
}

/* Opens a cache over <directory>/store. `config` may be NULL. */
static inline satchel_status tool_open(satchel_library* library, const char* directory,
                                       const char* config, satchel_tool_cache** out,
                                       satchel_error* error) {
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  char store[512];
  char workspace[512];
  snprintf(store, sizeof store, "%s/store", directory);
  snprintf(workspace, sizeof workspace, "%s/workspace", directory);
  place.store = sample_view(store);
  place.workspace = sample_view(workspace);
  return satchel_tool_cache_open(library, &place, config, config == NULL ? 0 : strlen(config), out,
                                 error);
}

/* The same over a store of the host. */
static inline satchel_status tool_open_over(satchel_library* library, const char* directory,
                                            const satchel_tool_store* store,
                                            satchel_tool_cache** out, satchel_error* error) {
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  char workspace[512];
  snprintf(workspace, sizeof workspace, "%s/workspace", directory);
  place.workspace = sample_view(workspace);
  place.host_store = store;
  return satchel_tool_cache_open(library, &place, NULL, 0, out, error);
}

/* Its fingerprint now, to be freed by the caller's satchel_buffer_free. */
static inline satchel_root tool_root(satchel_tool_cache* cache, const char* path,
                                     satchel_buffer* fingerprint) {
  satchel_root root = {{NULL, 0}, {NULL, 0}};
  if (satchel_tool_fingerprint(cache, path, strlen(path), SATCHEL_FINGERPRINT_CONTENT, fingerprint,
                               NULL) != SATCHEL_OK) {
    abort();
  }
  root.path = sample_view(path);
  root.expected_hash.data = fingerprint->data;
  root.expected_hash.len = fingerprint->len;
  return root;
}

static inline satchel_tool_meta tool_meta(const char* kind, const satchel_root* roots,
                                          size_t root_count) {
  satchel_tool_meta meta = SATCHEL_TOOL_META_INIT;
  meta.kind = sample_view(kind);
  meta.roots = roots;
  meta.root_count = root_count;
  return meta;
}

static inline satchel_tool_call tool_call(const char* kind, const satchel_root* roots,
                                          size_t root_count) {
  satchel_tool_call call = SATCHEL_TOOL_CALL_INIT;
  call.kind = sample_view(kind);
  call.roots = roots;
  call.root_count = root_count;
  return call;
}

/* Whether the whole payload is this text. */
static inline int tool_is(satchel_tool_result* result, const char* text) {
  satchel_view payload = {NULL, 0};
  if (satchel_tool_result_payload(result, &payload, NULL) != SATCHEL_OK) return 0;
  return payload.len == strlen(text) && memcmp(payload.data, text, payload.len) == 0;
}

#endif
