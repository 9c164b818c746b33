/* The host's parts that fail, that ask for the built-in, that answer nonsense, and that call back
 * in. A request goes on whatever they do; what calls back in where it may not gets a status. */
#include <stdint.h>
#include <unistd.h>

#include "check.h"
#include "sample.h"

static satchel_error error;

/* What the callbacks answer, and what they were asked. */
static struct {
  satchel_status clock;
  satchel_status principals;
  satchel_status models;
  satchel_status versions;
  satchel_status tokenize;
  int32_t enabled;
  size_t counts; /* how many are given; SIZE_MAX: as many as asked for */
  const char* versions_of;
  int releases;
  int calls;
  void (*inside)(void); /* runs inside the callbacks of the kind `where` */
  char where;
} script;

static char log_text[8192];

static void come_in(char kind) {
  void (*const inside)(void) = script.inside;
  ++script.calls;
  if (inside == NULL || script.where != kind) return;
  script.inside = NULL; /* not again from within */
  inside();
}

static satchel_status answer_clock(void* user, int64_t* ns) {
  (void)user;
  come_in('c');
  *ns = 5000000000;
  return script.clock;
}

static void take_line(void* user, int32_t level, const char* component, size_t component_len,
                      const char* message, size_t message_len) {
  const size_t used = strlen(log_text);
  (void)user;
  snprintf(log_text + used, sizeof log_text - used, "%d %.*s: %.*s\n", (int)level,
           (int)component_len, component, (int)message_len, message);
  come_in('l');
}

static satchel_status answer_principal(void* user, const char* api_key, size_t api_key_len,
                                       satchel_principal_answer* answer) {
  (void)user;
  CHECK(api_key_len == 4 && memcmp(api_key, "sk-1", 4) == 0);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_principal_set(answer, "", 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_principal_set(answer, NULL, 1));
  come_in('p');
  if (script.principals != SATCHEL_OK) return script.principals;
  return satchel_principal_set(answer, LITERAL("somebody"));
}

static satchel_status answer_model(void* user, const char* model, size_t model_len,
                                   satchel_model_answer* answer) {
  (void)user;
  CHECK(model_len == 1 && *model == 'm');
  come_in('m');
  if (script.models != SATCHEL_OK) return script.models;
  return satchel_model_set(answer, script.enabled, 1);
}

static satchel_status answer_versions(void* user, const char* model, size_t model_len,
                                      satchel_versions_answer* answer) {
  (void)user;
  (void)model;
  (void)model_len;
  come_in('v');
  if (script.versions != SATCHEL_OK) return script.versions;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_versions_add(answer, NULL, 1, "v", 1, NULL, 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_versions_add(answer, "m", 1, NULL, 1, NULL, 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_versions_add(answer, "m", 1, "v", 1, NULL, 1));
  return satchel_versions_add(answer, script.versions_of, strlen(script.versions_of), "v", 1, NULL,
                              0);
}

static satchel_status answer_counts(void* user, const char* model, size_t model_len,
                                    const satchel_view* segments, size_t segment_count,
                                    satchel_counts_answer* answer) {
  static const uint32_t cumulative[] = {10, 20, 30, 40};
  (void)user;
  (void)model;
  (void)model_len;
  CHECK(segment_count == 2 && segments[0].len == 64 && segments[1].len == 64);
  come_in('t');
  if (script.tokenize != SATCHEL_OK) return script.tokenize;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_counts_set(answer, NULL, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_counts_set(answer, cumulative, SIZE_MAX));
  return satchel_counts_set(answer, cumulative,
                            script.counts == SIZE_MAX ? segment_count : script.counts);
}

static void count_release(void* user) {
  (void)user;
  ++script.releases;
}

static satchel_library* library;
static satchel_prompt_cache* cache;

static void open_scripted(void) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
  satchel_models models = SATCHEL_MODELS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  memset(&script, 0, sizeof script);
  script.enabled = 1;
  script.counts = SIZE_MAX;
  script.versions_of = "m";
  log_text[0] = '\0';
  host.release = principals.release = models.release = tokenizer.release = count_release;
  host.clock = host.monotonic = answer_clock;
  host.log = take_line;
  principals.resolve = answer_principal;
  models.resolve = answer_model;
  tokenizer.versions = answer_versions;
  tokenizer.tokenize = answer_counts;
  parts.principals = &principals;
  parts.models = &models;
  parts.tokenizer = &tokenizer;
  CHECK_STATUS(SATCHEL_OK, satchel_open(&host, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, &parts, LITERAL(SAMPLE_CONFIG), &cache, &error));
}

static void close_scripted(void) {
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(script.releases == 3);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(script.releases == 4);
}

