/* The parts that a host lends to a cascade, each failing in each way. */
#include <sys/stat.h>

#include "cascade_outcome.h"

/* Errors of ours, numbers nobody knows, and answers that are none here. */
static const satchel_status failures[] = {SATCHEL_ERR_IO,
                                          SATCHEL_ERR_CALLBACK,
                                          SATCHEL_ERR_MEMORY,
                                          SATCHEL_ERR_LIMIT,
                                          SATCHEL_UNCHANGED,
                                          SATCHEL_MISS,
                                          -99,
                                          77};
enum { FAILURES = sizeof failures / sizeof failures[0] };

/* ------------------------------------------------------------------ http */

static void a_failing_way_to_the_endpoint(void) {
  int i = 0;
  for (i = 0; i < FAILURES; ++i) {
    begin();
    account.has_entries = 0;
    account.where = 'h';
    account.instead = failures[i];
    open_it();
    CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
    CHECK(account.calls.http == 1);
    /* Nobody asks again for a while, whatever becomes of it. */
    account.where = 0;
    CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
    CHECK(account.calls.http == 1);
    account_pass_time(&account, 30);
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    close_it();
  }
  begin();
  account.where = 'h';
  account.instead = SATCHEL_ERR_TIMEOUT;
  open_it();
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_TIMEOUT);
  close_it();
}

static void an_endpoint_that_is_not_handled_is_asked_by_the_built_in(void) {
  begin();
  account.where = 'h';
  account.instead = SATCHEL_NOT_HANDLED;
  open_it();
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
  CHECK(account.calls.http == 1);
  close_it();
}

struct response {
  int32_t status;
  const char* body;
  int32_t why; /* NONE: it is an answer */
};

