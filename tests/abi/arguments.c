/* Every function with what no caller should pass: NULL, zero lengths, handles that are NULL,
 * closed, of another type or never were ours, and structs of a wrong size. Always a status and a
 * message that names what was wrong, never a crash, and nothing written where nothing should be. A
 * test compares the functions called here with those that the header declares. */
#include <stdint.h>

#include "check.h"
#include "sample.h"

/* arguments_tools.c, arguments_cascade.c: the other engines. */
int misuse_the_tools(void);
int misuse_the_cascade(void);

static satchel_error error;
static satchel_library* library;
static satchel_prompt_cache* cache;
static satchel_request* request;
static satchel_prompt* prompt;
static satchel_usage_filter* filter;
static satchel_outcome* outcome;
static satchel_request_head head;

/* One that has been closed, of every type. */
static satchel_library* closed_library;
static satchel_prompt_cache* closed_cache;
static satchel_request* closed_request;
static satchel_prompt* closed_prompt;
static satchel_usage_filter* closed_filter;
static satchel_outcome* closed_outcome;

static satchel_request* new_request(void) {
  satchel_request* made = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &made, &error));
  return made;
}

static void open_everything(satchel_library** a, satchel_prompt_cache** b, satchel_request** c,
                            satchel_prompt** d, satchel_usage_filter** e, satchel_outcome** f) {
  head = sample_head("p");
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, a, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(*a, NULL, LITERAL(SAMPLE_CONFIG), b, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(*b, &head, c, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(*b, LITERAL(SAMPLE_BODY), d, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_new(SATCHEL_BODY_SSE, NULL, e, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_classify(*b, &head, LITERAL("m"), LITERAL(SAMPLE_BODY), f, &error));
}

static void open_and_close_everything(void) {
  satchel_library* a = NULL;
  satchel_prompt_cache* b = NULL;
  satchel_request* c = NULL;
  satchel_prompt* d = NULL;
  satchel_usage_filter* e = NULL;
  satchel_outcome* f = NULL;
  open_everything(&a, &b, &c, &d, &e, &f);
  closed_library = a;
  closed_cache = b;
  closed_request = c;
  closed_prompt = d;
  closed_filter = e;
  closed_outcome = f;
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&f));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&e));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&d));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&c));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&b));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&a));
  CHECK(a == NULL && b == NULL && c == NULL && d == NULL && e == NULL && f == NULL);
}

/* Pointers that were never handles: into our memory, unaligned, small, huge. */
static char not_a_handle[64];
static void* foreign(int which) {
  switch (which) {
    case 0:
      return not_a_handle;
    case 1:
      return not_a_handle + 5;
    case 2:
      return (void*)(uintptr_t)1;
    case 3:
      return (void*)(uintptr_t)5;
    case 4:
      return (void*)UINTPTR_MAX;
    case 5:
      return (void*)(uintptr_t)(UINTPTR_MAX - 2);
    default:
      return &error;
  }
}
#define FOREIGN_COUNT 7

