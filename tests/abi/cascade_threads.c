/* Many threads over one cascade, and cascades closed while threads are inside. The thread sanitizer
 * watches; the checks here are on statuses, on what is answered, and on how often the endpoint was
 * asked. */
#include <sched.h>

#include "cascade_account.h"
#include "check.h"

enum { THREADS = 8, ROUNDS = 60 };

static struct account account;
static satchel_library* library;
static satchel_cascade* cascade;

static int is_right(const satchel_usage_summary* summary) {
  switch (summary->source) {
    case SATCHEL_USAGE_ENDPOINT:
    case SATCHEL_USAGE_CACHE:
      return summary->five_hour_utilization == 22.5 && summary->seven_day_utilization == 33;
    case SATCHEL_USAGE_HEADERS:
      return summary->five_hour_utilization == 50 && summary->seven_day_utilization == 75;
    case SATCHEL_USAGE_STALE:
      return summary->five_hour_utilization == 22.5 || summary->five_hour_utilization == 50;
    default:
      return summary->source == SATCHEL_USAGE_JSONL && summary->seven_day_tokens.input == 10;
  }
}

/* A resolve whose answer must be right; its status. */
static satchel_status resolve(satchel_cascade* asked, int32_t* source) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_usage* usage = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  const satchel_status status = satchel_cascade_resolve(asked, &usage, &error);
  if (status != SATCHEL_OK) return status;
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, &error));
  CHECK(is_right(&summary));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  if (source != NULL) *source = summary.source;
  return SATCHEL_OK;
}

static satchel_status observe(satchel_cascade* seen) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_http_header headers[] = {
      {{LITERAL("anthropic-ratelimit-unified-5h-utilization")}, {LITERAL("0.5")}},
      {{LITERAL("anthropic-ratelimit-unified-7d-utilization")}, {LITERAL("0.75")}}};
  return satchel_cascade_observe(seen, headers, 2, &error);
}

/* ------------------------------------------------------------------ one asks, all have it */

static int from_endpoint;

static void* resolve_once(void* unused) {
  int32_t source = 0;
  (void)unused;
  CHECK_STATUS(SATCHEL_OK, resolve(cascade, &source));
  CHECK(source == SATCHEL_USAGE_ENDPOINT || source == SATCHEL_USAGE_CACHE);
  if (source == SATCHEL_USAGE_ENDPOINT) __atomic_add_fetch(&from_endpoint, 1, __ATOMIC_RELAXED);
  return NULL;
}

static void one_thread_asks_and_the_others_wait_for_it(void) {
  pthread_t threads[THREADS];
  int i = 0;
  for (i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, resolve_once, NULL);
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK(from_endpoint == 1 && account.calls.http == 1 && account.calls.token == 1);
}

/* ------------------------------------------------------------------ a storm over one cascade */

static void* keep_resolving(void* unused) {
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) CHECK_STATUS(SATCHEL_OK, resolve(cascade, NULL));
  return NULL;
}

static void* keep_observing(void* unused) {
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) CHECK_STATUS(SATCHEL_OK, observe(cascade));
  return NULL;
}

static struct account_news news;

static void* keep_starting(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) {
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  }
  return NULL;
}

/* Lets time pass, so that there is something to ask now and then, and looks at the counters. */
static void* pass_time_and_tell(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS; ++round) {
    account_pass_time(&account, 50);
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_metrics(cascade, &out, &error));
    CHECK(sample_holds(out.data, out.len, "satchel_cascade_resolves_total"));
    CHECK_STATUS(SATCHEL_NOT_HANDLED, satchel_cascade_report(cascade, NULL, &out, &error));
    sched_yield();
  }
  satchel_buffer_free(&out);
  return NULL;
}

static void* open_and_close_others(void* unused) {
  satchel_error error = SATCHEL_ERROR_INIT;
  int round = 0;
  (void)unused;
  for (round = 0; round < ROUNDS / 4; ++round) {
    satchel_cascade* own = NULL;
    CHECK_STATUS(SATCHEL_OK, account_open(&account, library, NULL, &own, &error));
    CHECK_STATUS(SATCHEL_OK, resolve(own, NULL));
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&own));
  }
  return NULL;
}

