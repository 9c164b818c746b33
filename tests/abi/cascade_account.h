/* An account, and everything that a cascade may ask of a host about it: three files in memory, a
 * token, an endpoint, what was counted in transcripts, a clock and a log. A test bends the answers.
 */
#ifndef SATCHEL_TESTS_ABI_CASCADE_ACCOUNT_H
#define SATCHEL_TESTS_ABI_CASCADE_ACCOUNT_H

#include <pthread.h>
#include <satchel/satchel.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sample.h"

#define ACCOUNT_SECOND ((int64_t)1000000000)
#define ACCOUNT_NOW_S ((int64_t)1776573000)  /* 2026-04-19T04:30:00Z */
#define ACCOUNT_HOUR_S ((int64_t)1776571200) /* its hour */
#define ACCOUNT_TOKEN "sk-ant-oat01-secret"
#define ACCOUNT_BODY                                                              \
  "{\"five_hour\":{\"utilization\":22.5,\"resets_at\":\"2026-04-19T05:00:00Z\"}," \
  "\"seven_day\":{\"utilization\":33,\"resets_at\":\"2026-04-23T19:00:00Z\"},"    \
  "\"seven_day_opus\":null}"

enum { ACCOUNT_FILE_BYTES = 8192 };

struct account_file {
  char data[ACCOUNT_FILE_BYTES];
  size_t len;
  int64_t written_at;
  int present;
};

/* How often each part was asked. */
struct account_calls {
  int clock;
  int log;
  int http;
  int read;
  int write;
  int remove;
  int token;
  int windows;
};

struct account {
  pthread_mutex_t mutex;
  int64_t now; /* Unix nanoseconds */
  struct account_file files[3];
  const char* token;   /* NULL: none */
  int32_t token_error; /* why there is none, if that is said */
  int32_t http_status;
  const char* body;
  const char* retry_after; /* NULL: no such header */
  int has_block;
  int has_entries;
  satchel_tokens five_hour;
  satchel_tokens seven_day;
  struct account_calls calls;
  int secrets_told; /* the token was seen where it has no business */
  int host_releases;
  int part_releases; /* of files, credentials and transcripts together */
  /* What is answered instead, by the callback's letter: 'r'ead, 'w'rite, 'd'elete, 't'oken,
   * 'j'sonl, 'h'ttp, 'c'lock; and what runs inside it ('l'og too). */
  char where;
  satchel_status instead;
  void (*inside)(void);
  /* Its tables, so that the parts may point to them. */
  satchel_usage_files files_table;
  satchel_credentials credentials_table;
  satchel_transcripts transcripts_table;
  satchel_cascade_parts parts;
};

/* OK unless the test wants something else here. */
static inline satchel_status account_enter(struct account* account, char name, int* calls) {
  __atomic_add_fetch(calls, 1, __ATOMIC_RELAXED);
  if (__atomic_load_n(&account->where, __ATOMIC_RELAXED) != name) return SATCHEL_OK;
  if (account->inside != NULL) account->inside();
  return account->instead;
}

static inline void account_look_for_the_token(struct account* account, const char* bytes,
                                              size_t len) {
  if (len != 0 && sample_holds(bytes, len, ACCOUNT_TOKEN)) {
    __atomic_add_fetch(&account->secrets_told, 1, __ATOMIC_RELAXED);
  }
}

static inline void account_release_host(void* user) {
  __atomic_add_fetch(&((struct account*)user)->host_releases, 1, __ATOMIC_RELAXED);
}

static inline void account_release_part(void* user) {
  __atomic_add_fetch(&((struct account*)user)->part_releases, 1, __ATOMIC_RELAXED);
}

static inline satchel_status account_clock(void* user, int64_t* now) {
  struct account* const account = user;
  const satchel_status status = account_enter(account, 'c', &account->calls.clock);
  if (status != SATCHEL_OK) return status;
  *now = __atomic_load_n(&account->now, __ATOMIC_RELAXED);
  return SATCHEL_OK;
}