/* Each call of a handle's type, given something that is no such open handle. */
static void bad_cache(satchel_prompt_cache* bad) {
  satchel_request* made = (satchel_request*)not_a_handle;
  satchel_prompt* parsed = (satchel_prompt*)not_a_handle;
  satchel_outcome* classified = (satchel_outcome*)not_a_handle;
  satchel_prompt_cache* closing = bad;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  uint64_t bytes = 7;
  int32_t had_markers = 7;
  const char* name = "satchel_prompt_cache";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_cache_flush(bad, 0, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_cache_forget(bad, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_cache_max_body(bad, &bytes, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_cache_index_counts(bad, &counts, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_cache_metrics(bad, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_new(bad, &head, &made, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_prompt_parse(bad, LITERAL(SAMPLE_BODY), &parsed, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_validate(bad, LITERAL("{}"), &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_prompt_forward(bad, LITERAL(SAMPLE_BODY), &buffer, &had_markers, &error));
  CHECK_ERROR(
      SATCHEL_ERR_HANDLE, name,
      satchel_prompt_classify(bad, &head, LITERAL("m"), LITERAL(SAMPLE_BODY), &classified, &error));
  CHECK(bytes == 7 && had_markers == 7 && buffer.data == NULL);
  /* What could not be made is NULL or as it was, never half a handle. */
  CHECK(made == NULL || made == (satchel_request*)not_a_handle);
  CHECK(parsed == NULL || parsed == (satchel_prompt*)not_a_handle);
  CHECK(classified == NULL || classified == (satchel_outcome*)not_a_handle);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_prompt_cache_close(&closing));
    CHECK(closing == bad);
  }
}

static void bad_library(satchel_library* bad) {
  satchel_prompt_cache* opened = NULL;
  satchel_library* closing = bad;
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_library",
              satchel_prompt_cache_open(bad, NULL, NULL, 0, &opened, &error));
  CHECK(opened == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_close(&closing));
    CHECK(closing == bad);
  }
}

static void bad_request(satchel_request* bad) {
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_view out = {NULL, 0};
  satchel_request* closing = bad;
  int32_t plan = 7;
  const char* name = "satchel_request";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_request_body(bad, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_classify(bad, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_classify_start(bad, NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_descriptor(bad, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_no_wait(bad, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_request_response(bad, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_write(bad, LITERAL("{}"), &out, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_end(bad, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_abort(bad, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_request_result_get(bad, &result, &error));
  CHECK(plan == 7 && out.data == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_request_free(&closing));
    CHECK(closing == bad);
  }
}

static void bad_prompt(satchel_prompt* bad) {
  satchel_block block = SATCHEL_BLOCK_INIT;
  satchel_breakpoint breakpoint = SATCHEL_BREAKPOINT_INIT;
  satchel_prompt* closing = bad;
  size_t count = 7;
  const char* name = "satchel_prompt";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_block_count(bad, &count, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_block(bad, 0, &block, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_breakpoint_count(bad, &count, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_prompt_breakpoint(bad, 0, &breakpoint, &error));
  CHECK(count == 7);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_prompt_free(&closing));
    CHECK(closing == bad);
  }
}

static void bad_filter(satchel_usage_filter* bad) {
  satchel_usage_filter* closing = bad;
  satchel_view out = {NULL, 0};
  const char* name = "satchel_usage_filter";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_usage_filter_write(bad, LITERAL("x"), &out, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_usage_filter_end(bad, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_usage_filter_saw(bad, NULL, NULL, NULL, &error));
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_usage_filter_free(&closing));
    CHECK(closing == bad);
  }
}

static void bad_outcome(satchel_outcome* bad) {
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  satchel_entry entry = SATCHEL_ENTRY_INIT;
  satchel_outcome* closing = bad;
  const char* name = "satchel_outcome";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_outcome_summary_get(bad, &summary, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_outcome_entry(bad, 0, &entry, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_outcome_commit(bad, &error));
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_outcome_free(&closing));
    CHECK(closing == bad);
  }
}

static void what_is_no_open_handle_is_refused(void) {
  int i = 0;
  bad_library(NULL);
  bad_cache(NULL);
  bad_request(NULL);
  bad_prompt(NULL);
  bad_filter(NULL);
  bad_outcome(NULL);

  bad_library(closed_library);
  bad_cache(closed_cache);
  bad_request(closed_request);
  bad_prompt(closed_prompt);
  bad_filter(closed_filter);
  bad_outcome(closed_outcome);

  /* open, but of another type */
  bad_library((satchel_library*)outcome);
  bad_cache((satchel_prompt_cache*)library);
  bad_request((satchel_request*)cache);
  bad_prompt((satchel_prompt*)request);
  bad_filter((satchel_usage_filter*)prompt);
  bad_outcome((satchel_outcome*)filter);

  for (i = 0; i < FOREIGN_COUNT; ++i) {
    bad_library(foreign(i));
    bad_cache(foreign(i));
    bad_request(foreign(i));
    bad_prompt(foreign(i));
    bad_filter(foreign(i));
    bad_outcome(foreign(i));
  }
}

static void closing_takes_null(void) {
  satchel_library* no_library = NULL;
  satchel_prompt_cache* no_cache = NULL;
  satchel_request* no_request = NULL;
  satchel_prompt* no_prompt = NULL;
  satchel_usage_filter* no_filter = NULL;
  satchel_outcome* no_outcome = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_close(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&no_library));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&no_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&no_request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&no_prompt));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&no_filter));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&no_outcome));
  satchel_buffer_free(NULL);
  satchel_error_init(NULL);
  satchel_host_init(NULL);
  satchel_principals_init(NULL);
  satchel_models_init(NULL);
  satchel_tokenizer_init(NULL);
  satchel_index_init(NULL);
  satchel_prompt_parts_init(NULL);
  satchel_request_head_init(NULL);
  satchel_forward_init(NULL);
}

static void an_answer_that_is_null_is_refused(void) {
  const uint32_t count = 1;
  const satchel_entry entry = SATCHEL_ENTRY_INIT;
  const int64_t rendered = 1;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_principal_set(NULL, LITERAL("p")));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_model_set(NULL, 1, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT,
               satchel_versions_add(NULL, LITERAL("m"), LITERAL("v"), NULL, 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_counts_set(NULL, &count, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_index_add(NULL, &entry));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_set(NULL, 1, &rendered, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_fail(NULL, SATCHEL_RENDER_FAILED));
}

static void null_results_and_null_with_a_length_are_refused(void) {
  satchel_library* opened_library = NULL;
  satchel_prompt_cache* opened = NULL;
  satchel_request* made = NULL;
  satchel_request* fresh = NULL;
  satchel_prompt* parsed = NULL;
  satchel_usage_filter* new_filter = NULL;
  satchel_outcome* classified = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_view out = {NULL, 0};
  int32_t plan = 0;

  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_open(NULL, NULL, 0, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "config", satchel_open(NULL, NULL, 1, &opened_library, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_prompt_cache_open(library, NULL, NULL, 0, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "config",
              satchel_prompt_cache_open(library, NULL, NULL, 1, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "bytes", satchel_prompt_cache_max_body(cache, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "counts",
              satchel_prompt_cache_index_counts(cache, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_prompt_cache_metrics(cache, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_request_new(cache, &head, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "head", satchel_request_new(cache, NULL, &made, &error));
  CHECK(opened_library == NULL && opened == NULL && made == NULL);

  fresh = new_request();
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "forward",
              satchel_request_body(fresh, LITERAL(SAMPLE_BODY), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body", satchel_request_body(fresh, NULL, 1, &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(fresh, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "plan",
              satchel_request_response(fresh, 200, NULL, 0, NULL, 0, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "content_type",
              satchel_request_response(fresh, 200, NULL, 1, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "content_encoding",
              satchel_request_response(fresh, 200, NULL, 0, NULL, 1, &plan, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(fresh, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_request_write(fresh, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "data", satchel_request_write(fresh, NULL, 1, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_request_end(fresh, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "result", satchel_request_result_get(fresh, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&fresh));

  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body", satchel_prompt_parse(cache, NULL, 1, &parsed, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "count", satchel_prompt_block_count(prompt, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "block", satchel_prompt_block(prompt, 0, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "count", satchel_prompt_breakpoint_count(prompt, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "breakpoint",
              satchel_prompt_breakpoint(prompt, 0, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body", satchel_prompt_validate(cache, NULL, 1, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_prompt_forward(cache, LITERAL(SAMPLE_BODY), NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body",
              satchel_prompt_forward(cache, NULL, 1, &buffer, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "target",
              satchel_query_breakpoint(NULL, 1, NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_query_mark(LITERAL("{}"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body", satchel_query_mark(NULL, 1, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_json_canonical(LITERAL("{}"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "json", satchel_json_canonical(NULL, 1, &buffer, &error));

  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_usage_filter_new(SATCHEL_BODY_SSE, NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "kind", satchel_usage_filter_new(2, NULL, &new_filter, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "kind",
              satchel_usage_filter_new(-1, NULL, &new_filter, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_usage_filter_write(filter, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "data",
              satchel_usage_filter_write(filter, NULL, 1, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out", satchel_usage_filter_end(filter, NULL, &error));

  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "out",
              satchel_prompt_classify(cache, &head, LITERAL("m"), LITERAL("{}"), NULL, &error));
  CHECK_ERROR(
      SATCHEL_ERR_ARGUMENT, "who",
      satchel_prompt_classify(cache, NULL, LITERAL("m"), LITERAL("{}"), &classified, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "model",
              satchel_prompt_classify(cache, &head, NULL, 1, LITERAL("{}"), &classified, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "body",
              satchel_prompt_classify(cache, &head, LITERAL("m"), NULL, 1, &classified, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "summary", satchel_outcome_summary_get(outcome, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "entry", satchel_outcome_entry(outcome, 0, NULL, &error));
  CHECK(parsed == NULL && new_filter == NULL && classified == NULL && buffer.data == NULL);
}

/* Lengths no memory can have, and NULL views inside the head. */
static void impossible_lengths_are_refused(void) {
  satchel_request_head bad = sample_head("p");
  satchel_library* opened = NULL;
  satchel_request* made = NULL;
  satchel_outcome* classified = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "json",
              satchel_json_canonical("{}", SIZE_MAX, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "config", satchel_open(NULL, "{}", SIZE_MAX, &opened, &error));
  bad.method.data = NULL;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "method", satchel_request_new(cache, &bad, &made, &error));
  bad = sample_head("p");
  bad.target.data = NULL;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "target", satchel_request_new(cache, &bad, &made, &error));
  bad = sample_head("p");
  bad.principal.data = NULL;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "principal", satchel_request_new(cache, &bad, &made, &error));
  CHECK_ERROR(
      SATCHEL_ERR_ARGUMENT, "principal",
      satchel_prompt_classify(cache, &bad, LITERAL("m"), LITERAL("{}"), &classified, &error));
  bad = sample_head("");
  bad.api_key.len = 3;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "api_key", satchel_request_new(cache, &bad, &made, &error));
  bad = sample_head("");
  bad.authorization.len = 3;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "authorization",
              satchel_request_new(cache, &bad, &made, &error));
  CHECK(made == NULL && classified == NULL && buffer.data == NULL);
}

static void zero_lengths_are_fine(void) {
  satchel_request_head empty = SATCHEL_REQUEST_HEAD_INIT;
  satchel_request* made = (satchel_request*)not_a_handle;
  satchel_request* fresh = new_request();
  satchel_prompt* parsed = NULL;
  satchel_usage_filter* new_filter = NULL;
  satchel_outcome* classified = NULL;
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_view out = {NULL, 0};
  int32_t plan = 0;
  size_t count = 7;

  CHECK_STATUS(SATCHEL_PASS_THROUGH, satchel_request_new(cache, &empty, &made, &error));
  CHECK(made == NULL);
  CHECK_STATUS(SATCHEL_PASS_THROUGH, satchel_request_body(fresh, NULL, 0, &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&fresh));

  fresh = new_request();
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(fresh, LITERAL("{}"), &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(fresh, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_write(fresh, NULL, 0, &out, &error));
  CHECK(out.len == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(fresh, &out, &error));
  CHECK(out.len == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&fresh));

  CHECK_ERROR(SATCHEL_ERR_JSON, NULL, satchel_prompt_parse(cache, NULL, 0, &parsed, &error));
  CHECK(error.reason == SATCHEL_MARKER_JSON && parsed == NULL);
  CHECK_ERROR(SATCHEL_ERR_JSON, NULL, satchel_prompt_validate(cache, NULL, 0, &error));
  CHECK_ERROR(SATCHEL_ERR_JSON, NULL, satchel_json_canonical(NULL, 0, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_JSON, NULL, satchel_query_mark(NULL, 0, &buffer, &error));
  CHECK_STATUS(SATCHEL_UNCHANGED, satchel_prompt_forward(cache, NULL, 0, &buffer, NULL, &error));
  CHECK_STATUS(SATCHEL_UNCHANGED, satchel_query_breakpoint(NULL, 0, NULL, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL("{}"), &parsed, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_block_count(parsed, &count, &error));
  CHECK(count == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&parsed));

  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_new(SATCHEL_BODY_JSON, NULL, &new_filter, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_write(new_filter, NULL, 0, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_end(new_filter, &out, &error));
  CHECK(out.len == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_saw(new_filter, NULL, NULL, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&new_filter));

  /* Nobody asks, nothing is asked: inactive. */
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_classify(cache, &empty, NULL, 0, NULL, 0, &classified, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(classified, &summary, &error));
  CHECK(summary.active == 0 && summary.entry_count == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_commit(classified, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&classified));
}

/* What is no error fills satchel_error all the same: a host that logs it must not find the last
 * call's there. */
static void answers_are_told_in_the_error_too(void) {
  static const char plain[] = "{\"model\":\"m\",\"messages\":[]}";
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  satchel_request* begun = NULL;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  CHECK_ERROR(SATCHEL_PASS_THROUGH, "PASS_THROUGH",
              satchel_request_new(cache, &head, &begun, &error));
  head = sample_head("p");
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &begun, &error));
  CHECK_ERROR(SATCHEL_PASS_THROUGH, "PASS_THROUGH",
              satchel_request_body(begun, LITERAL("no JSON"), &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&begun));
  CHECK_ERROR(SATCHEL_UNCHANGED, "UNCHANGED",
              satchel_prompt_forward(cache, plain, sizeof plain - 1, &buffer, NULL, &error));
  CHECK_ERROR(SATCHEL_UNCHANGED, "UNCHANGED", satchel_query_mark(LITERAL("[]"), &buffer, &error));
  CHECK_ERROR(SATCHEL_UNCHANGED, "UNCHANGED",
              satchel_query_breakpoint(LITERAL("/x"), NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_REJECTED, "cacheBreakpoint",
              satchel_query_breakpoint(LITERAL("/x?cacheBreakpoint=y"), NULL, NULL, &error));
}

static void an_index_out_of_range_is_refused(void) {
  satchel_block block = SATCHEL_BLOCK_INIT;
  satchel_breakpoint breakpoint = SATCHEL_BREAKPOINT_INIT;
  satchel_entry entry = SATCHEL_ENTRY_INIT;
  const size_t indexes[] = {2, SIZE_MAX};
  size_t i = 0;
  for (i = 0; i < 2; ++i) {
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "index",
                satchel_prompt_block(prompt, indexes[i], &block, &error));
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "index",
                satchel_prompt_breakpoint(prompt, indexes[i], &breakpoint, &error));
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "index",
                satchel_outcome_entry(outcome, indexes[i], &entry, &error));
  }
}

/* Calls that come too early, twice or too late. */
static void the_wrong_moment_is_said(void) {
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request* fresh = new_request();
  satchel_view out = {NULL, 0};
  int32_t plan = 0;
  CHECK_ERROR(SATCHEL_ERR_STATE, "classify", satchel_request_classify(fresh, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "classify_start",
              satchel_request_classify_start(fresh, NULL, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "descriptor", satchel_request_descriptor(fresh, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "response",
              satchel_request_response(fresh, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "write", satchel_request_write(fresh, LITERAL("x"), &out, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "end", satchel_request_end(fresh, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(fresh, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "body",
              satchel_request_body(fresh, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "end", satchel_request_end(fresh, &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(fresh, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "response",
              satchel_request_response(fresh, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(fresh, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "end", satchel_request_end(fresh, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "write", satchel_request_write(fresh, LITERAL("x"), &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_abort(fresh, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&fresh));
}

static void requests_outlive_their_cache_as_errors(void) {
  satchel_prompt_cache* other = NULL;
  satchel_request* orphan = NULL;
  satchel_outcome* left = NULL;
  satchel_prompt* parsed = NULL;
  satchel_block block = SATCHEL_BLOCK_INIT;
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &other, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(other, &head, &orphan, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(other, LITERAL(SAMPLE_BODY), &parsed, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(other, &head, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &left, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&other));
  {
    satchel_forward forward = SATCHEL_FORWARD_INIT;
    CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_prompt_cache",
                satchel_request_body(orphan, LITERAL(SAMPLE_BODY), &forward, &error));
  }
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_prompt_cache", satchel_outcome_commit(left, &error));
  /* What was only read from it stays readable. */
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(left, &summary, &error));
  CHECK(summary.entry_count == 2);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_block(parsed, 0, &block, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&left));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&parsed));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&orphan));
}

int main(void) {
  satchel_error_init(&error);
  CHECK(strcmp(satchel_version(), SATCHEL_VERSION_STRING) == 0);
  CHECK(satchel_abi_version() == SATCHEL_ABI_VERSION);
  CHECK(strcmp(satchel_status_name(SATCHEL_OK), "OK") == 0);
  CHECK(strcmp(satchel_status_name(SATCHEL_NOT_STORED), "NOT_STORED") == 0);
  CHECK(strcmp(satchel_status_name(SATCHEL_ERR_NO_SPACE), "ERR_NO_SPACE") == 0);
  CHECK(strcmp(satchel_status_name(12), "UNKNOWN") == 0);
  CHECK(strcmp(satchel_status_name(INT32_MIN), "UNKNOWN") == 0);
  open_and_close_everything();
  open_everything(&library, &cache, &request, &prompt, &filter, &outcome);
  what_is_no_open_handle_is_refused();
  closing_takes_null();
  an_answer_that_is_null_is_refused();
  null_results_and_null_with_a_length_are_refused();
  impossible_lengths_are_refused();
  zero_lengths_are_fine();
  answers_are_told_in_the_error_too();
  an_index_out_of_range_is_refused();
  the_wrong_moment_is_said();
  requests_outlive_their_cache_as_errors();
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&filter));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(misuse_the_tools() == 0);
  CHECK(misuse_the_cascade() == 0);
  return check_summary();
}
