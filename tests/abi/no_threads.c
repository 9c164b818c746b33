/* A process that has as many threads as it may (a container's limit on processes, say): what needs
 * one says so with the system's error, which is no defect of the library; requests go on; and all
 * of it works as soon as there is a thread to be had. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "cascade_account.h"
#include "check.h"
#include "sample.h"
#include "tool_sample.h"

static int refused; /* every new thread */

/* The library must find this one, whatever the program is compiled with. */
#pragma GCC visibility push(default)
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (refused) return EAGAIN;
  if (real == NULL) {
    void* const symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &symbol, sizeof real);
  }
  return real(thread, attributes, run, argument);
}
#pragma GCC visibility pop

#define CHECK_REFUSED(call)                                      \
  (refused = 1, CHECK_STATUS(SATCHEL_ERR_IO, call), refused = 0, \
   CHECK(error.status == SATCHEL_ERR_IO && error.os_errno == EAGAIN))

static satchel_error error;
static satchel_library* library;
static char* directory;

static void a_prompt_cache_is_opened_later(void) {
  satchel_prompt_cache* cache = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  char config[512];
  snprintf(config, sizeof config,
           "{\"index\":{\"kind\":\"sqlite\",\"path\":\"%s/index\"}," SAMPLE_MODELS "}", directory);
  CHECK_REFUSED(satchel_prompt_cache_open(library, NULL, config, strlen(config), &cache, &error));
  CHECK(cache == NULL);
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, config, strlen(config), &cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "p", 0, 99, &result, NULL, &error));
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

static void note(void* user, satchel_status status) { *(satchel_status*)user = status; }

static void a_request_goes_uncached_and_the_next_is_cached(void) {
  const satchel_request_head head = sample_head("p");
  satchel_prompt_cache* cache = NULL;
  satchel_request* request = NULL;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_status ended = SATCHEL_OK;
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
  refused = 1;
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, note, &ended, &error));
  refused = 0;
  CHECK(ended == SATCHEL_ERR_LIMIT);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "p", 0, 99, &result, NULL, &error));
  CHECK(result.active == 1 && result.degraded == 0 && result.creation_5m == 16);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

static void a_tool_cache_is_opened_later(void) {
  satchel_tool_cache* cache = NULL;
  CHECK_REFUSED(tool_open(library, directory, NULL, &cache, &error));
  CHECK(cache == NULL);
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
}

static void a_cascade_is_asked_later(void) {
  static struct account account;
  satchel_library* own = NULL;
  satchel_cascade* cascade = NULL;
  struct account_news news;
  news_init(&news);
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &own, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&account, own, NULL, &cascade, &error));
  CHECK_REFUSED(satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK(news_await(&news, 1) && news.status == SATCHEL_OK);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&own));
}

int main(void) {
  satchel_error_init(&error);
  directory = tool_directory();
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  a_prompt_cache_is_opened_later();
  a_request_goes_uncached_and_the_next_is_cached();
  a_tool_cache_is_opened_later();
  a_cascade_is_asked_later();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
