/* A child process and the cascade: calls on the parent's handles say so, releasing them does
 * nothing, nobody is called back there, and the child opens its own. Also when other threads were
 * inside the library, or its own at work, at the moment of the fork. */
#include "cascade_account.h"
#include "child.h"

static satchel_error error;
static char* directory;
static char directory_of_children[256];
static struct account account;
static satchel_view config_dir;
static satchel_library* library;
static satchel_cascade* cascade;
static satchel_usage* usage;

/* The three files on disk, one fetch for the whole machine. */
static satchel_status open_over(const char* cache_dir, struct account* mine, satchel_library* over,
                                satchel_cascade** out) {
  mine->parts.files = NULL;
  mine->parts.cache_dir = sample_view(cache_dir);
  mine->parts.config_dirs = &config_dir;
  mine->parts.config_dir_count = 1;
  return account_open(mine, over, "{\"timeout_ms\":60000}", out, &error);
}

static void use_own_handles(void) {
  static struct account own;
  satchel_library* own_library = NULL;
  satchel_cascade* own_cascade = NULL;
  satchel_usage* found = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  struct account_news news;
  news_init(&news);
  account_reset(&own);
  own.now = account.now; /* as it was at the fork: no later child is before an earlier one */
  CHECK_STATUS(SATCHEL_OK, account_open_library(&own, &own_library, &error));
  CHECK_STATUS(SATCHEL_OK, open_over(directory_of_children, &own, own_library, &own_cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(own_cascade, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(found, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT || summary.source == SATCHEL_USAGE_CACHE);
  CHECK(summary.five_hour_utilization == 22.5);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&found));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(own_cascade, news_arrive, &news, &error));
  CHECK(news_await(&news, 1) && news.source == SATCHEL_USAGE_CACHE);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&own_cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&own_library));
  CHECK(own.host_releases == 1);
}

static void child_of_one_thread(void) {
  satchel_cascade* opened = NULL;
  satchel_usage* found = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  struct account_news news;
  const int released = account.part_releases;
  news_init(&news);
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_cascade_open(library, NULL, NULL, 0, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_cascade_resolve(cascade, &found, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork",
              satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_cascade_observe(cascade, NULL, 0, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_cascade_report(cascade, NULL, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_cascade_metrics(cascade, &out, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_usage_summary_get(usage, &summary, &error));
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_usage_json(usage, &out, &error));
  CHECK(opened == NULL && found == NULL && out.data == NULL && news.count == 0);

  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(usage == NULL && cascade == NULL && library == NULL);
  CHECK(account.part_releases == released); /* they are the parent's */
  use_own_handles();
}

static void child_of_many_threads(void) {
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  CHECK_ERROR(SATCHEL_ERR_FORKED, "fork", satchel_cascade_metrics(cascade, &out, &error));
  use_own_handles();
  /* A child of a child starts afresh again. */
  in_child(child_of_one_thread);
}

static int stop;
static int started;
static struct account_news all_news;

/* There is always somebody who asks: the cache is never fresh for them. */
static void* keep_using(void* unused) {
  (void)unused;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    satchel_error mine = SATCHEL_ERROR_INIT;
    satchel_usage* found = NULL;
    satchel_status status = SATCHEL_OK;
    account_pass_time(&account, 200);
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &found, &mine));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&found));
    status = satchel_cascade_resolve_start(cascade, news_arrive, &all_news, &mine);
    CHECK(status == SATCHEL_OK || status == SATCHEL_ERR_LIMIT);
    if (status == SATCHEL_OK) __atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(void) {
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  pthread_t threads[2];
  int i = 0;
  satchel_error_init(&error);
  directory = sample_directory();
  snprintf(directory_of_children, sizeof directory_of_children, "%s/children", directory);
  config_dir = sample_view(directory);
  account_reset(&account);
  news_init(&all_news);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &error));
  CHECK_STATUS(SATCHEL_OK, open_over(directory, &account, library, &cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &usage, &error));
  /* The library's own thread is there, and idle. */
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &all_news, &error));
  CHECK(news_await(&all_news, ++started));
  in_child(child_of_one_thread);

  for (i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, keep_using, NULL);
  for (i = 0; i < FORKS_BESIDE_THREADS(30); ++i) in_child(child_of_many_threads);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (i = 0; i < 2; ++i) pthread_join(threads[i], NULL);

  /* Nothing that the children did is felt here. */
  CHECK(news_await(&all_news, started));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(all_news.count == started);
  CHECK(account.part_releases == 2 && account.host_releases == 1 && account.secrets_told == 0);
  sample_remove_directory(directory);
  return check_summary();
}