static inline void account_log(void* user, int32_t level, const char* component,
                               size_t component_len, const char* message, size_t message_len) {
  struct account* const account = user;
  (void)level;
  account_look_for_the_token(account, component, component_len);
  account_look_for_the_token(account, message, message_len);
  (void)account_enter(account, 'l', &account->calls.log);
}

static inline satchel_status account_http(void* user, const satchel_http_request* request,
                                          satchel_http_answer* answer) {
  struct account* const account = user;
  satchel_status status = account_enter(account, 'h', &account->calls.http);
  (void)request;
  if (status != SATCHEL_OK) return status;
  status = satchel_http_status_set(answer, account->http_status);
  if (status == SATCHEL_OK && account->retry_after != NULL) {
    status = satchel_http_header_add(answer, LITERAL("Retry-After"), account->retry_after,
                                     strlen(account->retry_after));
  }
  if (status == SATCHEL_OK && account->body != NULL) {
    status = satchel_http_body_add(answer, account->body, strlen(account->body));
  }
  return status;
}

static inline satchel_status account_read(void* user, int32_t file, satchel_file_answer* answer) {
  struct account* const account = user;
  const struct account_file* const kept = &account->files[file];
  satchel_status status = account_enter(account, 'r', &account->calls.read);
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&account->mutex);
  if (kept->present) status = satchel_file_set(answer, kept->data, kept->len, kept->written_at);
  pthread_mutex_unlock(&account->mutex);
  return status;
}

static inline satchel_status account_write(void* user, int32_t file, const char* data, size_t len) {
  struct account* const account = user;
  struct account_file* const kept = &account->files[file];
  const satchel_status status = account_enter(account, 'w', &account->calls.write);
  if (status != SATCHEL_OK) return status;
  if (len > sizeof kept->data) return SATCHEL_ERR_NO_SPACE;
  account_look_for_the_token(account, data, len);
  pthread_mutex_lock(&account->mutex);
  memcpy(kept->data, data, len);
  kept->len = len;
  kept->written_at = __atomic_load_n(&account->now, __ATOMIC_RELAXED);
  kept->present = 1;
  pthread_mutex_unlock(&account->mutex);
  return SATCHEL_OK;
}

static inline satchel_status account_remove(void* user, int32_t file) {
  struct account* const account = user;
  const satchel_status status = account_enter(account, 'd', &account->calls.remove);
  if (status != SATCHEL_OK) return status;
  pthread_mutex_lock(&account->mutex);
  account->files[file].present = 0;
  pthread_mutex_unlock(&account->mutex);
  return SATCHEL_OK;
}

static inline satchel_status account_token(void* user, satchel_token_answer* answer) {
  struct account* const account = user;
  const satchel_status status = account_enter(account, 't', &account->calls.token);
  if (status != SATCHEL_OK) return status;
  if (account->token_error != 0) return satchel_token_fail(answer, account->token_error);
  if (account->token == NULL) return SATCHEL_OK;
  return satchel_token_set(answer, account->token, strlen(account->token));
}

static inline satchel_status account_windows(void* user, int64_t now,
                                             satchel_transcripts_answer* answer) {
  struct account* const account = user;
  satchel_status status = account_enter(account, 'j', &account->calls.windows);
  if (status != SATCHEL_OK || !account->has_entries) return status;
  if (account->has_block) {
    status = satchel_transcripts_five_hour_set(answer, now - now % (3600 * ACCOUNT_SECOND),
                                               &account->five_hour);
  }
  if (status != SATCHEL_OK) return status;
  return satchel_transcripts_seven_day_set(answer, &account->seven_day);
}

