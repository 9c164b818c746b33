/* Many threads over the same handles, and handles closed while threads are inside. The thread
 * sanitizer watches; the checks here are on statuses and sums. */
#include <pthread.h>
#include <sched.h>

#include "check.h"
#include "sample.h"

enum { THREADS = 8, ROUNDS = 60 };

static satchel_library* library;
static satchel_prompt_cache* cache;

/* ------------------------------------------------------------------ a storm over one cache */

static void* send_requests(void* number) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const long mine = (long)number;
  char principal[16];
  int round = 0;
  snprintf(principal, sizeof principal, "p%ld", mine % 4); /* two threads share each */
  for (round = 0; round < ROUNDS; ++round) {
    satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
    struct sample_text client = {{0}, 0};
    const int stream = round % 2;
    if (!CHECK_STATUS(SATCHEL_OK, sample_run(cache, principal, stream, 1 + (size_t)round, &result,
                                             &client, &error))) {
      break;
    }
    CHECK(result.active == 1 && result.degraded == 0);
    CHECK(result.read + result.creation_5m + result.creation_1h == 32);
    CHECK(sample_holds(client.data, client.len, "\"completion_tokens\":5"));
  }
  return NULL;
}

static void* use_the_steps(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_request_head head = sample_head("p0");
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) {
    satchel_prompt* prompt = NULL;
    satchel_outcome* outcome = NULL;
    satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
    size_t count = 0;
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), &prompt, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_block_count(prompt, &count, &error));
    CHECK(count == 2);
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &head, LITERAL("m"),
                                                     LITERAL(SAMPLE_BODY), &outcome, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_outcome_commit(outcome, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
    if (round % 20 == 19)
      CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
    if (round % 30 == 29) CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_forget(cache, &error));
  }
  return NULL;
}

static void* open_and_close_others(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) {
    satchel_library* own = NULL;
    satchel_prompt_cache* own_cache = NULL;
    satchel_prompt_cache* shared = NULL;
    CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &own, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(own, NULL, NULL, 0, &own_cache, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(library, NULL, NULL, 0, &shared, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_close(&own));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&shared));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&own_cache));
  }
  return NULL;
}

static void a_storm_over_one_cache(void) {
  pthread_t threads[THREADS];
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  long i = 0;
  for (i = 0; i < THREADS - 2; ++i) pthread_create(&threads[i], NULL, send_requests, (void*)i);
  pthread_create(&threads[THREADS - 2], NULL, use_the_steps, NULL);
  pthread_create(&threads[THREADS - 1], NULL, open_and_close_others, NULL);
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.lookups == (THREADS - 2) * ROUNDS + ROUNDS);
  CHECK(counts.lookup_failures == 0 && counts.entries_waiting == 0);
}

/* ------------------------------------------------------------------ closing under them */

static int stopped;

static void* until_it_is_closed(void* handle) {
  satchel_prompt_cache* const mine = handle;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = SATCHEL_OK;
  while (status == SATCHEL_OK) status = sample_run(mine, "p", 1, 40, NULL, NULL, &error);
  CHECK_STATUS(SATCHEL_ERR_HANDLE, status);
  CHECK(strstr(error.message, "satchel_prompt_cache") != NULL);
  __atomic_add_fetch(&stopped, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void* close_a_copy(void* handle) {
  satchel_prompt_cache* mine = handle;
  const satchel_status status = satchel_prompt_cache_close(&mine);
  CHECK(status == SATCHEL_OK || status == SATCHEL_ERR_HANDLE);
  return (void*)(status == SATCHEL_OK ? 1L : 0L);
}

static void a_cache_is_closed_while_threads_are_inside(const char* directory) {
  int round = 0;
  for (round = 0; round < 10; ++round) {
    pthread_t users[4];
    pthread_t closers[2];
    satchel_error error = SATCHEL_ERROR_INIT;
    satchel_prompt_cache* closing = NULL;
    void* closed[2] = {NULL, NULL};
    int i = 0;
    if (round % 2 == 0) {
      CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG),
                                                         &closing, &error));
    } else {
      CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &closing, &error));
    }
    stopped = 0;
    for (i = 0; i < 4; ++i) pthread_create(&users[i], NULL, until_it_is_closed, closing);
    for (i = 0; i < 50 * round; ++i) sched_yield();
    for (i = 0; i < 2; ++i) pthread_create(&closers[i], NULL, close_a_copy, closing);
    for (i = 0; i < 2; ++i) pthread_join(closers[i], &closed[i]);
    CHECK((closed[0] != NULL) + (closed[1] != NULL) == 1);
    for (i = 0; i < 4; ++i) pthread_join(users[i], NULL);
    CHECK(stopped == 4);
  }
}

/* ------------------------------------------------------------------ one request, two threads */

struct contest {
  satchel_request* request;
  int done;
  int refused;
};

static void* write_to_it(void* shared) {
  struct contest* const contest = shared;
  int i = 0;
  for (i = 0; i < 2000; ++i) {
    satchel_error error = SATCHEL_ERROR_INIT;
    satchel_view out = {NULL, 0};
    const satchel_status status =
        satchel_request_write(contest->request, LITERAL("data: {}\n\n"), &out, &error);
    if (status == SATCHEL_OK) {
      __atomic_add_fetch(&contest->done, 1, __ATOMIC_RELAXED);
    } else {
      CHECK_STATUS(SATCHEL_ERR_BUSY, status);
      __atomic_add_fetch(&contest->refused, 1, __ATOMIC_RELAXED);
    }
  }
  return NULL;
}

static void a_request_is_used_by_two_threads(void) {
  const satchel_request_head head = sample_head("p");
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_view out = {NULL, 0};
  struct contest contest = {NULL, 0, 0};
  pthread_t threads[2];
  int32_t plan = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &contest.request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(contest.request, LITERAL(SAMPLE_BODY_STREAM),
                                                &forward, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_request_response(contest.request, 200, LITERAL("text/event-stream"), NULL, 0,
                                        &plan, &error));
  pthread_create(&threads[0], NULL, write_to_it, &contest);
  pthread_create(&threads[1], NULL, write_to_it, &contest);
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  CHECK(contest.done + contest.refused == 4000 && contest.done > 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(contest.request, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(contest.request, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&contest.request));
}

int main(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  char* directory = sample_directory();
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));

  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &cache, &error));
  a_storm_over_one_cache();
  a_request_is_used_by_two_threads();
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));

  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &cache, &error));
  a_storm_over_one_cache();
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));

  a_cache_is_closed_while_threads_are_inside(directory);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
