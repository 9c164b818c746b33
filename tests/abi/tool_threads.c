/* Many threads over one tool cache, and handles closed while threads are inside. The thread
 * sanitizer watches; the checks here are on statuses and on what is served. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

enum { THREADS = 8, ROUNDS = 40, KEYS = 5 };

static char* directory;
static satchel_library* library;
static satchel_tool_cache* cache;

static void name_key(char* key, int number) {
  memset(key, 'a' + number, 64);
  key[64] = '\0';
}

/* What is stored under a key says its own name, so that a mixed-up payload is seen. */
static void name_payload(char* payload, size_t size, const char* key) {
  snprintf(payload, size, "payload of %s", key);
}

/* ------------------------------------------------------------------ a storm over one cache */

static void get_or_compute(const char* key, satchel_error* error) {
  const satchel_root root = {{"a.txt", 5}, {NULL, 0}};
  satchel_tool_call call = tool_call("read", &root, 1);
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  char payload[128];
  satchel_status status = SATCHEL_OK;
  call.wait_ms = 20;
  name_payload(payload, sizeof payload, key);
  status = satchel_tool_get_or_begin(cache, key, 64, &call, &result, &lease, error);
  CHECK(status == SATCHEL_OK || status == SATCHEL_LEASED || status == SATCHEL_WAIT);
  CHECK((result != NULL) == (status == SATCHEL_OK) &&
        (lease != NULL) == (status == SATCHEL_LEASED));
  if (result != NULL) CHECK(tool_is(result, payload));
  if (lease != NULL) {
    CHECK_STATUS(SATCHEL_OK,
                 satchel_tool_lease_commit(lease, payload, strlen(payload), NULL, error));
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
}

static void look_up(const char* key, satchel_error* error) {
  satchel_tool_result* result = NULL;
  char payload[128];
  const satchel_status status = satchel_tool_lookup_revalidate(cache, key, 64, &result, error);
  name_payload(payload, sizeof payload, key);
  CHECK(status == SATCHEL_OK || status == SATCHEL_MISS);
  if (result != NULL) CHECK(tool_is(result, payload));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
}

static void* compute_and_look_up(void* number) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const int mine = (int)(long)number;
  char key[65];
  int round = 0;
  for (round = 0; round < ROUNDS; ++round) {
    name_key(key, (mine + round) % KEYS);
    if (round % 3 == 2) {
      look_up(key, &error);
    } else {
      get_or_compute(key, &error);
    }
  }
  return NULL;
}

static void* drop_and_tell(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  char key[65];
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) {
    uint64_t number = 0;
    name_key(key, round % KEYS);
    CHECK_STATUS(SATCHEL_OK, satchel_tool_mark_dirty(cache, key, 64, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_entry_count(cache, &number, &error));
    CHECK(number <= KEYS);
    CHECK_STATUS(SATCHEL_OK, satchel_tool_stats(cache, &out, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_metrics(cache, &out, &error));
    if (round % 8 == 3) {
      CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(cache, "a.txt", 5, &number, &error));
    }
    if (round % 8 == 5) CHECK_STATUS(SATCHEL_OK, satchel_tool_evict(cache, &number, &error));
    if (round % 20 == 10) CHECK_STATUS(SATCHEL_OK, satchel_tool_rebuild(cache, &error));
  }
  satchel_buffer_free(&out);
  return NULL;
}

static void* open_and_close_others(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  char key[65];
  int round = 0;
  (void)unused;
  name_key(key, 0);
  for (round = 0; round < ROUNDS / 4; ++round) {
    satchel_tool_cache* own = NULL;
    int32_t present = 0;
    CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &own, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_contains(own, key, 64, &present, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&own));
  }
  return NULL;
}

static void a_storm_over_one_cache(void) {
  pthread_t threads[THREADS];
  satchel_error error = SATCHEL_ERROR_INIT;
  long i = 0;
  for (i = 0; i < THREADS - 2; ++i) {
    pthread_create(&threads[i], NULL, compute_and_look_up, (void*)i);
  }
  pthread_create(&threads[THREADS - 2], NULL, drop_and_tell, NULL);
  pthread_create(&threads[THREADS - 1], NULL, open_and_close_others, NULL);
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_flush(cache, 60000, &error));
}

/* ------------------------------------------------------------------ one computes, all have it */

