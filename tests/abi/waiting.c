/* Classification on the library's threads, as a host in C sees it: who is called back, when, and
 * what may be done there; requests that are freed and caches that are closed meanwhile. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "sample.h"
#include "tool_sample.h"

enum { THREADS = 4, ROUNDS = 150 };

/* ------------------------------------------------------------------ a tokenizer that can be held
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int held;
static int inside;

static void hold(int on) {
  pthread_mutex_lock(&mutex);
  held = on;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void await(const int* count, int least) {
  struct timespec until;
  int waits = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  pthread_mutex_lock(&mutex);
  while (*count < least && waits == 0) waits = pthread_cond_timedwait(&changed, &mutex, &until);
  CHECK(*count >= least);
  pthread_mutex_unlock(&mutex);
}

static satchel_status list_versions(void* user, const char* model, size_t model_len,
                                    satchel_versions_answer* answer) {
  (void)user;
  return satchel_versions_add(answer, model, model_len, "v", 1, NULL, 0);
}

static satchel_status count_tokens(void* user, const char* model, size_t model_len,
                                   const satchel_view* segments, size_t segment_count,
                                   satchel_counts_answer* answer) {
  uint32_t counts[8];
  size_t i = 0;
  (void)user;
  (void)model;
  (void)model_len;
  (void)segments;
  pthread_mutex_lock(&mutex);
  ++inside;
  pthread_cond_broadcast(&changed);
  while (held) pthread_cond_wait(&changed, &mutex);
  --inside;
  pthread_mutex_unlock(&mutex);
  for (i = 0; i < segment_count && i < 8; ++i) counts[i] = (uint32_t)(10 * (i + 1));
  return satchel_counts_set(answer, counts, segment_count);
}

static satchel_library* library;

static satchel_prompt_cache* open_cache(const char* config) {
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt_cache* opened = NULL;
  tokenizer.versions = list_versions;
  tokenizer.tokenize = count_tokens;
  parts.tokenizer = &tokenizer;
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, &parts, config, strlen(config), &opened, &error));
  return opened;
}

/* ------------------------------------------------------------------ who is called back */

struct calls {
  int count;
  satchel_status status;
  void (*then)(struct calls* calls);
  satchel_request* request;
  satchel_prompt_cache* cache;
};

static void note(void* user, satchel_status status) {
  struct calls* const calls = user;
  if (calls->then != NULL) calls->then(calls);
  pthread_mutex_lock(&mutex);
  ++calls->count;
  calls->status = status;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static satchel_request* send_body(satchel_prompt_cache* cache, const char* principal) {
  const satchel_request_head head = sample_head(principal);
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request* request = NULL;
  int32_t plan = 0;
  satchel_status status = satchel_request_new(cache, &head, &request, &error);
  if (status == SATCHEL_OK) {
    status = satchel_request_body(request, LITERAL(SAMPLE_BODY_STREAM), &forward, &error);
  }
  if (status == SATCHEL_OK) {
    status = satchel_request_response(request, 200, LITERAL("text/event-stream"), NULL, 0, &plan,
                                      &error);
  }
  CHECK(status == SATCHEL_OK || status == SATCHEL_ERR_HANDLE);
  return request;
}

static int is_readable(int32_t fd, int timeout_ms) {
  struct pollfd waits;
  waits.fd = fd;
  waits.events = POLLIN;
  waits.revents = 0;
  return poll(&waits, 1, timeout_ms) == 1;
}

static void a_loop_is_told_and_never_waits(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt_cache* cache = open_cache(SAMPLE_CONFIG);
  satchel_request* request = send_body(cache, "loop");
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  struct calls calls = {0, 1, NULL, NULL, NULL};
  struct sample_text client = {{0}, 0};
  satchel_view out = {NULL, 0};
  int32_t fd = -1;
  hold(1);
  CHECK_ERROR(SATCHEL_ERR_STATE, "descriptor", satchel_request_descriptor(request, &fd, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "called before",
              satchel_request_classify_start(request, note, &calls, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "fd", satchel_request_descriptor(request, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_descriptor(request, &fd, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_no_wait(request, &error));
  await(&inside, 1);
  CHECK(!is_readable(fd, 0));
  CHECK_ERROR(SATCHEL_PENDING, NULL,
              satchel_request_write(request, LITERAL(SAMPLE_ANSWER_STREAM), &out, &error));
  sample_append(&client, out);
  CHECK(sample_holds(client.data, client.len, "\"Hi\""));
  CHECK(!sample_holds(client.data, client.len, "usage"));
  CHECK_STATUS(SATCHEL_PENDING, satchel_request_end(request, &out, &error));
  CHECK(out.len == 0 && calls.count == 0);
  hold(0);
  CHECK(is_readable(fd, 60000));
  await(&calls.count, 1);
  CHECK(calls.status == SATCHEL_OK);
  CHECK_STATUS(SATCHEL_OK, satchel_request_write(request, NULL, 0, &out, &error));
  sample_append(&client, out);
  CHECK(sample_holds(client.data, client.len, "\"cache_creation_input_tokens\":20"));
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(request, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(request, &result, &error));
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK(calls.count == 1);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

/* ------------------------------------------------------------------ calls from inside */

/* On a thread of the library while nobody else is inside. */
static void use_and_try_to_release(struct calls* calls) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_request* request = calls->request;
  satchel_prompt_cache* cache = calls->cache;
  satchel_library* mine = library;
  satchel_prompt* prompt = NULL;
  satchel_view out = {NULL, 0};
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_close(&mine));
  CHECK_STATUS(SATCHEL_ERR_STATE, satchel_request_classify_start(request, NULL, NULL, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_request_write(request, LITERAL(SAMPLE_ANSWER_STREAM), &out, &error));
  CHECK(sample_holds(out.data, out.len, "\"cache_creation_input_tokens\":20"));
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(request, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(request, &result, &error));
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  /* What is nothing but data can be used and released. */
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), &prompt, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
}

/* Inside the call that ended it. */
static void find_it_busy(struct calls* calls) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request* request = calls->request;
  satchel_view out = {NULL, 0};
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_request_write(request, NULL, 0, &out, &error));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_request_free(&request));
}

/* Inside satchel_request_free. */
static void find_it_gone(struct calls* calls) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request* request = calls->request;
  satchel_view out = {NULL, 0};
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_request_write(request, NULL, 0, &out, &error));
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_request_free(&request));
}

