/* The cascade's part of arguments.c. */
#include <stdint.h>

#include "cascade_account.h"
#include "check.h"

int misuse_the_cascade(void);

static satchel_error error;
static struct account account;
static satchel_library* library;
static satchel_cascade* cascade;
static satchel_usage* usage;
static satchel_cascade* closed_cascade;
static satchel_usage* freed_usage;

static char not_a_handle[64];

static void never_done(void* user, satchel_status status, satchel_usage* given,
                       const satchel_error* why) {
  (void)user;
  (void)status;
  (void)given;
  (void)why;
  CHECK(!"called back though the call returned an error");
}

static void open_everything(satchel_library** a, satchel_cascade** b, satchel_usage** c) {
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, a, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&account, *a, NULL, b, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(*b, c, &error));
}

static void open_and_close_everything(void) {
  satchel_library* a = NULL;
  satchel_cascade* b = NULL;
  satchel_usage* c = NULL;
  open_everything(&a, &b, &c);
  closed_cascade = b;
  freed_usage = c;
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&c));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&b));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&a));
  CHECK(a == NULL && b == NULL && c == NULL);
}

/* ------------------------------------------------------------------ what is no open handle */

static void bad_cascade(satchel_cascade* bad) {
  satchel_usage* found = NULL;
  satchel_cascade* closing = bad;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  const char* name = "satchel_cascade";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_cascade_resolve(bad, &found, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_cascade_resolve_start(bad, never_done, NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_cascade_observe(bad, NULL, 0, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_cascade_report(bad, NULL, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_cascade_metrics(bad, &buffer, &error));
  CHECK(found == NULL && buffer.data == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_cascade_close(&closing));
    CHECK(closing == bad);
  }
}

static void bad_usage(satchel_usage* bad) {
  satchel_usage* freeing = bad;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  const char* name = "satchel_usage";
  summary.age = 7;
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_usage_summary_get(bad, &summary, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_usage_json(bad, &buffer, &error));
  CHECK(summary.age == 7 && buffer.data == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_usage_free(&freeing));
    CHECK(freeing == bad);
  }
}

static void what_is_no_open_handle_is_refused(void) {
  satchel_cascade* opened = NULL;
  void* const bad[] = {NULL, not_a_handle, not_a_handle + 5, (void*)(uintptr_t)5,
                       (void*)UINTPTR_MAX};
  size_t i = 0;
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_library",
              satchel_cascade_open((satchel_library*)cascade, NULL, NULL, 0, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_library",
              satchel_cascade_open(NULL, NULL, NULL, 0, &opened, &error));
  CHECK(opened == NULL);
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    bad_cascade(bad[i]);
    bad_usage(bad[i]);
  }
  bad_cascade(closed_cascade);
  bad_usage(freed_usage);
  /* open, but of another type */
  bad_cascade((satchel_cascade*)library);
  bad_cascade((satchel_cascade*)usage);
  bad_usage((satchel_usage*)cascade);
}

static void closing_takes_null(void) {
  satchel_cascade* no_cascade = NULL;
  satchel_usage* no_usage = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&no_cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&no_usage));
  satchel_usage_files_init(NULL);
  satchel_credentials_init(NULL);
  satchel_transcripts_init(NULL);
  satchel_cascade_parts_init(NULL);
  satchel_report_range_init(NULL);
}

/* ------------------------------------------------------------------ the answers of callbacks */

static void an_answer_that_is_null_is_refused(void) {
  const satchel_tokens tokens = {1, 2, 3, 4};
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  CHECK_STATUS(refused, satchel_http_status_set(NULL, 200));
  CHECK_STATUS(refused, satchel_http_header_add(NULL, "n", 1, "v", 1));
  CHECK_STATUS(refused, satchel_http_body_add(NULL, "x", 1));
  CHECK_STATUS(refused, satchel_file_set(NULL, "x", 1, 0));
  CHECK_STATUS(refused, satchel_token_set(NULL, "x", 1));
  CHECK_STATUS(refused, satchel_token_fail(NULL, SATCHEL_USAGE_ERROR_EMPTY_TOKEN));
  CHECK_STATUS(refused, satchel_transcripts_five_hour_set(NULL, 0, &tokens));
  CHECK_STATUS(refused, satchel_transcripts_seven_day_set(NULL, &tokens));
}

static int answers_tried;

