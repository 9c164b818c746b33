/* A child process: calls on the parent's handles say so, releasing them does nothing, and the child
 * opens its own. Also when other threads were inside the library at the moment of the fork. */
#include <pthread.h>

#include "child.h"
#include "sample.h"

static satchel_error error;
static satchel_library* library;
static satchel_prompt_cache* cache;
static satchel_prompt_cache* sqlite_cache;
static satchel_request* request;
static satchel_prompt* prompt;
static satchel_usage_filter* filter;
static satchel_outcome* outcome;

static void use_own_handles(const char* directory) {
  satchel_library* own = NULL;
  satchel_prompt_cache* own_cache = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &own, &error));
  if (directory == NULL) {
    CHECK_STATUS(SATCHEL_OK,
                 satchel_prompt_cache_open(own, NULL, LITERAL(SAMPLE_CONFIG), &own_cache, &error));
  } else {
    CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(own, directory, &own_cache, &error));
  }
  CHECK_STATUS(SATCHEL_OK, sample_run(own_cache, "child", 0, 50, &result, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(own_cache, 20000, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(own_cache, "child", 1, 50, &result, NULL, &error));
  CHECK(result.read == 32);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&own_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&own));
}

static char* directory;

static void child_of_one_thread(void) {
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  const satchel_request_head head = sample_head("p");
  satchel_prompt_cache* opened = NULL;
  satchel_request* made = NULL;
  satchel_view out = {NULL, 0};
  size_t count = 0;
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_prompt_cache_open(library, NULL, NULL, 0, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_prompt_cache_flush(cache, 1, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_prompt_cache_forget(sqlite_cache, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_request_new(sqlite_cache, &head, &made, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_request_result_get(request, &result, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_prompt_block_count(prompt, &count, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_usage_filter_write(filter, LITERAL("x"), &out, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_outcome_summary_get(outcome, &summary, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_outcome_commit(outcome, &error));
  CHECK(opened == NULL && made == NULL);

  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&filter));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&sqlite_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(outcome == NULL && filter == NULL && prompt == NULL && request == NULL);
  CHECK(sqlite_cache == NULL && cache == NULL && library == NULL);

  use_own_handles(NULL);
  use_own_handles(directory);
}

static void child_of_many_threads(void) {
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_prompt_cache_flush(cache, 1, &error));
  use_own_handles(NULL);
  use_own_handles(directory);
  /* A child of a child starts afresh again. */
  in_child(child_of_one_thread);
}

static int stop;

static void* keep_using(void* which) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    satchel_error mine = SATCHEL_ERROR_INIT;
    satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
    satchel_prompt_cache* const used = which == NULL ? cache : sqlite_cache;
    CHECK_STATUS(SATCHEL_OK, sample_run(used, "parent", 0, 50, &result, NULL, &mine));
  }
  return NULL;
}

int main(void) {
  const satchel_request_head head = sample_head("p");
  pthread_t threads[2];
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  int i = 0;
  satchel_error_init(&error);
  directory = sample_directory();
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &sqlite_cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), &prompt, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_new(SATCHEL_BODY_SSE, NULL, &filter, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &head, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));
  in_child(child_of_one_thread);

  pthread_create(&threads[0], NULL, keep_using, NULL);
  pthread_create(&threads[1], NULL, keep_using, &threads);
  for (i = 0; i < FORKS_BESIDE_THREADS(50); ++i) in_child(child_of_many_threads);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);

  /* Nothing that the children did is felt here. */
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_commit(outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(sqlite_cache, 20000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&filter));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&sqlite_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