/* The sample as customer "sk-1", so that the principal is asked for. */
static satchel_request* request;
static satchel_request_result ask(void) {
  satchel_request_head head = sample_head("");
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_view out = {NULL, 0};
  int32_t plan = 0;
  head.api_key = sample_view("sk-1");
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify(request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(request, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_write(request, LITERAL(SAMPLE_ANSWER), &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(request, &out, &error));
  CHECK(sample_holds(out.data, out.len, "\"prompt_tokens\":100"));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(request, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  return result;
}

#define NOTHING_COUNTED(result)                                                         \
  CHECK((result).read == 0 && (result).creation_5m == 0 && (result).creation_1h == 0 && \
        (result).commit == SATCHEL_COMMIT_NOTHING)

static void all_is_well(void) {
  satchel_request_result result;
  open_scripted();
  result = ask();
  CHECK(result.active == 1 && result.degraded == 0);
  CHECK(result.creation_5m == 10 && result.creation_1h == 10);
  CHECK(log_text[0] == '\0');
  close_scripted();
}

/* Statuses that mean failure: errors of ours, numbers nobody knows, answers that are none here. */
static const satchel_status failures[] = {SATCHEL_ERR_CALLBACK, SATCHEL_ERR_IO, -99, 77,
                                          SATCHEL_REJECTED};

static void a_callback_that_fails_is_logged_and_nothing_is_cached(void) {
  satchel_status* const answers[] = {&script.principals, &script.models, &script.versions,
                                     &script.tokenize};
  const char* const named[] = {"principals.resolve", "models.resolve", "tokenizer.versions",
                               "tokenizer.tokenize"};
  size_t which = 0;
  for (which = 0; which < 4; ++which) {
    size_t i = 0;
    for (i = 0; i < sizeof failures / sizeof failures[0]; ++i) {
      satchel_request_result result;
      open_scripted();
      *answers[which] = failures[i];
      result = ask();
      NOTHING_COUNTED(result);
      /* Who is asking and for what is not known: inactive. Known, but not counted: degraded. */
      CHECK(result.active == (which >= 2) && result.degraded == (which >= 2));
      CHECK(strstr(log_text, named[which]) != NULL);
      CHECK(strstr(log_text, satchel_status_name(failures[i])) != NULL);
      /* Not remembered: the next request asks again and is cached. */
      *answers[which] = SATCHEL_OK;
      result = ask();
      CHECK(result.active == 1 && result.degraded == 0 && result.creation_5m == 10);
      close_scripted();
    }
  }
}

static void not_handled_means_the_built_in(void) {
  satchel_request_result result;
  open_scripted();
  script.principals = script.models = script.versions = script.tokenize = SATCHEL_NOT_HANDLED;
  script.clock = SATCHEL_NOT_HANDLED;
  result = ask();
  CHECK(result.active == 1 && result.degraded == 0);
  CHECK(result.creation_5m == 16 && result.creation_1h == 16);
  CHECK(log_text[0] == '\0');
  close_scripted();
}

static void a_clock_that_fails_is_replaced_and_said_once(void) {
  satchel_request_result result;
  const char* first = NULL;
  open_scripted();
  script.clock = SATCHEL_ERR_IO;
  result = ask();
  result = ask();
  CHECK(result.active == 1 && result.read == 20);
  first = strstr(log_text, "clock");
  CHECK(first != NULL && strstr(log_text, "ERR_IO") != NULL);
  CHECK(first != NULL && strchr(first, '\n') != NULL && strchr(first, '\n')[1] == '\0');
  close_scripted();
}

static void answers_that_make_no_sense_cache_nothing(void) {
  satchel_request_result result;
  open_scripted();
  script.enabled = 0;
  result = ask();
  CHECK(result.active == 0 && result.degraded == 0);
  NOTHING_COUNTED(result);
  close_scripted();

  open_scripted();
  script.versions_of = "another";
  result = ask();
  CHECK(result.active == 1 && result.degraded == 0);
  NOTHING_COUNTED(result);
  close_scripted();

  open_scripted();
  script.counts = 0;
  result = ask();
  CHECK(result.active == 1 && result.degraded == 1);
  NOTHING_COUNTED(result);
  script.counts = 3;
  result = ask();
  CHECK(result.degraded == 1);
  NOTHING_COUNTED(result);
  close_scripted();
}

/* ------------------------------------------------------------------ calling back in */

static int came_in;

static void use_the_same_request(void) {
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_request* const same = request;
  satchel_view out = {NULL, 0};
  int32_t plan = 0;
  ++came_in;
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request",
              satchel_request_body(request, LITERAL("{}"), &forward, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request", satchel_request_classify(request, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request",
              satchel_request_response(request, 200, NULL, 0, NULL, 0, &plan, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request",
              satchel_request_write(request, LITERAL("x"), &out, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request", satchel_request_end(request, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request", satchel_request_abort(request, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_request",
              satchel_request_result_get(request, &result, &error));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_request_free(&request));
  CHECK(request == same);
}

static void close_the_cache(void) {
  satchel_prompt_cache* const same = cache;
  ++came_in;
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_prompt_cache_close(&cache));
  CHECK(cache == same);
}

static void close_the_library(void) {
  satchel_library* const same = library;
  ++came_in;
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_close(&library));
  CHECK(library == same);
}

/* Other handles are free to use: a request of its own on this cache, and all of another library. */
static void use_other_handles(void) {
  satchel_library* another = NULL;
  satchel_prompt_cache* another_cache = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  ++came_in;
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "somebody else", 1, 9, &result, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 10000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_json_canonical(LITERAL("{}"), &buffer, &error));
  satchel_buffer_free(&buffer);
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &another, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(another, NULL, LITERAL(SAMPLE_CONFIG),
                                                     &another_cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(another_cache, "p", 0, 9, &result, NULL, &error));
  CHECK(result.creation_5m == 16);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&another_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&another));
}