/* A new account: logged in, the endpoint answers, some tokens were counted, no file yet. */
static inline void account_reset(struct account* account) {
  static const satchel_usage_files files = SATCHEL_USAGE_FILES_INIT;
  static const satchel_credentials credentials = SATCHEL_CREDENTIALS_INIT;
  static const satchel_transcripts transcripts = SATCHEL_TRANSCRIPTS_INIT;
  static const satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  static const satchel_tokens five_hour = {1, 2, 3, 4};
  static const satchel_tokens seven_day = {10, 20, 30, 40};
  memset(account, 0, sizeof *account);
  pthread_mutex_init(&account->mutex, NULL);
  account->now = ACCOUNT_NOW_S * ACCOUNT_SECOND;
  account->token = ACCOUNT_TOKEN;
  account->http_status = 200;
  account->body = ACCOUNT_BODY;
  account->has_block = account->has_entries = 1;
  account->five_hour = five_hour;
  account->seven_day = seven_day;
  account->files_table = files;
  account->credentials_table = credentials;
  account->transcripts_table = transcripts;
  account->parts = parts;
  account->files_table.user = account;
  account->files_table.release = account_release_part;
  account->files_table.read = account_read;
  account->files_table.write = account_write;
  account->files_table.remove = account_remove;
  account->credentials_table.user = account;
  account->credentials_table.release = account_release_part;
  account->credentials_table.token = account_token;
  account->transcripts_table.user = account;
  account->transcripts_table.release = account_release_part;
  account->transcripts_table.windows = account_windows;
  account->parts.files = &account->files_table;
  account->parts.credentials = &account->credentials_table;
  account->parts.transcripts = &account->transcripts_table;
}

/* Opens the library with the account's way to the endpoint, its clock and its log. */
static inline satchel_status account_open_library(struct account* account,
                                                  satchel_library** library, satchel_error* error) {
  satchel_host host = SATCHEL_HOST_INIT;
  host.user = account;
  host.release = account_release_host;
  host.clock = account_clock;
  host.monotonic = account_clock;
  host.log = account_log;
  host.http = account_http;
  return satchel_open(&host, LITERAL("{\"log_level\":\"debug\"}"), library, error);
}

/* Opens a cascade with all of the account's parts. `config` may be NULL. */
static inline satchel_status account_open(struct account* account, satchel_library* library,
                                          const char* config, satchel_cascade** out,
                                          satchel_error* error) {
  return satchel_cascade_open(library, &account->parts, config, config == NULL ? 0 : strlen(config),
                              out, error);
}

static inline void account_pass_time(struct account* account, int64_t seconds) {
  __atomic_add_fetch(&account->now, seconds * ACCOUNT_SECOND, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------ what one is called back with
 */

struct account_news {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int count;
  satchel_status status; /* of the last */
  int32_t source;
  int32_t reason;
};

static inline void news_init(struct account_news* news) {
  memset(news, 0, sizeof *news);
  pthread_mutex_init(&news->mutex, NULL);
  pthread_cond_init(&news->changed, NULL);
}

/* A satchel_usage_done; its user is a struct account_news. */
static inline void news_arrive(void* user, satchel_status status, satchel_usage* usage,
                               const satchel_error* error) {
  struct account_news* const news = user;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  if (usage != NULL && satchel_usage_summary_get(usage, &summary, NULL) != SATCHEL_OK) abort();
  if ((usage != NULL) != (status == SATCHEL_OK)) abort();
  if (satchel_usage_free(&usage) != SATCHEL_OK || usage != NULL) abort();
  pthread_mutex_lock(&news->mutex);
  ++news->count;
  news->status = status;
  news->source = summary.source;
  news->reason = status == SATCHEL_OK ? summary.error : error->reason;
  pthread_cond_broadcast(&news->changed);
  pthread_mutex_unlock(&news->mutex);
}

/* Waits until there were so many; 0: not within a minute. */
static inline int news_await(struct account_news* news, int count) {
  struct timespec until;
  int waited = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  pthread_mutex_lock(&news->mutex);
  while (news->count < count && waited == 0) {
    waited = pthread_cond_timedwait(&news->changed, &news->mutex, &until);
  }
  waited = news->count;
  pthread_mutex_unlock(&news->mutex);
  return waited >= count;
}

#endif
