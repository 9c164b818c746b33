/* Every allocation fails once: the n-th of an operation, for n from 1 until the operation needs
 * fewer than n. Each time the calls answer with a status that says so, or go on with less; nothing
 * crashes, nothing leaks, and the same operation works right afterwards. */
#include "failing_allocations.h"
#include "sample.h"

static char* directory;

/* Statuses that a call may answer with when an allocation failed in it. A request is served all the
 * same: then it answers OK and caches nothing. */
static int expected(satchel_status status) {
  return status == SATCHEL_OK || status == SATCHEL_ERR_MEMORY;
}

static void whole_requests(const char* config) {
  const satchel_request_head head = sample_head("p");
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_error error = SATCHEL_ERROR_INIT;
  int stream = 0;
  if (CALL(satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error)) &&
      CALL(satchel_prompt_cache_open(library, NULL, config, strlen(config), &cache, &error))) {
    for (stream = 0; stream < 2; ++stream) {
      satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
      satchel_request* request = NULL;
      satchel_forward forward = SATCHEL_FORWARD_INIT;
      satchel_view out = {NULL, 0};
      int32_t plan = 0;
      const char* const body = stream ? SAMPLE_BODY_STREAM : SAMPLE_BODY;
      const char* const type = stream ? "text/event-stream" : "application/json";
      const char* const answer = stream ? SAMPLE_ANSWER_STREAM : SAMPLE_ANSWER;
      if (CALL(satchel_request_new(cache, &head, &request, &error)) &&
          CALL(satchel_request_body(request, body, strlen(body), &forward, &error)) &&
          CALL(satchel_request_classify(request, &error)) &&
          CALL(
              satchel_request_response(request, 200, type, strlen(type), NULL, 0, &plan, &error)) &&
          CALL(satchel_request_write(request, answer, 100, &out, &error)) &&
          CALL(satchel_request_write(request, answer + 100, strlen(answer) - 100, &out, &error)) &&
          CALL(satchel_request_end(request, &out, &error)) &&
          CALL(satchel_request_result_get(request, &result, &error))) {
        /* Never a wrong number: all of it or none. */
        const uint64_t sum = result.read + result.creation_5m + result.creation_1h;
        if (sum != 32 && sum != 0) check_that(0, "sum is 32 or 0", __FILE__, __LINE__);
      }
      CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
    }
    CALL(satchel_prompt_cache_flush(cache, 60000, &error));
  }
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
}

static void over_the_memory_index(void) { whole_requests(SAMPLE_CONFIG); }

static void over_the_sqlite_index(void) {
  char config[512];
  snprintf(config, sizeof config,
           "{\"index\":{\"kind\":\"sqlite\",\"path\":\"%s\"}," SAMPLE_MODELS "}", directory);
  whole_requests(config);
}

static satchel_library* steps_library;
static satchel_prompt_cache* steps_cache;

static void every_step_by_itself(void) {
  const satchel_request_head head = sample_head("p");
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt* prompt = NULL;
  satchel_outcome* outcome = NULL;
  satchel_usage_filter* filter = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  satchel_view out = {NULL, 0};
  CALL(satchel_prompt_validate(steps_cache, LITERAL(SAMPLE_BODY), &error));
  CALL(satchel_prompt_parse(steps_cache, LITERAL(SAMPLE_BODY), &prompt, &error));
  CALL(satchel_prompt_forward(steps_cache, LITERAL(SAMPLE_BODY), &buffer, NULL, &error));
  CALL(satchel_query_breakpoint(LITERAL("/x?cacheBreakpoint=lastUserMessage&long=" SAMPLE_64), NULL,
                                &buffer, &error));
  CALL(satchel_query_mark(LITERAL("{\"messages\":[]}"), &buffer, &error));
  CALL(satchel_json_canonical(LITERAL(SAMPLE_BODY), &buffer, &error));
  if (CALL(satchel_prompt_classify(steps_cache, &head, LITERAL("m"), LITERAL(SAMPLE_BODY), &outcome,
                                   &error))) {
    CALL(satchel_outcome_commit(outcome, &error));
  }
  if (CALL(satchel_usage_filter_new(SATCHEL_BODY_SSE, &usage, &filter, &error)) &&
      CALL(satchel_usage_filter_write(filter, LITERAL(SAMPLE_ANSWER_STREAM), &out, &error))) {
    CALL(satchel_usage_filter_end(filter, &out, &error));
  }
  satchel_buffer_free(&buffer);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&filter));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
}

/* Handles and texts that a wrong configuration makes on its way to the message. */
static void refusals(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_library* library = NULL;
  satchel_status status =
      satchel_open(NULL, LITERAL("{\"a key that nobody knows\":1}"), &library, &error);
  if (status != SATCHEL_ERR_CONFIG) CALL(status == SATCHEL_OK ? SATCHEL_ERR_INTERNAL : status);
  status = satchel_request_classify(NULL, &error);
  if (status != SATCHEL_ERR_HANDLE) CALL(status == SATCHEL_OK ? SATCHEL_ERR_INTERNAL : status);
}

/* However many handles were opened and closed before, and in whatever order. */
static void closing_needs_no_memory(void) {
  enum { kHandles = 300, kRounds = 8 };
  static satchel_prompt* prompts[kHandles];
  satchel_error error = SATCHEL_ERROR_INIT;
  int round = 0;
  int i = 0;
  for (round = 0; round < kRounds; ++round) {
    for (i = 0; i < kHandles; ++i) {
      CHECK_STATUS(SATCHEL_OK,
                   satchel_prompt_parse(steps_cache, LITERAL(SAMPLE_BODY), &prompts[i], &error));
    }
    has_failed = 0;
    for (i = 0; i < kHandles; ++i) {
      satchel_status status = SATCHEL_OK;
      until_failure = 1;
      status = satchel_prompt_free(&prompts[(i * 7 + round) % kHandles]);
      until_failure = 0;
      CHECK_STATUS(SATCHEL_OK, status);
    }
    CHECK(!has_failed);
  }
}

int main(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  directory = sample_directory();
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &steps_library, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(steps_library, NULL, LITERAL(SAMPLE_CONFIG),
                                                     &steps_cache, &error));
  closing_needs_no_memory();
  /* OpenSSL keeps the last errors of a thread: fill that queue. */
  fail_each_allocation_of(over_the_memory_index);
  fail_each_allocation_of(over_the_memory_index);
  survives("refusals", refusals);
  survives("every step by itself", every_step_by_itself);
  survives("whole requests, memory index", over_the_memory_index);
  survives("whole requests, SQLite index", over_the_sqlite_index);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&steps_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&steps_library));
  sample_remove_directory(directory);
  return check_summary();
}