/* Everything that an answer does not take; then what it does. */
static satchel_status http_by_trial(void* user, const satchel_http_request* request,
                                    satchel_http_answer* answer) {
  static const int32_t bad[] = {0, -200, 99, 1000, INT32_MAX, INT32_MIN};
  size_t i = 0;
  (void)request;
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_status_set(answer, bad[i]));
  }
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_header_add(answer, NULL, 1, "v", 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_header_add(answer, "n", 1, NULL, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_header_add(answer, "n", SIZE_MAX, "v", 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_body_add(answer, NULL, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_http_body_add(answer, "x", SIZE_MAX));
  CHECK_STATUS(SATCHEL_OK, satchel_http_status_set(answer, 100));
  CHECK_STATUS(SATCHEL_OK, satchel_http_status_set(answer, 999));
  CHECK_STATUS(SATCHEL_OK, satchel_http_header_add(answer, NULL, 0, NULL, 0));
  CHECK_STATUS(SATCHEL_OK, satchel_http_body_add(answer, NULL, 0));
  ++answers_tried;
  return account_http(user, request, answer);
}

static satchel_status read_by_trial(void* user, int32_t file, satchel_file_answer* answer) {
  CHECK(file >= SATCHEL_FILE_USAGE && file <= SATCHEL_FILE_OBSERVED);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_file_set(answer, NULL, 1, 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_file_set(answer, "x", SIZE_MAX, 0));
  ++answers_tried;
  return account_read(user, file, answer);
}

static satchel_status token_by_trial(void* user, satchel_token_answer* answer) {
  static const int32_t bad[] = {SATCHEL_USAGE_ERROR_NONE,
                                SATCHEL_USAGE_ERROR_TIMEOUT,
                                SATCHEL_USAGE_ERROR_DIRECTORY_MISSING,
                                -1,
                                99,
                                INT32_MIN};
  size_t i = 0;
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_token_fail(answer, bad[i]));
  }
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_token_set(answer, NULL, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_token_set(answer, "x", SIZE_MAX));
  ++answers_tried;
  return account_token(user, answer);
}

static satchel_status windows_by_trial(void* user, int64_t now,
                                       satchel_transcripts_answer* answer) {
  CHECK(now == __atomic_load_n(&account.now, __ATOMIC_RELAXED));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_transcripts_five_hour_set(answer, now, NULL));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_transcripts_seven_day_set(answer, NULL));
  ++answers_tried;
  return account_windows(user, now, answer);
}

/* What an answer refuses leaves it as it was: the rest of the callback makes a good one. */
static void answers_take_what_is_right_only(void) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_library* own = NULL;
  satchel_cascade* asked = NULL;
  satchel_usage* found = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  struct account* const trial = &account;
  account_reset(trial);
  host.user = trial;
  host.clock = account_clock;
  host.http = http_by_trial;
  trial->files_table.read = read_by_trial;
  trial->credentials_table.token = token_by_trial;
  trial->transcripts_table.windows = windows_by_trial;
  answers_tried = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_open(&host, NULL, 0, &own, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(trial, own, NULL, &asked, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(asked, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(found, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT && summary.five_hour_utilization == 22.5);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&found));
  account_pass_time(trial, 300);
  trial->http_status = 403;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(asked, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(found, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_JSONL);
  CHECK(summary.error == SATCHEL_USAGE_ERROR_FORBIDDEN && summary.seven_day_tokens.input == 10);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&found));
  CHECK(answers_tried >= 8);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&asked));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&own));
}

/* ------------------------------------------------------------------ everything else */