static void calls_from_inside_get_clean_answers(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt_cache* cache = open_cache(SAMPLE_CONFIG);
  satchel_request* request = send_body(cache, "inside");
  struct calls calls = {0, 1, use_and_try_to_release, NULL, NULL};
  calls.request = request;
  calls.cache = cache;
  hold(1);
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  hold(0);
  await(&calls.count, 1);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));

  hold(1);
  calls.request = request = send_body(cache, "aborted");
  calls.then = find_it_busy;
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  await(&inside, 1);
  CHECK_STATUS(SATCHEL_OK, satchel_request_abort(request, &error));
  CHECK(calls.count == 2 && calls.status == SATCHEL_ERR_STATE);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK(calls.count == 2);

  calls.request = request = send_body(cache, "freed");
  calls.then = find_it_gone;
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request)); /* does not wait for the tokenizer */
  CHECK(calls.count == 3 && calls.status == SATCHEL_ERR_STATE);

  calls.request = request = send_body(cache, "known");
  calls.then = find_it_busy;
  hold(0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify(request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  CHECK(calls.count == 4 && calls.status == SATCHEL_OK);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

/* ------------------------------------------------------------------ too much, too late */

static void over_the_bounds_requests_go_uncached(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt_cache* cache =
      open_cache("{" SAMPLE_MODELS
                 ",\"classify_threads\":1,\"classify_queue\":1,\"classify_deadline_ms\":300}");
  satchel_request* requests[3];
  struct calls calls[3];
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_buffer metrics = SATCHEL_BUFFER_INIT;
  satchel_view out = {NULL, 0};
  int i = 0;
  memset(calls, 0, sizeof calls);
  hold(1);
  for (i = 0; i < 3; ++i) {
    requests[i] = send_body(cache, "p");
    CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(requests[i], note, &calls[i], &error));
    if (i == 0) await(&inside, 1);
  }
  CHECK(calls[2].count == 1 && calls[2].status == SATCHEL_ERR_LIMIT);
  await(&calls[0].count, 1);
  await(&calls[1].count, 1);
  CHECK(calls[0].status == SATCHEL_ERR_TIMEOUT && calls[1].status == SATCHEL_ERR_TIMEOUT);
  for (i = 0; i < 3; ++i) {
    CHECK_STATUS(SATCHEL_OK,
                 satchel_request_write(requests[i], LITERAL(SAMPLE_ANSWER_STREAM), &out, &error));
    CHECK(out.len == strlen(SAMPLE_ANSWER_STREAM));
    CHECK_STATUS(SATCHEL_OK, satchel_request_end(requests[i], &out, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(requests[i], &result, &error));
    CHECK(result.active == 0 && result.commit == SATCHEL_COMMIT_NOTHING);
    CHECK_STATUS(SATCHEL_OK, satchel_request_free(&requests[i]));
    CHECK(calls[i].count == 1);
  }
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_prompt_cache_metrics(cache, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_metrics(cache, &metrics, &error));
  CHECK(sample_holds(metrics.data, metrics.len,
                     "satchel_prompt_cache_classify_total{outcome=\"queue_full\"} 1\n"));
  CHECK(sample_holds(metrics.data, metrics.len,
                     "satchel_prompt_cache_classify_total{outcome=\"deadline_exceeded\"} 2\n"));
  CHECK(sample_holds(metrics.data, metrics.len,
                     "satchel_prompt_cache_requests_total{outcome=\"inactive\"} 3\n"));
  satchel_buffer_free(&metrics);
  hold(0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

/* ------------------------------------------------------------------ a storm */

static void* send_and_leave(void* handle) {
  satchel_prompt_cache* const cache = handle;
  satchel_error error = SATCHEL_ERROR_INIT;
  int round = 0;
  for (round = 0; round < ROUNDS; ++round) {
    struct calls calls = {0, 1, NULL, NULL, NULL};
    satchel_request* request = send_body(cache, "storm");
    satchel_view out = {NULL, 0};
    int32_t fd = -1;
    satchel_status status = SATCHEL_OK;
    if (request == NULL) break;
    status = satchel_request_classify_start(request, note, &calls, &error);
    if (status == SATCHEL_OK && round % 2 == 0) {
      CHECK(satchel_request_descriptor(request, &fd, &error) <= 0);
    }
    if (status == SATCHEL_OK && round % 3 == 0) {
      const satchel_status written =
          satchel_request_write(request, LITERAL(SAMPLE_ANSWER_STREAM), &out, &error);
      CHECK(written == SATCHEL_OK || written == SATCHEL_ERR_HANDLE);
    }
    if (round % 5 == 0) satchel_request_abort(request, &error);
    CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
    /* Nobody touches `calls` any more. */
    CHECK(calls.count == (status == SATCHEL_OK ? 1 : 0));
  }
  return NULL;
}

static void everybody_is_called_once_whatever_happens(void) {
  int round = 0;
  for (round = 0; round < 6; ++round) {
    satchel_prompt_cache* cache =
        open_cache("{" SAMPLE_MODELS ",\"classify_threads\":3,\"classify_queue\":4}");
    satchel_prompt_cache* closing = cache;
    pthread_t threads[THREADS];
    int i = 0;
    for (i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, send_and_leave, cache);
    if (round % 2 == 1) { /* closed under them */
      const struct timespec pause = {0, 1000000 * round};
      nanosleep(&pause, NULL);
      CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&closing));
    }
    for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
    if (closing != NULL) CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&closing));
  }
}

