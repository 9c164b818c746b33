#include "cached_request.h"

#include <string.h>

#include "log.h"

static satchel_view view_of(const char* text) {
  return text == NULL ? (satchel_view){NULL, 0} : (satchel_view){text, strlen(text)};
}

static void log_failure(const struct cached_request* cached, const char* call,
                        satchel_status status, const satchel_error* error) {
  log_line("warn satchel_%s: %s: %s", call, cached->library->status_name(status), error->message);
}

bool cached_begin(struct cached_request* cached, const struct prompt_cache* prompt_cache,
                  const char* method, const char* target, const struct headers* headers) {
  *cached = (struct cached_request){&prompt_cache->library, NULL, false};
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  head.method = view_of(method);
  head.target = view_of(target);
  head.authorization = view_of(headers_value(headers, "authorization"));
  /* Some services take the key in a header of its own. */
  if (head.authorization.len == 0) head.api_key = view_of(headers_value(headers, "api-key"));
  satchel_status status =
      cached->library->request_new(prompt_cache->cache, &head, &cached->request, &error);
  if (status < 0) log_failure(cached, "request_new", status, &error);
  cached->walking = status == SATCHEL_OK;
  return cached->walking;
}

enum cached_body cached_body(struct cached_request* cached, const char* body, size_t len,
                             satchel_forward* forward) {
  *forward = (satchel_forward)SATCHEL_FORWARD_INIT;
  if (!cached->walking) return CACHED_AS_IT_IS;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status =
      cached->library->request_body(cached->request, len > 0 ? body : "", len, forward, &error);
  if (status == SATCHEL_OK) return CACHED_FORWARD;
  cached->walking = false;
  if (status == SATCHEL_REJECTED) return CACHED_REJECTED;
  if (status < 0) log_failure(cached, "request_body", status, &error);
  return CACHED_AS_IT_IS;
}

void cached_classify(struct cached_request* cached) {
  if (!cached->walking) return;
  satchel_error error = SATCHEL_ERROR_INIT;
  /* Nobody is to be called back: the call that needs the answer waits for it. */
  satchel_status status =
      cached->library->request_classify_start(cached->request, NULL, NULL, &error);
  if (status < 0) log_failure(cached, "request_classify_start", status, &error);
}

int32_t cached_response(struct cached_request* cached, int status, const struct headers* headers) {
  if (!cached->walking) return SATCHEL_RESPONSE_AS_IS;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_view type = view_of(headers_value(headers, "content-type"));
  satchel_view encoding = view_of(headers_value(headers, "content-encoding"));
  int32_t plan = SATCHEL_RESPONSE_AS_IS;
  satchel_status answer = cached->library->request_response(
      cached->request, status, type.data, type.len, encoding.data, encoding.len, &plan, &error);
  if (answer >= 0) return plan;
  log_failure(cached, "request_response", answer, &error);
  cached->walking = false;
  return SATCHEL_RESPONSE_AS_IS;
}

bool cached_write(struct cached_request* cached, const char* data, size_t len, satchel_view* out) {
  *out = (satchel_view){data, len};
  if (!cached->walking) return true;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = cached->library->request_write(cached->request, data, len, out, &error);
  if (status >= 0) return true;
  log_failure(cached, "request_write", status, &error);
  return false;
}

bool cached_end(struct cached_request* cached, satchel_view* out) {
  *out = (satchel_view){NULL, 0};
  if (!cached->walking) return true;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = cached->library->request_end(cached->request, out, &error);
  if (status >= 0) return true;
  log_failure(cached, "request_end", status, &error);
  return false;
}

void cached_abort(struct cached_request* cached) {
  if (!cached->walking) return;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = cached->library->request_abort(cached->request, &error);
  if (status < 0) log_failure(cached, "request_abort", status, &error);
  cached->walking = false;
}

void cached_finish(struct cached_request* cached, satchel_request_result* result) {
  *result = (satchel_request_result)SATCHEL_REQUEST_RESULT_INIT;
  if (cached->request == NULL) return;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = cached->library->request_result_get(cached->request, result, &error);
  if (status < 0) log_failure(cached, "request_result_get", status, &error);
  /* A request that was not ended has been aborted by this. */
  status = cached->library->request_free(&cached->request);
  if (status < 0) log_failure(cached, "request_free", status, &error);
  cached->walking = false;
}