static int computed;

static void* compute_once(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_call call = tool_call("bash", NULL, 0);
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_status status = SATCHEL_OK;
  (void)unused;
  call.wait_ms = 60000;
  status = satchel_tool_get_or_begin(cache, TOOL_64("f"), 64, &call, &result, &lease, &error);
  if (status == SATCHEL_LEASED) {
    int i = 0;
    __atomic_add_fetch(&computed, 1, __ATOMIC_RELAXED);
    for (i = 0; i < 1000; ++i) sched_yield();
    CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(lease, LITERAL("once"), NULL, &error));
  } else {
    CHECK_STATUS(SATCHEL_OK, status);
    CHECK(tool_is(result, "once"));
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  return NULL;
}

static void one_thread_computes_and_the_others_wait_for_it(void) {
  pthread_t threads[THREADS];
  int i = 0;
  for (i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, compute_once, NULL);
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK(computed == 1);
}

/* ------------------------------------------------------------------ one result, many readers */

static void* read_the_result(void* shared) {
  satchel_tool_result* const result = shared;
  int i = 0;
  for (i = 0; i < 200; ++i) {
    satchel_error error = SATCHEL_ERROR_INIT;
    char piece[16] = "";
    size_t got = 0;
    CHECK_STATUS(SATCHEL_OK,
                 satchel_tool_result_read(result, (uint64_t)(i % 4), piece, 2, &got, &error));
    CHECK(got == 2 && memcmp(piece, &"shared"[i % 4], 2) == 0);
    if (i % 10 == 0) CHECK(tool_is(result, "shared"));
  }
  return NULL;
}

static void a_result_is_read_by_many_threads(void) {
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_result* result = NULL;
  pthread_t threads[4];
  int i = 0;
  CHECK_STATUS(SATCHEL_OK,
               satchel_tool_persist(cache, TOOL_64("9"), 64, LITERAL("shared"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, TOOL_64("9"), 64, &result, &error));
  for (i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, read_the_result, result);
  for (i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
}

/* ------------------------------------------------------------------ one writer, two threads */

struct contest {
  satchel_tool_writer* writer;
  long done;
};

static void* write_to_it(void* shared) {
  struct contest* const contest = shared;
  int i = 0;
  for (i = 0; i < 2000; ++i) {
    satchel_error error = SATCHEL_ERROR_INIT;
    const satchel_status status = satchel_tool_writer_write(contest->writer, "x", 1, &error);
    if (status == SATCHEL_OK) {
      __atomic_add_fetch(&contest->done, 1, __ATOMIC_RELAXED);
    } else {
      CHECK_STATUS(SATCHEL_ERR_BUSY, status);
    }
  }
  return NULL;
}

static void a_lease_and_its_writer_are_used_by_two_threads(void) {
  const satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_result* result = NULL;
  satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
  satchel_tool_lease* lease = NULL;
  struct contest contest = {NULL, 0};
  pthread_t threads[2];
  int i = 0;
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, TOOL_64("8"), 64, &call, &result, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_writer(lease, NULL, &contest.writer, &error));
  for (i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, write_to_it, &contest);
  for (i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_commit(contest.writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&contest.writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, TOOL_64("8"), 64, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_info_get(result, &info, &error));
  CHECK(contest.done > 0 && info.bytes == (uint64_t)contest.done);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
}

/* ------------------------------------------------------------------ closing under them */

static void* until_it_is_closed(void* handle) {
  satchel_tool_cache* const mine = handle;
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  const satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = SATCHEL_OK;
  while (status >= 0) {
    satchel_tool_result* result = NULL;
    satchel_tool_lease* lease = NULL;
    satchel_tool_writer* writer = NULL;
    status = satchel_tool_get_or_begin(mine, KEY_B, &call, &result, &lease, &error);
    if (status >= 0) status = satchel_tool_writer_new(mine, KEY_A, &meta, &writer, &error);
    if (status >= 0) status = satchel_tool_writer_write(writer, "x", 1, &error);
    if (status >= 0) status = satchel_tool_writer_commit(writer, &error);
    /* Freed while the cache may be closing: what they were is ended once, there or here. */
    CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  }
  CHECK_STATUS(SATCHEL_ERR_HANDLE, status);
  CHECK(strstr(error.message, "satchel_tool_cache") != NULL);
  return NULL;
}

static void* close_a_copy(void* handle) {
  satchel_tool_cache* mine = handle;
  const satchel_status status = satchel_tool_cache_close(&mine);
  CHECK(status == SATCHEL_OK || status == SATCHEL_ERR_HANDLE);
  return (void*)(status == SATCHEL_OK ? 1L : 0L);
}

static void a_cache_is_closed_while_threads_are_inside(void) {
  int round = 0;
  for (round = 0; round < 10; ++round) {
    static struct memory_store store;
    const satchel_tool_store table = memory_table(&store);
    pthread_t users[4];
    pthread_t closers[2];
    satchel_error error = SATCHEL_ERROR_INIT;
    satchel_tool_cache* closing = NULL;
    void* closed[2] = {NULL, NULL};
    int i = 0;
    CHECK_STATUS(SATCHEL_OK, round % 2 == 0
                                 ? tool_open(library, directory, NULL, &closing, &error)
                                 : tool_open_over(library, directory, &table, &closing, &error));
    for (i = 0; i < 4; ++i) pthread_create(&users[i], NULL, until_it_is_closed, closing);
    for (i = 0; i < 50 * round; ++i) sched_yield();
    for (i = 0; i < 2; ++i) pthread_create(&closers[i], NULL, close_a_copy, closing);
    for (i = 0; i < 2; ++i) pthread_join(closers[i], &closed[i]);
    CHECK((closed[0] != NULL) + (closed[1] != NULL) == 1);
    for (i = 0; i < 4; ++i) pthread_join(users[i], NULL);
    CHECK(store.releases == round % 2);
    memory_clear(&store);
  }
}

/* ------------------------------------------------------------------ closed while threads wait */

static void* wait_for_a_lease(void* handle) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  call.wait_ms = 10 * 60 * 1000;
  CHECK_STATUS(SATCHEL_WAIT,
               satchel_tool_get_or_begin(handle, KEY_D, &call, &result, &lease, &error));
  CHECK(result == NULL && lease == NULL);
  return NULL;
}

/* The remote is not there, so that what was invalidated waits for it. */
static void* wait_for_the_remote(void* handle) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_status status = satchel_tool_cache_flush(handle, 10 * 60 * 1000, &error);
  CHECK(status == SATCHEL_ERR_TIMEOUT || status == SATCHEL_ERR_HANDLE);
  return NULL;
}

