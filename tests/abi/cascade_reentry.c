/* What calls back into a cascade from its callbacks, who is called back and how often, and how long
 * the host's tables live. */
#include <sched.h>

#include "cascade_outcome.h"

/* ------------------------------------------------------------------ calling back in */

static int came_in;
static int on_a_thread_of_the_library;
static satchel_cascade* other_cascade;
static satchel_usage* held;

static void never_done(void* user, satchel_status status, satchel_usage* usage,
                       const satchel_error* why) {
  (void)user;
  (void)status;
  (void)usage;
  (void)why;
  CHECK(!"called back though the call returned an error");
}

static void every_call_is_busy(satchel_cascade* busy) {
  satchel_error own = SATCHEL_ERROR_INIT;
  satchel_usage* usage = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_cascade* closing = busy;
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_resolve(busy, &usage, &own));
  CHECK(strstr(own.message, "satchel_cascade") != NULL);
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_resolve_start(busy, never_done, NULL, &own));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_observe(busy, NULL, 0, &own));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_report(busy, NULL, &buffer, &own));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_metrics(busy, &buffer, &own));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_cascade_close(&closing));
  CHECK(closing == busy && usage == NULL && buffer.data == NULL);
}

static void use_the_same_cascade(void) {
  satchel_library* closing = library;
  if (__atomic_fetch_add(&came_in, 1, __ATOMIC_RELAXED) != 0) return;
  every_call_is_busy(cascade);
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_close(&closing));
  CHECK(closing == library);
}

/* Another cascade is free to use, unless the thread is the library's own; what a resolve found is
 * nothing but data. */
static void use_other_handles(void) {
  satchel_error own = SATCHEL_ERROR_INIT;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_usage* usage = NULL;
  if (__atomic_fetch_add(&came_in, 1, __ATOMIC_RELAXED) != 0) return;
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(held, &summary, &own));
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT);
  if (on_a_thread_of_the_library) {
    every_call_is_busy(other_cascade);
  } else {
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(other_cascade, &usage, &own));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
    CHECK_STATUS(SATCHEL_UNCHANGED, satchel_cascade_observe(other_cascade, NULL, 0, &own));
  }
}

/* Makes the cascade come to the part of this letter, whose callback does `inside`. */
static void call_back_in(char where, void (*inside)(void)) {
  static struct account other;
  satchel_library* other_library = NULL;
  satchel_http_header header = {{NULL, 0}, {"0.5", 3}};
  struct account_news news;
  news_init(&news);
  header.name = sample_view("anthropic-ratelimit-unified-5h-utilization");
  account_reset(&other);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&other, &other_library, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&other, other_library, NULL, &other_cascade, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(other_cascade, &held, &error));
  begin();
  open_it();
  if (where == 'd') account.http_status = 401;
  if (where == 'j') account.token = NULL;
  if (where == 'l') account.http_status = 500;
  account.where = where;
  account.instead = SATCHEL_NOT_HANDLED;
  account.inside = inside;
  came_in = 0;
  if (on_a_thread_of_the_library) {
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
    CHECK(news_await(&news, 1) && news.count == 1);
  } else {
    (void)ask();
    if (where == 'r' || where == 'w' || where == 'c') {
      if (!CHECK(came_in > 0)) fprintf(stderr, "  in a callback of kind %c\n", where);
      came_in = 0;
      CHECK_STATUS(SATCHEL_OK, satchel_cascade_observe(cascade, &header, 1, &error));
    }
  }
  if (!CHECK(came_in > 0)) fprintf(stderr, "  in a callback of kind %c\n", where);
  account.where = 0;
  account.http_status = 200;
  account.token = ACCOUNT_TOKEN;
  account_pass_time(&account, 100000);
  CHECK(ask().source != 0);
  close_it();
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&held));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&other_cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&other_library));
}

static void what_calls_back_in_gets_a_status(void) {
  static const char letters[] = "rwdtjhcl";
  size_t i = 0;
  for (on_a_thread_of_the_library = 0; on_a_thread_of_the_library < 2;
       ++on_a_thread_of_the_library) {
    for (i = 0; letters[i] != '\0'; ++i) {
      call_back_in(letters[i], use_the_same_cascade);
      call_back_in(letters[i], use_other_handles);
    }
  }
}