static void whatever_the_endpoint_answers(void) {
  static const struct response responses[] = {
      {200, ACCOUNT_BODY, SATCHEL_USAGE_ERROR_NONE},
      {299, "{}", SATCHEL_USAGE_ERROR_NONE},
      {200, NULL, SATCHEL_USAGE_ERROR_PARSE_ERROR},
      {200, "[]", SATCHEL_USAGE_ERROR_PARSE_ERROR},
      {200, "{\"five_hour\":7}", SATCHEL_USAGE_ERROR_PARSE_ERROR},
      {100, ACCOUNT_BODY, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
      {301, ACCOUNT_BODY, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
      {401, ACCOUNT_BODY, SATCHEL_USAGE_ERROR_UNAUTHORIZED},
      {403, NULL, SATCHEL_USAGE_ERROR_FORBIDDEN},
      {404, NULL, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
      {429, "{}", SATCHEL_USAGE_ERROR_RATE_LIMITED},
      {503, NULL, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
      {999, NULL, SATCHEL_USAGE_ERROR_NETWORK_ERROR},
  };
  size_t i = 0;
  for (i = 0; i < sizeof responses / sizeof responses[0]; ++i) {
    begin();
    account.http_status = responses[i].status;
    account.body = responses[i].body;
    open_it();
    if (responses[i].why == SATCHEL_USAGE_ERROR_NONE) {
      CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    } else {
      CHECK_OUTCOME(SATCHEL_USAGE_JSONL, responses[i].why);
    }
    close_it();
  }
}

/* The header's value is used: the wait ends when it says. */
static void a_wait_that_the_endpoint_asks_for(void) {
  begin();
  account.http_status = 429;
  account.retry_after = "77";
  open_it();
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_RATE_LIMITED);
  account_pass_time(&account, 76);
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_RATE_LIMITED);
  CHECK(account.calls.http == 1);
  account_pass_time(&account, 1);
  account.http_status = 200;
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  close_it();
}

/* Looks at the request, and answers with as much as it takes. */
struct probe {
  struct account* account;
  int answers_ok_without_a_status;
  int over; /* one byte more */
  satchel_status last_add;
};
static struct probe probe;

static int is_header(const satchel_http_request* request, const char* name, const char* value) {
  size_t i = 0;
  for (i = 0; i < request->header_count; ++i) {
    const satchel_http_header* const header = &request->headers[i];
    if (header->name.len == strlen(name) &&
        memcmp(header->name.data, name, header->name.len) == 0 &&
        header->value.len >= strlen(value) &&
        memcmp(header->value.data, value, strlen(value)) == 0) {
      return 1;
    }
  }
  return 0;
}

static int is_text(satchel_view view, const char* text) {
  return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

static satchel_status probing_http(void* user, const satchel_http_request* request,
                                   satchel_http_answer* answer) {
  struct probe* const mine = user;
  uint64_t sent = strlen(ACCOUNT_BODY);
  ++mine->account->calls.http;
  CHECK(request->struct_size == sizeof *request && request->reserved == 0);
  CHECK(is_text(request->method, "GET"));
  CHECK(is_text(request->url, "http://127.0.0.1:1/api/oauth/usage"));
  CHECK(is_header(request, "Authorization", "Bearer " ACCOUNT_TOKEN));
  CHECK(is_header(request, "anthropic-beta", "oauth-2025-04-20"));
  CHECK(is_header(request, "User-Agent", "satchel/" SATCHEL_VERSION_STRING));
  CHECK(request->body.len == 0);
  CHECK(request->timeout_ms >= 1 && request->timeout_ms <= 5000);
  CHECK(request->max_body >= 32768 && request->max_body <= 65536);
  if (mine->answers_ok_without_a_status) return SATCHEL_OK;
  CHECK_STATUS(SATCHEL_OK, satchel_http_status_set(answer, 200));
  CHECK_STATUS(SATCHEL_OK, satchel_http_body_add(answer, ACCOUNT_BODY, (size_t)sent));
  for (; sent < request->max_body; ++sent) {
    if (satchel_http_body_add(answer, " ", 1) != SATCHEL_OK) break;
  }
  CHECK(sent == request->max_body);
  mine->last_add = mine->over != 0 ? satchel_http_body_add(answer, " ", 1) : SATCHEL_OK;
  return SATCHEL_OK; /* as if nothing had been */
}

static void probe_the_request(int without_a_status, int over, int32_t source, int32_t why) {
  satchel_host host = SATCHEL_HOST_INIT;
  begin();
  memset(&probe, 0, sizeof probe);
  probe.account = &account;
  probe.answers_ok_without_a_status = without_a_status;
  probe.over = over;
  host.user = &probe;
  host.http = probing_http;
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(&host, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&account, library, "{" NOWHERE ",\"timeout_ms\":5000}",
                                        &cascade, &error));
  CHECK_OUTCOME(source, why);
  CHECK(account.calls.http == 1);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
}

static void a_request_says_what_is_asked_and_what_is_taken(void) {
  probe_the_request(0, 0, SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  CHECK(probe.last_add == SATCHEL_OK);
  probe_the_request(0, 1, SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
  CHECK(probe.last_add == SATCHEL_ERR_LIMIT);
  probe_the_request(1, 0, SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NETWORK_ERROR);
}

/* ------------------------------------------------------------------ the token */

static void whoever_has_the_token_fails(void) {
  int i = 0;
  for (i = 0; i < FAILURES; ++i) {
    begin();
    account.has_entries = 0;
    account.where = 't';
    account.instead = failures[i];
    open_it();
    CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED);
    /* Not written down: the next one may have it. */
    account.where = 0;
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    CHECK(account.calls.token == 2 && account.calls.http == 1);
    close_it();
  }
}

/* What a callback of one's own says, in this order. */
static const char* first_token;
static const char* second_token;
static int32_t said_to_fail;
static satchel_status then_returned;

static satchel_status bent_token(void* user, satchel_token_answer* answer) {
  (void)user;
  if (first_token != NULL) {
    CHECK_STATUS(SATCHEL_OK, satchel_token_set(answer, first_token, strlen(first_token)));
  }
  if (second_token != NULL) {
    CHECK_STATUS(SATCHEL_OK, satchel_token_set(answer, second_token, strlen(second_token)));
  }
  if (said_to_fail != 0) CHECK_STATUS(SATCHEL_OK, satchel_token_fail(answer, said_to_fail));
  return then_returned;
}

static void a_token(const char* first, const char* second, int32_t fails, satchel_status returns,
                    int32_t why) {
  first_token = first;
  second_token = second;
  said_to_fail = fails;
  then_returned = returns;
  begin();
  account.has_entries = 0;
  account.credentials_table.token = bent_token;
  open_it();
  CHECK_OUTCOME(why == SATCHEL_USAGE_ERROR_NONE ? SATCHEL_USAGE_ENDPOINT : 0, why);
  CHECK(account.calls.http == (why == SATCHEL_USAGE_ERROR_NONE));
  close_it();
}

static void a_token_or_why_there_is_none(void) {
  int32_t why = 0;
  for (why = SATCHEL_USAGE_ERROR_NO_CREDENTIALS; why <= SATCHEL_USAGE_ERROR_EMPTY_TOKEN; ++why) {
    a_token(NULL, NULL, why, SATCHEL_OK, why);
    a_token(NULL, NULL, why, SATCHEL_ERR_CALLBACK, why);
    a_token("x", NULL, why, SATCHEL_OK, why);
  }
  a_token(NULL, NULL, 0, SATCHEL_OK, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  a_token("", NULL, 0, SATCHEL_OK, SATCHEL_USAGE_ERROR_EMPTY_TOKEN);
  a_token("x", "", 0, SATCHEL_OK, SATCHEL_USAGE_ERROR_EMPTY_TOKEN);
  a_token("x", NULL, 0, SATCHEL_ERR_IO, SATCHEL_USAGE_ERROR_SUBPROCESS_FAILED);
  a_token("x", "y", 0, SATCHEL_OK, SATCHEL_USAGE_ERROR_NONE);
}

static void write_into(const char* name, const char* text) {
  char path[512];
  FILE* file = NULL;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

static void remove_from(const char* name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (remove(path) != 0) abort();
}

static void a_token_that_is_not_handled_is_looked_for_by_the_built_in(void) {
  begin();
  account.where = 't';
  account.instead = SATCHEL_NOT_HANDLED;
  open_it();
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  write_into(".credentials.json", "{\"claudeAiOauth\":{\"accessToken\":\"" ACCOUNT_TOKEN "\"}}");
  CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
  remove_from(".credentials.json");
  close_it();
}

/* ------------------------------------------------------------------ the transcripts */

static satchel_status only_the_block(void* user, int64_t now, satchel_transcripts_answer* answer) {
  const satchel_tokens tokens = {1, 1, 1, 1};
  (void)user;
  return satchel_transcripts_five_hour_set(answer, now, &tokens);
}

static void whoever_counts_fails(void) {
  int i = 0;
  for (i = 0; i < FAILURES; ++i) {
    begin();
    account.token = NULL;
    account.where = 'j';
    account.instead = failures[i];
    open_it();
    CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
    account.where = 0;
    CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
    close_it();
  }
  begin();
  account.token = NULL;
  account.transcripts_table.windows = only_the_block;
  open_it();
  CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  close_it();
}

static void what_is_not_counted_is_counted_by_the_built_in(void) {
  char path[512];
  begin();
  account.token = NULL;
  account.where = 'j';
  account.instead = SATCHEL_NOT_HANDLED;
  open_it();
  CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  snprintf(path, sizeof path, "%s/projects", directory);
  CHECK(mkdir(path, 0700) == 0);
  snprintf(path, sizeof path, "%s/projects/work", directory);
  CHECK(mkdir(path, 0700) == 0);
  write_into("projects/work/session.jsonl",
             "{\"timestamp\":\"2026-04-19T04:10:00Z\",\"message\":{\"id\":\"m1\","
             "\"model\":\"claude-opus-4\",\"usage\":{\"input_tokens\":100}}}\n");
  CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  close_it();
  /* Unless they are switched off. */
  begin();
  account.token = NULL;
  account.where = 'j';
  account.instead = SATCHEL_NOT_HANDLED;
  open_with("{\"transcripts\":{\"enabled\":false}}");
  CHECK_OUTCOME(0, SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  close_it();
  remove_from("projects/work/session.jsonl");
  remove_from("projects/work");
  remove_from("projects");
}

/* ------------------------------------------------------------------ files, clock */

static void files_that_fail_change_nothing_for_the_caller(void) {
  int i = 0;
  for (i = 0; i <= FAILURES; ++i) {
    const satchel_status failure = i < FAILURES ? failures[i] : SATCHEL_NOT_HANDLED;
    begin();
    account.where = 'r';
    account.instead = failure;
    open_it();
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    CHECK(account.calls.log > 0 && account.files[SATCHEL_FILE_USAGE].present);
    account.where = 0;
    CHECK_OUTCOME(SATCHEL_USAGE_CACHE, SATCHEL_USAGE_ERROR_NONE);
    close_it();

    begin();
    account.where = 'w';
    account.instead = failure;
    open_it();
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    CHECK(account.calls.log > 0 && !account.files[SATCHEL_FILE_USAGE].present);
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    close_it();

    begin();
    open_it();
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    account_pass_time(&account, 300);
    account.http_status = 403;
    account.where = 'd';
    account.instead = failure;
    CHECK_OUTCOME(SATCHEL_USAGE_JSONL, SATCHEL_USAGE_ERROR_FORBIDDEN);
    CHECK(account.calls.remove == 1);
    close_it();
  }
}

static void a_clock_that_fails_is_replaced(void) {
  int i = 0;
  for (i = 0; i < FAILURES; ++i) {
    begin();
    account.where = 'c';
    account.instead = failures[i];
    open_it();
    CHECK_OUTCOME(SATCHEL_USAGE_ENDPOINT, SATCHEL_USAGE_ERROR_NONE);
    CHECK_OUTCOME(SATCHEL_USAGE_CACHE, SATCHEL_USAGE_ERROR_NONE);
    CHECK(account.calls.clock > 0 && account.calls.http == 1);
    close_it();
  }
}

int main(void) {
  satchel_error_init(&error);
  directory = sample_directory();
  config_dir = sample_view(directory);
  a_failing_way_to_the_endpoint();
  an_endpoint_that_is_not_handled_is_asked_by_the_built_in();
  whatever_the_endpoint_answers();
  a_wait_that_the_endpoint_asks_for();
  a_request_says_what_is_asked_and_what_is_taken();
  whoever_has_the_token_fails();
  a_token_or_why_there_is_none();
  a_token_that_is_not_handled_is_looked_for_by_the_built_in();
  whoever_counts_fails();
  what_is_not_counted_is_counted_by_the_built_in();
  files_that_fail_change_nothing_for_the_caller();
  a_clock_that_fails_is_replaced();
  sample_remove_directory(directory);
  return check_summary();
}