static void a_storm_over_one_cascade(void) {
  static void* (*const jobs[THREADS])(void*) = {
      keep_resolving, keep_resolving, keep_resolving,     keep_observing,
      keep_observing, keep_starting,  pass_time_and_tell, open_and_close_others};
  pthread_t threads[THREADS];
  int i = 0;
  news_init(&news);
  for (i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, jobs[i], NULL);
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK(news_await(&news, ROUNDS));
  CHECK(news.count == ROUNDS && news.status == SATCHEL_OK);
}

/* ------------------------------------------------------------------ one usage, many readers */

static void* read_the_usage(void* shared) {
  satchel_usage* const usage = shared;
  int i = 0;
  for (i = 0; i < 100; ++i) {
    satchel_error error = SATCHEL_ERROR_INIT;
    satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
    satchel_buffer json = SATCHEL_BUFFER_INIT;
    CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, &error));
    CHECK(is_right(&summary));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_json(usage, &json, &error));
    CHECK(json.len > 0 && json.data[json.len - 1] == '}');
    satchel_buffer_free(&json);
  }
  return NULL;
}

static void a_usage_is_read_by_many_threads(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_usage* usage = NULL;
  pthread_t threads[4];
  int i = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &usage, &error));
  for (i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, read_the_usage, usage);
  for (i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
}

/* ------------------------------------------------------------------ closing under them */

struct closing {
  satchel_cascade* cascade;
  struct account_news news;
  int started;
};

static void* until_it_is_closed(void* shared) {
  struct closing* const mine = shared;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  satchel_status status = SATCHEL_OK;
  while (status >= 0) {
    status = resolve(mine->cascade, NULL);
    if (status >= 0) status = observe(mine->cascade);
    if (status >= 0) status = satchel_cascade_metrics(mine->cascade, &out, &error);
    if (status >= 0) {
      status = satchel_cascade_resolve_start(mine->cascade, news_arrive, &mine->news, &error);
      if (status == SATCHEL_OK) __atomic_add_fetch(&mine->started, 1, __ATOMIC_RELAXED);
      if (status == SATCHEL_ERR_LIMIT) status = SATCHEL_OK;
    }
    account_pass_time(&account, 5);
  }
  CHECK_STATUS(SATCHEL_ERR_HANDLE, status);
  satchel_buffer_free(&out);
  return NULL;
}

static void* close_a_copy(void* handle) {
  satchel_cascade* mine = handle;
  const satchel_status status = satchel_cascade_close(&mine);
  CHECK(status == SATCHEL_OK || status == SATCHEL_ERR_HANDLE);
  return (void*)(status == SATCHEL_OK ? 1L : 0L);
}

static void a_cascade_is_closed_while_threads_are_inside(void) {
  int round = 0;
  for (round = 0; round < 10; ++round) {
    const int released = account.part_releases;
    struct closing closing;
    pthread_t users[4];
    pthread_t closers[2];
    satchel_error error = SATCHEL_ERROR_INIT;
    void* closed[2] = {NULL, NULL};
    int i = 0;
    closing.started = 0;
    news_init(&closing.news);
    CHECK_STATUS(
        SATCHEL_OK,
        account_open(&account, library, round % 2 == 0 ? NULL : "{\"stale_while_revalidate\":true}",
                     &closing.cascade, &error));
    for (i = 0; i < 4; ++i) pthread_create(&users[i], NULL, until_it_is_closed, &closing);
    for (i = 0; i < 50 * round; ++i) sched_yield();
    for (i = 0; i < 2; ++i) pthread_create(&closers[i], NULL, close_a_copy, closing.cascade);
    for (i = 0; i < 2; ++i) pthread_join(closers[i], &closed[i]);
    CHECK((closed[0] != NULL) + (closed[1] != NULL) == 1);
    for (i = 0; i < 4; ++i) pthread_join(users[i], NULL);
    /* Nobody was forgotten, nobody called back twice. */
    CHECK(closing.news.count == closing.started);
    CHECK(account.part_releases == released + 3);
  }
}

int main(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               account_open(&account, library, "{\"timeout_ms\":60000}", &cascade, &error));
  one_thread_asks_and_the_others_wait_for_it();
  a_storm_over_one_cascade();
  a_usage_is_read_by_many_threads();
  a_cascade_is_closed_while_threads_are_inside();
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(account.host_releases == 1 && account.secrets_told == 0);
  return check_summary();
}