/* ------------------------------------------------------------------ being called back */

/* A done that tries everything that it may not, and one thing that it may. */
static void a_curious_done(void* user, satchel_status status, satchel_usage* usage,
                           const satchel_error* why) {
  satchel_library* closing = library;
  satchel_usage* copy = usage;
  satchel_buffer json = SATCHEL_BUFFER_INIT;
  if (status == SATCHEL_OK) {
    every_call_is_busy(cascade);
    CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_close(&closing));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_json(usage, &json, NULL));
    CHECK(json.len > 0);
    satchel_buffer_free(&json);
    CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&copy));
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_usage_free(&usage));
    usage = NULL;
    status = SATCHEL_UNCHANGED; /* news of ours: there is no usage to look at */
  }
  news_arrive(user, status, usage, why);
}

static void a_done_may_free_what_it_is_given_and_close_nothing(void) {
  struct account_news news;
  news_init(&news);
  begin();
  open_it();
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, a_curious_done, &news, &error));
  CHECK(news_await(&news, 1) && news.status == SATCHEL_UNCHANGED);
  close_it();
  CHECK(news.count == 1);
}

/* A usage that the callback keeps is the host's, on whatever thread. */
static void keep_it(void* user, satchel_status status, satchel_usage* usage,
                    const satchel_error* why) {
  held = usage;
  news_arrive(user, status == SATCHEL_OK ? SATCHEL_UNCHANGED : status, NULL, why);
}

static void a_done_may_keep_what_it_is_given(void) {
  struct account_news news;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  news_init(&news);
  begin();
  open_it();
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, keep_it, &news, &error));
  CHECK(news_await(&news, 1));
  close_it();
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(held, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&held));
}

/* A request that ends when the test says so. */
static int in_the_request;
static int may_end;

static void wait_in_the_request(void) {
  __atomic_store_n(&in_the_request, 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&may_end, __ATOMIC_ACQUIRE)) sched_yield();
}

static void open_with_a_request_under_way(struct account_news* news) {
  in_the_request = may_end = 0;
  begin();
  account.where = 'h';
  account.instead = SATCHEL_OK;
  account.inside = wait_in_the_request;
  open_with("{" NOWHERE ",\"timeout_ms\":60000}");
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, news, &error));
  while (!__atomic_load_n(&in_the_request, __ATOMIC_ACQUIRE)) sched_yield();
}

static void as_many_wait_as_are_promised(void) {
  struct account_news news;
  int i = 0;
  news_init(&news);
  open_with_a_request_under_way(&news);
  for (i = 0; i < 1024; ++i) {
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  }
  CHECK_ERROR(SATCHEL_ERR_LIMIT, "1024",
              satchel_cascade_resolve_start(cascade, never_done, NULL, &error));
  CHECK(news.count == 0);
  __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
  CHECK(news_await(&news, 1025) && news.status == SATCHEL_OK);
  CHECK(account.calls.http == 1);
  close_it();
  CHECK(news.count == 1025);
}

static void* close_the_cascade(void* unused) {
  satchel_cascade* closing = cascade;
  (void)unused;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&closing));
  return NULL;
}

static int closed_news; /* how many were called back with ERR_HANDLE */

static void count_closed(void* user, satchel_status status, satchel_usage* usage,
                         const satchel_error* why) {
  if (status == SATCHEL_ERR_HANDLE) {
    CHECK(usage == NULL && why != NULL && why->status == SATCHEL_ERR_HANDLE);
    CHECK(strstr(why->message, "closed") != NULL);
    __atomic_add_fetch(&closed_news, 1, __ATOMIC_RELAXED);
  }
  news_arrive(user, status, usage, why);
}

/* When the closing thread has come far enough cannot be seen from outside: tried until it has. */
static void everybody_is_called_back_once_when_it_is_closed(void) {
  int round = 0;
  closed_news = 0;
  for (round = 0; round < 200 && closed_news < 3; ++round) {
    struct account_news news;
    pthread_t closer;
    satchel_buffer buffer = SATCHEL_BUFFER_INIT;
    int i = 0;
    news_init(&news);
    open_with_a_request_under_way(&news);
    for (i = 0; i < 3; ++i) {
      CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, count_closed, &news, &error));
    }
    pthread_create(&closer, NULL, close_the_cascade, NULL);
    while (satchel_cascade_metrics(cascade, &buffer, NULL) != SATCHEL_ERR_HANDLE) sched_yield();
    for (i = 0; i < 200 * round; ++i) sched_yield();
    __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
    pthread_join(closer, NULL);
    CHECK(news.count == 4 && account.part_releases == 3);
    satchel_buffer_free(&buffer);
    CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  }
  CHECK(closed_news >= 3);
}