static int is_waited_for(satchel_tool_cache* handle) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_buffer metrics = SATCHEL_BUFFER_INIT;
  int waited = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_metrics(handle, &metrics, &error));
  waited = sample_holds(metrics.data, metrics.len, "\nsatchel_tool_cache_waits_total 1\n");
  satchel_buffer_free(&metrics);
  return waited;
}

static void closing_does_not_wait_for_those_who_wait(void) {
  static const char config[] =
      "{\"remote\":{\"kind\":\"http\",\"url\":\"http://127.0.0.1:1\",\"token\":\"t\"}}";
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_tool_cache* closing = NULL;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  pthread_t threads[2];
  const time_t began = time(NULL);
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, config, &closing, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_mark_dirty(closing, KEY_B, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(closing, KEY_D, &call, &result, &lease, &error));
  pthread_create(&threads[0], NULL, wait_for_a_lease, closing);
  pthread_create(&threads[1], NULL, wait_for_the_remote, closing);
  while (!is_waited_for(closing)) sched_yield();
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&closing));
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  CHECK(time(NULL) - began < 5 * 60);
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_lease_abandon(lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
}

int main(void) {
  static struct memory_store store;
  const satchel_tool_store table = memory_table(&store);
  satchel_error error = SATCHEL_ERROR_INIT;
  directory = tool_directory();
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));

  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &cache, &error));
  a_storm_over_one_cache();
  one_thread_computes_and_the_others_wait_for_it();
  a_result_is_read_by_many_threads();
  a_lease_and_its_writer_are_used_by_two_threads();
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));

  CHECK_STATUS(SATCHEL_OK, tool_open_over(library, directory, &table, &cache, &error));
  a_storm_over_one_cache();
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  memory_clear(&store);

  a_cache_is_closed_while_threads_are_inside();
  closing_does_not_wait_for_those_who_wait();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
