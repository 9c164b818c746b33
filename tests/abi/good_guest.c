/* The library is a guest in the host's process: it leaves signals, locale, environment, working
 * directory, umask, floating-point rounding and standard output alone, and says
 * what it has to say through the host's log or, without one, on standard error. */
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cascade_account.h"
#include "check.h"
#include "tool_sample.h"

extern char** environ;

struct surroundings {
  struct sigaction actions[65];
  sigset_t mask;
  char directory[1024];
  char locale[256];
  char environment[16384];
  mode_t umask;
  int rounding;
};

static void look_around(struct surroundings* now) {
  size_t used = 0;
  int i = 0;
  memset(now, 0, sizeof *now);
  for (i = 1; i < 65; ++i) sigaction(i, NULL, &now->actions[i]);
  sigprocmask(SIG_BLOCK, NULL, &now->mask);
  if (getcwd(now->directory, sizeof now->directory) == NULL) abort();
  snprintf(now->locale, sizeof now->locale, "%s", setlocale(LC_ALL, NULL));
  for (i = 0; environ[i] != NULL; ++i) {
    used += (size_t)snprintf(now->environment + used, sizeof now->environment - used, "%s\n",
                             environ[i]);
    if (used >= sizeof now->environment) break;
  }
  now->umask = umask(0);
  umask(now->umask);
  now->rounding = fegetround();
}

static void use_the_tools(satchel_library* library, const char* directory) {
  const satchel_root root = {{"a.txt", 5}, {NULL, 0}};
  const satchel_tool_call call = tool_call("read", &root, 1);
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_cache* cache = NULL;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, "{\"max_entries\":1}", &cache, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(cache, KEY_A, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_rebuild(cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(cache, LITERAL("a.txt"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_flush(cache, 30000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
}

/* Over files in `directory`, the endpoint asked by the host or, where nobody listens, by the
 * library itself. */
static void use_the_cascade(struct account* account, satchel_library* library,
                            const char* directory, const char* name) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_cascade* cascade = NULL;
  satchel_usage* usage = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  const int by_host = strcmp(name, "by-host") == 0;
  struct account_news news;
  char cache[256];
  const satchel_view config_dir = sample_view(directory);
  snprintf(cache, sizeof cache, "%s/%s", directory, name);
  news_init(&news);
  account->parts.files = NULL;
  account->parts.transcripts = NULL;
  account->parts.cache_dir = sample_view(cache);
  account->parts.config_dirs = &config_dir;
  account->parts.config_dir_count = 1;
  CHECK_STATUS(SATCHEL_OK,
               account_open(account, library, "{\"api_base_url\":\"http://127.0.0.1:1\"}", &cascade,
                            &error));
  if (by_host) {
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &usage, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, &error));
    CHECK(summary.source == SATCHEL_USAGE_ENDPOINT);
    CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  } else {
    CHECK_ERROR(SATCHEL_ERR_UNAVAILABLE, "NetworkError",
                satchel_cascade_resolve(cascade, &usage, &error));
  }
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK(news_await(&news, 1) && (news.status == SATCHEL_OK) == by_host);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_metrics(cascade, &out, &error));
  satchel_buffer_free(&out);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
}

static void use_the_cascades(satchel_library* library, const char* directory) {
  static struct account account;
  satchel_library* lent = NULL;
  satchel_error error = SATCHEL_ERROR_INIT;
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &lent, &error));
  use_the_cascade(&account, lent, directory, "by-host");
  CHECK_STATUS(SATCHEL_OK, satchel_close(&lent));
  use_the_cascade(&account, library, directory, "by-itself");
  CHECK(account.secrets_told == 0);
}

static void use_it(const char* directory) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "p", 0, 60, &result, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "p", 1, 60, &result, NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  use_the_tools(library, directory);
  use_the_cascades(library, directory);
  /* An index that cannot be: something to log. */
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, "/dev/null/nowhere", &cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "p", 0, 60, &result, NULL, &error));
  CHECK(result.active == 1 && result.degraded == 1 && result.read + result.creation_5m == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
}

/* Sends a descriptor into a file; *kept is what it was. */
static int redirect(int descriptor, const char* path, int* kept) {
  const int file = open(path, O_CREAT | O_RDWR | O_TRUNC | O_APPEND, 0600);
  fflush(NULL);
  *kept = dup(descriptor);
  dup2(file, descriptor);
  return file;
}

static long restore(int descriptor, int kept, int file) {
  struct stat written;
  fflush(NULL);
  dup2(kept, descriptor);
  close(kept);
  if (fstat(file, &written) != 0) abort();
  return (long)written.st_size;
}

int main(void) {
  static struct surroundings before;
  static struct surroundings after;
  char* directory = tool_directory();
  char out_path[256];
  char err_path[256];
  char said[512] = "";
  int i = 0;
  int kept_out = -1;
  int kept_err = -1;
  int out = -1;
  int err = -1;
  long out_bytes = 0;
  long err_bytes = 0;
  snprintf(out_path, sizeof out_path, "%s/out", directory);
  snprintf(err_path, sizeof err_path, "%s/err", directory);
  setlocale(LC_ALL, "C.UTF-8");
  signal(SIGPIPE, SIG_DFL);
  look_around(&before);

  out = redirect(STDOUT_FILENO, out_path, &kept_out);
  err = redirect(STDERR_FILENO, err_path, &kept_err);
  use_it(directory);
  err_bytes = restore(STDERR_FILENO, kept_err, err);
  out_bytes = restore(STDOUT_FILENO, kept_out, out);

  look_around(&after);
  for (i = 1; i < 65; ++i) {
    CHECK(before.actions[i].sa_handler == after.actions[i].sa_handler);
    CHECK(before.actions[i].sa_flags == after.actions[i].sa_flags);
  }
  CHECK(memcmp(&before.mask, &after.mask, sizeof before.mask) == 0);
  CHECK(strcmp(before.directory, after.directory) == 0);
  CHECK(strcmp(before.locale, after.locale) == 0);
  CHECK(strcmp(before.environment, after.environment) == 0);
  CHECK(before.umask == after.umask);
  CHECK(before.rounding == after.rounding);
  CHECK(out_bytes == 0);
  CHECK(err_bytes > 0 && pread(err, said, sizeof said - 1, 0) > 0);
  CHECK(strncmp(said, "satchel warn ", 13) == 0 && strstr(said, "/dev/null/nowhere") != NULL);
  close(out);
  close(err);
  sample_remove_directory(directory);
  return check_summary();
}
