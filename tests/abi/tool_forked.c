/* A child process and the tool cache: calls on the parent's handles say so, releasing them does
 * nothing, a lease of the parent stays the parent's, and the child opens its own over the same
 * store. Also when other threads were inside the library at the moment of the fork. */
#include <pthread.h>

#include "child.h"
#include "tool_sample.h"

static satchel_error error;
static char* directory;
static satchel_library* library;
static satchel_tool_cache* cache;
static satchel_tool_result* result;
static satchel_tool_lease* lease;
static satchel_tool_writer* writer;
static satchel_tool_writer* leased_writer;

static void use_own_handles(void) {
  const satchel_tool_call call = tool_call("child", NULL, 0);
  satchel_library* own = NULL;
  satchel_tool_cache* own_cache = NULL;
  satchel_tool_result* found = NULL;
  satchel_tool_lease* mine = NULL;
  satchel_tool_lease* none = NULL;
  uint64_t number = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &own, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(own, directory, NULL, &own_cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(own_cache, KEY_A, &found, &error));
  CHECK(tool_is(found, "parent's"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
  /* The parent computes this one. */
  CHECK_STATUS(SATCHEL_WAIT,
               satchel_tool_get_or_begin(own_cache, KEY_B, &call, &found, &none, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(own_cache, KEY_D, &call, &found, &mine, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(mine, LITERAL("child's"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&mine));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(own_cache, KEY_D, &found, &error));
  CHECK(tool_is(found, "child's"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(own_cache, LITERAL("x"), &number, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_mark_dirty(own_cache, KEY_D, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&own_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&own));
}

static void child_of_one_thread(void) {
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  satchel_tool_cache* opened = NULL;
  satchel_tool_result* found = NULL;
  satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
  satchel_view payload = {NULL, 0};
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", tool_open(library, directory, NULL, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_lookup(cache, KEY_A, &found, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_tool_persist(cache, KEY_C, LITERAL("x"), &meta, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_cache_flush(cache, 1, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_result_info_get(result, &info, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_result_payload(result, &payload, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_lease_abandon(lease, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_writer_write(writer, LITERAL("x"), &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_writer_commit(leased_writer, &error));
  CHECK(opened == NULL && found == NULL);

  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&leased_writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(writer == NULL && lease == NULL && result == NULL && cache == NULL && library == NULL);
  use_own_handles();
}

static void child_of_many_threads(void) {
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_tool_cache_flush(cache, 1, &error));
  use_own_handles();
  /* A child of a child starts afresh again. */
  in_child(child_of_one_thread);
}

static int stop;

static void* keep_using(void* unused) {
  const satchel_root root = {{"a.txt", 5}, {"stat:0:0:0", 10}};
  const satchel_tool_meta meta = tool_meta("read", &root, 1);
  (void)unused;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    satchel_error mine = SATCHEL_ERROR_INIT;
    satchel_tool_result* found = NULL;
    CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_C, LITERAL("x"), &meta, &mine));
    CHECK(satchel_tool_lookup_revalidate(cache, KEY_C, &found, &mine) >= 0);
    CHECK_STATUS(SATCHEL_OK, satchel_tool_mark_dirty(cache, KEY_C, &mine));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
  }
  return NULL;
}

int main(void) {
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  const satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_tool_result* none = NULL;
  pthread_t threads[2];
  int i = 0;
  satchel_error_init(&error);
  directory = tool_directory();
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_A, LITERAL("parent's"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_A, &result, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_B, &call, &none, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_writer(lease, NULL, &leased_writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(leased_writer, LITERAL("from "), &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_tool_writer_new(cache, TOOL_64("e"), 64, &meta, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("half"), &error));
  in_child(child_of_one_thread);

  for (i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, keep_using, NULL);
  for (i = 0; i < FORKS_BESIDE_THREADS(30); ++i) in_child(child_of_many_threads);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (i = 0; i < 2; ++i) pthread_join(threads[i], NULL);

  /* Nothing that the children did is felt here. */
  CHECK(tool_is(result, "parent's"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(leased_writer, LITERAL("the parent"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_commit(leased_writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL(" and half"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_commit(writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_B, &result, &error));
  CHECK(tool_is(result, "from the parent"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, TOOL_64("e"), 64, &result, &error));
  CHECK(tool_is(result, "half and half"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&leased_writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
