/* Asks how much of an account's quota is used. The endpoint and the login are played by functions
 * of this program, so that it runs anywhere; leave both out, and the library asks the real one. */
#include <satchel/satchel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static satchel_view view(const char* text) {
  satchel_view bytes;
  bytes.data = text;
  bytes.len = strlen(text);
  return bytes;
}

/* ------------------------------------------------------------------------ what is played here */

static satchel_status endpoint(void* user, const satchel_http_request* request,
                               satchel_http_answer* answer) {
  static const char body[] =
      "{\"five_hour\":{\"utilization\":42.0,\"resets_at\":\"2030-01-01T14:00:00Z\"},"
      "\"seven_day\":{\"utilization\":9.5,\"resets_at\":null}}";
  (void)user;
  printf("the endpoint is asked: %.*s\n", (int)request->url.len, request->url.data);
  satchel_http_status_set(answer, 200);
  return satchel_http_body_add(answer, body, sizeof body - 1);
}

static satchel_status login(void* user, satchel_token_answer* answer) {
  (void)user;
  return satchel_token_set(answer, "token", 5);
}

/* ------------------------------------------------------------------------ asking */

static void print_usage(satchel_cascade* cascade) {
  static const char* const sources[] = {"",           "the endpoint", "the cache",
                                        "stale data", "headers",      "the transcripts"};
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_usage* usage = NULL;
  satchel_status status = satchel_cascade_resolve(cascade, &usage, &error);
  if (status == SATCHEL_OK) status = satchel_usage_summary_get(usage, &summary, &error);
  if (status != SATCHEL_OK) {
    printf("not known: %s\n", error.message); /* begins with a name such as "RateLimited" */
  } else if (summary.source == SATCHEL_USAGE_JSONL) {
    printf("%lu tokens in seven days\n", (unsigned long)summary.seven_day_tokens.output);
  } else {
    printf("5 h: %.1f %%, 7 d: %.1f %% (from %s)\n", summary.five_hour_utilization,
           summary.seven_day_utilization, sources[summary.source]);
  }
  satchel_usage_free(&usage);
}

/* What a proxy has anyway: the headers of an answer that it passed on. */
static void observe(satchel_cascade* cascade) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_http_header headers[3];
  headers[0].name = view("anthropic-ratelimit-unified-status");
  headers[0].value = view("allowed");
  headers[1].name = view("anthropic-ratelimit-unified-5h-utilization");
  headers[1].value = view("0.44");
  headers[2].name = view("anthropic-ratelimit-unified-7d-utilization");
  headers[2].value = view("0.1");
  if (satchel_cascade_observe(cascade, headers, 3, &error) != SATCHEL_OK) {
    printf("nothing of the quota in them: %s\n", error.message);
  }
}

int main(void) {
  static const char directory[] = "quota-cache";
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_credentials credentials = SATCHEL_CREDENTIALS_INIT;
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_library* library = NULL;
  satchel_cascade* cascade = NULL;
  satchel_status status = SATCHEL_OK;
  host.http = endpoint;
  credentials.token = login;
  parts.cache_dir = view(directory); /* left empty: the one that linesmith uses too */
  parts.credentials = &credentials;

  status = satchel_open(&host, NULL, 0, &library, &error);
  if (status == SATCHEL_OK) {
    status = satchel_cascade_open(library, &parts, NULL, 0, &cascade, &error);
  }
  if (status == SATCHEL_OK) {
    print_usage(cascade);
    print_usage(cascade);
    observe(cascade);
    print_usage(cascade);
  } else {
    fprintf(stderr, "%s: %s\n", satchel_status_name(status), error.message);
  }
  satchel_cascade_close(&cascade);
  satchel_close(&library);
  return status == SATCHEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