/* Requests are left when their cache goes: their classification ends, and they can be freed. */
static void closing_ends_what_waits(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt_cache* cache = open_cache("{" SAMPLE_MODELS ",\"classify_threads\":1}");
  satchel_request* requests[5];
  struct calls calls[5];
  satchel_view out = {NULL, 0};
  int i = 0;
  memset(calls, 0, sizeof calls);
  hold(1);
  for (i = 0; i < 5; ++i) {
    requests[i] = send_body(cache, "p");
    CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(requests[i], note, &calls[i], &error));
  }
  await(&inside, 1);
  hold(0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  for (i = 0; i < 5; ++i) {
    CHECK(calls[i].count == 1);
    CHECK(calls[i].status == SATCHEL_OK || calls[i].status == SATCHEL_ERR_HANDLE);
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_request_end(requests[i], &out, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_free(&requests[i]));
    CHECK(calls[i].count == 1);
  }
}

/* A result is the host's, and only data: it may be let go of wherever it is at hand. */
static satchel_tool_result* kept;

static void free_a_result(struct calls* calls) {
  (void)calls;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&kept));
}

static void a_done_may_free_what_is_only_data(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  char* const directory = tool_directory();
  satchel_tool_cache* tools = NULL;
  satchel_prompt_cache* cache = open_cache(SAMPLE_CONFIG);
  satchel_request* request = send_body(cache, "data");
  struct calls calls = {0, 1, free_a_result, NULL, NULL};
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &tools, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(tools, KEY_A, LITERAL("payload"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(tools, KEY_A, &kept, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &calls, &error));
  await(&calls.count, 1);
  CHECK(kept == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&tools));
  sample_remove_directory(directory);
}

int main(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  a_loop_is_told_and_never_waits();
  calls_from_inside_get_clean_answers();
  over_the_bounds_requests_go_uncached();
  everybody_is_called_once_whatever_happens();
  closing_ends_what_waits();
  a_done_may_free_what_is_only_data();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