static void call_back_in(char where, void (*inside)(void)) {
  satchel_request_result result;
  open_scripted();
  script.where = where;
  script.inside = inside;
  if (where == 'l') script.clock = SATCHEL_ERR_IO; /* so that there is a line to log */
  came_in = 0;
  result = ask();
  if (!CHECK(came_in == 1)) fprintf(stderr, "  in a callback of kind %c\n", where);
  CHECK(result.active == 1 && result.degraded == 0 && result.creation_5m == 10);
  close_scripted();
}

static void what_calls_back_in_gets_a_status(void) {
  static const char kinds[] = "cpmvtl";
  size_t i = 0;
  for (i = 0; kinds[i] != '\0'; ++i) {
    call_back_in(kinds[i], use_the_same_request);
    call_back_in(kinds[i], close_the_cache);
    call_back_in(kinds[i], use_other_handles);
  }
  call_back_in('c', close_the_library);
  call_back_in('l', close_the_library);
}

/* ------------------------------------------------------------------ how long tables live */

static satchel_library* closed_in_release;

static void release_uses_handles(void* user) {
  satchel_library* another = NULL;
  (void)user;
  ++script.releases;
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_close(&closed_in_release));
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &another, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&another));
}

static void release_may_use_other_handles(void) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_library* opened = NULL;
  host.release = release_uses_handles;
  script.releases = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_open(&host, NULL, 0, &opened, &error));
  closed_in_release = opened;
  CHECK_STATUS(SATCHEL_OK, satchel_close(&opened));
  CHECK(script.releases == 1);
}

static void tables_are_released_when_opening_fails(void) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
  satchel_models models = SATCHEL_MODELS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_library* opened = NULL;
  satchel_prompt_cache* made = NULL;
  host.release = principals.release = models.release = tokenizer.release = count_release;
  parts.principals = &principals;
  parts.models = &models;
  parts.tokenizer = &tokenizer;

  script.releases = 0;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(&host, NULL, 0, NULL, &error));
  CHECK(script.releases == 1);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(&host, NULL, 1, &opened, &error));
  CHECK(script.releases == 2);

  script.releases = 0;
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_prompt_cache_open(NULL, &parts, NULL, 0, &made, &error));
  CHECK(script.releases == 3);
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &opened, &error));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT,
               satchel_prompt_cache_open(opened, &parts, NULL, 0, NULL, &error));
  CHECK(script.releases == 6);
  tokenizer.versions = answer_versions;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "tokenizer",
              satchel_prompt_cache_open(opened, &parts, NULL, 0, &made, &error));
  CHECK(script.releases == 9 && made == NULL);
  /* One table of a wrong size cannot be read; the others are released all the same. */
  models.struct_size = 0;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "models",
              satchel_prompt_cache_open(opened, &parts, NULL, 0, &made, &error));
  CHECK(script.releases == 11);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&opened));
}

/* Requests that are still open keep nothing of the host's alive and nothing of theirs running. */
static void a_request_left_open_does_not_hold_the_host(void) {
  satchel_request_head head = sample_head("p");
  satchel_request* left = NULL;
  open_scripted();
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &left, &error));
  close_scripted();
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_request_classify(left, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&left));
  CHECK(script.releases == 4);
}

/* Closing writes what was handed over, also while another request of the cache is open. */
static void closing_writes_while_a_request_is_open(void) {
  char* directory = sample_directory();
  const satchel_request_head head = sample_head("p");
  satchel_request* left = NULL;
  satchel_library* opened = NULL;
  satchel_prompt_cache* first = NULL;
  satchel_prompt_cache* second = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &opened, &error));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(opened, directory, &first, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(first, &head, &left, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(first, "p", 0, 99, &result, NULL, &error));
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&first));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(opened, directory, &second, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(second, "p", 0, 99, &result, NULL, &error));
  CHECK(result.read == 32);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&left));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&second));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&opened));
  sample_remove_directory(directory);
}

int main(void) {
  satchel_error_init(&error);
  all_is_well();
  a_callback_that_fails_is_logged_and_nothing_is_cached();
  not_handled_means_the_built_in();
  a_clock_that_fails_is_replaced_and_said_once();
  answers_that_make_no_sense_cache_nothing();
  what_calls_back_in_gets_a_status();
  release_may_use_other_handles();
  tables_are_released_when_opening_fails();
  a_request_left_open_does_not_hold_the_host();
  closing_writes_while_a_request_is_open();
  return check_summary();
}