static void null_results_are_refused(void) {
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  CHECK_ERROR(refused, "out", satchel_cascade_open(library, NULL, NULL, 0, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_cascade_resolve(cascade, NULL, &error));
  CHECK_ERROR(refused, "done", satchel_cascade_resolve_start(cascade, NULL, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_cascade_report(cascade, NULL, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_cascade_metrics(cascade, NULL, &error));
  CHECK_ERROR(refused, "summary", satchel_usage_summary_get(usage, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_usage_json(usage, NULL, &error));
  CHECK_STATUS(refused, satchel_cascade_resolve(cascade, NULL, NULL));
}

static void null_with_a_length_is_refused(void) {
  satchel_cascade* opened = NULL;
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_view dirs[2] = {{"/tmp", 4}, {NULL, 1}};
  satchel_http_header header = {{NULL, 1}, {"0.5", 3}};
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  CHECK_ERROR(refused, "config", satchel_cascade_open(library, NULL, NULL, 1, &opened, &error));
  CHECK_ERROR(refused, "config",
              satchel_cascade_open(library, NULL, "{}", SIZE_MAX, &opened, &error));
  parts.cache_dir.len = 1;
  CHECK_ERROR(refused, "cache_dir",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  parts.cache_dir.len = 0;
  parts.config_dir_count = 1;
  CHECK_ERROR(refused, "config_dirs",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  parts.config_dirs = dirs;
  parts.config_dir_count = 2;
  CHECK_ERROR(refused, "config_dirs",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  parts.config_dir_count = SIZE_MAX;
  CHECK_ERROR(refused, "config_dirs",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  parts.config_dir_count = 2;
  dirs[1].len = 0; /* an empty path is none */
  CHECK_ERROR(refused, "config_dirs",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  CHECK(opened == NULL);

  CHECK_ERROR(refused, "headers", satchel_cascade_observe(cascade, NULL, 1, &error));
  CHECK_ERROR(refused, "headers", satchel_cascade_observe(cascade, &header, SIZE_MAX, &error));
  CHECK_ERROR(refused, "headers.name", satchel_cascade_observe(cascade, &header, 1, &error));
  header.name = sample_view("anthropic-ratelimit-unified-5h-utilization");
  header.value.data = NULL;
  CHECK_ERROR(refused, "headers.value", satchel_cascade_observe(cascade, &header, 1, &error));
}

/* The operating system would stop at the NUL and look at another file. */
static void a_path_with_a_nul_is_refused(void) {
  satchel_cascade* opened = NULL;
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  const satchel_view dirs[2] = {{"/tmp", 4}, {"/tmp/a\0b", 8}};
  parts.cache_dir = dirs[1];
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "NUL",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  CHECK(strstr(error.message, "cache_dir") != NULL);
  parts.cache_dir = dirs[0];
  parts.config_dirs = dirs;
  parts.config_dir_count = 2;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "NUL",
              satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  CHECK(strstr(error.message, "config_dirs") != NULL && opened == NULL);
}

/* A table is whole, or not there; each was taken all the same, and is released. */
static void half_a_table_is_refused(void) {
  struct account half;
  satchel_cascade* opened = (satchel_cascade*)not_a_handle;
  int which = 0;
  for (which = 0; which < 5; ++which) {
    account_reset(&half);
    if (which == 0) half.files_table.read = NULL;
    if (which == 1) half.files_table.write = NULL;
    if (which == 2) half.files_table.remove = NULL;
    if (which == 3) half.credentials_table.token = NULL;
    if (which == 4) half.transcripts_table.windows = NULL;
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT,
                which < 3    ? "files"
                : which == 3 ? "credentials"
                             : "transcripts",
                account_open(&half, library, NULL, &opened, &error));
    CHECK(half.part_releases == 3);
  }
}

static void numbers_out_of_range_are_refused(void) {
  static const int32_t bad[] = {1, -1, 899, 901, 19 * 3600, -19 * 3600, INT32_MAX, INT32_MIN};
  static const int32_t good[] = {0, 900, -900, 20700, 14 * 3600, -12 * 3600};
  satchel_report_range range = SATCHEL_REPORT_RANGE_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  size_t i = 0;
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    range.utc_offset_s = bad[i];
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "utc_offset_s",
                satchel_cascade_report(cascade, &range, &buffer, &error));
  }
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    range.utc_offset_s = good[i];
    CHECK_STATUS(SATCHEL_NOT_HANDLED, satchel_cascade_report(cascade, &range, &buffer, &error));
  }
  CHECK(buffer.data == NULL);
}

static void zero_lengths_are_fine(void) {
  static const satchel_view none = {NULL, 0};
  const satchel_http_header nothing = {{NULL, 0}, {NULL, 0}};
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_cascade* opened = NULL;
  CHECK_STATUS(SATCHEL_UNCHANGED, satchel_cascade_observe(cascade, NULL, 0, &error));
  CHECK_STATUS(SATCHEL_UNCHANGED, satchel_cascade_observe(cascade, &nothing, 1, NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_open(library, NULL, "", 0, &opened, NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&opened));
  parts.config_dirs = &none; /* no directory at all, also not those of the environment */
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_open(library, &parts, NULL, 0, &opened, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&opened));
}

int misuse_the_cascade(void) {
  satchel_error_init(&error);
  CHECK(strcmp(satchel_usage_error_name(INT32_MIN), "UNKNOWN") == 0);
  CHECK(strcmp(satchel_usage_error_name(INT32_MAX), "UNKNOWN") == 0);
  open_and_close_everything();
  open_everything(&library, &cascade, &usage);
  what_is_no_open_handle_is_refused();
  closing_takes_null();
  an_answer_that_is_null_is_refused();
  null_results_are_refused();
  null_with_a_length_is_refused();
  a_path_with_a_nul_is_refused();
  half_a_table_is_refused();
  numbers_out_of_range_are_refused();
  zero_lengths_are_fine();
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  answers_take_what_is_right_only();
  return check_summary();
}
