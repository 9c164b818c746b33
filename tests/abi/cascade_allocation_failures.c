/* Every allocation of the cascade fails once; see allocation_failures.c. What is answered after a
 * failure is right, or says that it is not known; what was started is called back once. */
#include "cascade_account.h"
#include "failing_allocations.h"

static satchel_error failure;
static struct account account;
static satchel_library* library;
static satchel_cascade* cascade;

/* ERR_UNAVAILABLE: what a part said, or what lies in a file, could not be taken. Never because of
 * the time: there is nobody to wait for. */
static int expected(satchel_status status) {
  if (status == SATCHEL_OK || status == SATCHEL_ERR_MEMORY) return 1;
  return status == SATCHEL_ERR_UNAVAILABLE && failure.status == status && failure.reason != 0 &&
         failure.reason != SATCHEL_USAGE_ERROR_TIMEOUT;
}

static int open_cascade(const char* config) {
  account_reset(&account);
  return CALL(account_open(&account, library, config, &cascade, &failure));
}

static void close_cascade(void) {
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  check_that(account.part_releases == 3, "the parts are released", __FILE__, __LINE__);
}

static void opening(void) {
  (void)open_cascade("{\"timeout_ms\":1000,\"transcripts\":{\"depth\":1}}");
  close_cascade();
}

static void opening_with_the_built_in_parts(void) {
  static const satchel_view dirs[] = {{"/nowhere", 8}, {"here", 4}};
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_cascade* opened = NULL;
  CALL(satchel_cascade_open(library, NULL, NULL, 0, &opened, &failure));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&opened));
  parts.cache_dir = dirs[1];
  parts.config_dirs = dirs;
  parts.config_dir_count = 2;
  CALL(satchel_cascade_open(library, &parts, NULL, 0, &opened, &failure));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&opened));
}

static void opening_the_library(void) {
  static struct account own;
  satchel_library* opened = NULL;
  account_reset(&own);
  CALL(account_open_library(&own, &opened, &failure));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&opened));
  check_that(own.host_releases == 1, "the host is released", __FILE__, __LINE__);
}

static int is_right(const satchel_usage_summary* summary) {
  if (summary->error == SATCHEL_USAGE_ERROR_TIMEOUT) return 0;
  if (summary->source == SATCHEL_USAGE_JSONL) return summary->seven_day_tokens.input == 10;
  return summary->source >= SATCHEL_USAGE_ENDPOINT && summary->source <= SATCHEL_USAGE_HEADERS &&
         (summary->five_hour_utilization == 22.5 || summary->five_hour_utilization == 50);
}

static void resolve(void) {
  satchel_usage* usage = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_buffer json = SATCHEL_BUFFER_INIT;
  if (CALL(satchel_cascade_resolve(cascade, &usage, &failure))) {
    if (CALL(satchel_usage_summary_get(usage, &summary, &failure)) && !is_right(&summary)) {
      check_that(0, "the answer is right", __FILE__, __LINE__);
    }
    CALL(satchel_usage_json(usage, &json, &failure));
    satchel_buffer_free(&json);
  }
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
}

static void observe(void) {
  static const satchel_http_header headers[] = {
      {{LITERAL("content-type")}, {LITERAL("application/json")}},
      {{LITERAL("anthropic-ratelimit-unified-5h-utilization")}, {LITERAL("0.5")}},
      {{LITERAL("anthropic-ratelimit-unified-7d-utilization")}, {LITERAL("0.75")}},
      {{LITERAL("anthropic-ratelimit-unified-representative-claim")}, {LITERAL("five_hour")}}};
  CALL(satchel_cascade_observe(cascade, headers, 4, &failure));
}

static void start(void) {
  struct account_news news;
  news_init(&news);
  if (CALL(satchel_cascade_resolve_start(cascade, news_arrive, &news, &failure))) {
    check_that(news_await(&news, 1) &&
                   expected(news.status == SATCHEL_ERR_UNAVAILABLE ? SATCHEL_OK : news.status),
               "one is called back", __FILE__, __LINE__);
  }
}

static void tell(void) {
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  const satchel_status status = satchel_cascade_report(cascade, NULL, &out, &failure);
  if (status != SATCHEL_NOT_HANDLED) CALL(status);
  CALL(satchel_cascade_metrics(cascade, &out, &failure));
  satchel_buffer_free(&out);
}

/* From the endpoint, from the cache, stale, from the transcripts. */
static void resolving(void) {
  if (!open_cascade(NULL)) return;
  resolve();
  resolve();
  account_pass_time(&account, 300);
  account.http_status = 429;
  account.retry_after = "10";
  resolve();
  account_pass_time(&account, 300);
  account.http_status = 401;
  resolve();
  account_pass_time(&account, 300);
  account.token = NULL;
  resolve();
  tell();
  close_cascade();
}

/* The second one is not written at once, but when the cascade is closed. */
static void observing(void) {
  if (!open_cascade(NULL)) return;
  observe();
  observe();
  resolve();
  close_cascade();
}

static void starting(void) {
  if (!open_cascade("{\"stale_while_revalidate\":true}")) return;
  start();
  start();
  account_pass_time(&account, 300);
  resolve();
  close_cascade();
}

/* It starts up, which it does not survive without memory, and keeps the last sixteen errors of a
 * thread, each with texts of its own. */
static void fill_the_memory_of_libcrypto(void) {
  int round = 0;
  opening();
  for (round = 0; round < 16; ++round) fail_each_allocation_of(opening);
}

int main(void) {
  satchel_error_init(&failure);
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &failure));
  fill_the_memory_of_libcrypto();
  survives("opening the library", opening_the_library);
  survives("opening", opening);
  survives("opening, built-in parts", opening_with_the_built_in_parts);
  survives("resolving", resolving);
  survives("observing", observing);
  survives("starting", starting);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