/* Stale at once, and fresh from the library's own thread. */
static void stale_while_it_is_asked_again(void) {
  int turns = 0;
  begin();
  open_with("{" NOWHERE ",\"stale_while_revalidate\":true}");
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  account_pass_time(&account, 300);
  in_the_request = may_end = 0;
  account.instead = SATCHEL_OK;
  account.inside = wait_in_the_request;
  account.where = 'h';
  CHECK_OUTCOME(SATCHEL_USAGE_STALE, SATCHEL_USAGE_ERROR_NONE);
  while (!__atomic_load_n(&in_the_request, __ATOMIC_ACQUIRE)) sched_yield();
  CHECK_OUTCOME(SATCHEL_USAGE_STALE, SATCHEL_USAGE_ERROR_NONE);
  __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
  for (turns = 0; turns < 100000 && ask().source != SATCHEL_USAGE_CACHE; ++turns) sched_yield();
  CHECK_OUTCOME(SATCHEL_USAGE_CACHE, SATCHEL_USAGE_ERROR_NONE);
  close_it();
}

/* ------------------------------------------------------------------ how long the tables live */

static void the_tables_are_released_when_opening_fails(void) {
  satchel_library* open = NULL;
  satchel_cascade* opened = NULL;
  satchel_cascade_parts parts;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &open, &error));
  begin();
  CHECK_STATUS(SATCHEL_ERR_HANDLE, account_open(&account, NULL, NULL, &opened, &error));
  CHECK(account.part_releases == 3);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, account_open(&account, open, NULL, NULL, &error));
  CHECK(account.part_releases == 6);
  CHECK_ERROR(SATCHEL_ERR_CONFIG, "no_such_key",
              account_open(&account, open, "{\"no_such_key\":1}", &opened, &error));
  CHECK(account.part_releases == 9);
  account.parts.cache_dir.data = "a\0b";
  account.parts.cache_dir.len = 3;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "cache_dir",
              account_open(&account, open, NULL, &opened, &error));
  CHECK(account.part_releases == 12);
  /* One of a wrong size cannot be read, its release neither; the others are released. */
  begin();
  account.files_table.struct_size = 1;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "files", account_open(&account, open, NULL, &opened, &error));
  CHECK(account.part_releases == 2);
  begin();
  account.transcripts_table.struct_size = 1;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "transcripts",
              account_open(&account, open, NULL, &opened, &error));
  CHECK(account.part_releases == 2);
  begin();
  parts = account.parts;
  parts.struct_size = 0;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "parts",
              satchel_cascade_open(open, &parts, NULL, 0, &opened, &error));
  CHECK(account.part_releases == 0 && opened == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&open));
}

/* Files that the configuration has no use for are released all the same, and never asked. */
static void parts_that_are_switched_off_are_released_once(void) {
  begin();
  open_with("{\"cache\":false}");
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  CHECK(account.calls.read + account.calls.write + account.calls.remove == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK(account.part_releases == 3);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
}

/* The host's table serves the cascade for as long as it is open. */
static void the_host_stays_until_the_cascade_is_closed(void) {
  begin();
  open_it();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(account.host_releases == 0);
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK(account.host_releases == 1 && account.part_releases == 3);
}

int main(void) {
  satchel_error_init(&error);
  directory = sample_directory();
  config_dir = sample_view(directory);
  what_calls_back_in_gets_a_status();
  a_done_may_free_what_it_is_given_and_close_nothing();
  a_done_may_keep_what_it_is_given();
  as_many_wait_as_are_promised();
  everybody_is_called_back_once_when_it_is_closed();
  stale_while_it_is_asked_again();
  the_tables_are_released_when_opening_fails();
  parts_that_are_switched_off_are_released_once();
  the_host_stays_until_the_cascade_is_closed();
  sample_remove_directory(directory);
  return check_summary();
}
