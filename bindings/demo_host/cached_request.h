/* One request's walk through the library, in the order in which a proxy has the data.
 *
 *   cached_begin      the head came            satchel_request_new
 *   cached_body       the body is complete     satchel_request_body
 *   cached_classify   the upstream works       satchel_request_classify_start
 *   cached_response   its head came            satchel_request_response
 *   cached_write      its bytes come           satchel_request_write
 *   cached_end        it ended as it should    satchel_request_end
 *   cached_abort      ... or did not           satchel_request_abort
 *   cached_finish     everything is sent       satchel_request_result_get, satchel_request_free
 *
 * What is not the library's business walks the same way and comes out unchanged, so that the proxy
 * has one path. A library that fails never fails the request: it goes on uncached, unless bytes of
 * the response are inside the library, which cannot be got back.
 *
 * One thread at a time: a satchel_request belongs to the thread that uses it. */
#ifndef DEMO_HOST_CACHED_REQUEST_H
#define DEMO_HOST_CACHED_REQUEST_H

#include <stdbool.h>

#include "headers.h"
#include "prompt_cache.h"

struct cached_request {
  const struct library* library;
  satchel_request* request;
  bool walking; /* the library takes part, and calls go on */
};

/* Whether the library takes part: a POST to .../chat/completions. */
bool cached_begin(struct cached_request* cached, const struct prompt_cache* prompt_cache,
                  const char* method, const char* target, const struct headers* headers);

enum cached_body { CACHED_AS_IT_IS, CACHED_FORWARD, CACHED_REJECTED };

/* FORWARD: send forward->body to forward->target. REJECTED: answer with forward->http_status,
 * ->content_type and ->body. Views are valid until cached_finish. */
enum cached_body cached_body(struct cached_request* cached, const char* body, size_t len,
                             satchel_forward* forward);

void cached_classify(struct cached_request* cached);

/* SATCHEL_RESPONSE_*: what becomes of the length. */
int32_t cached_response(struct cached_request* cached, int status, const struct headers* headers);

/* False: the response cannot go on, break the client's connection. *out is valid until the next
 * call. */
bool cached_write(struct cached_request* cached, const char* data, size_t len, satchel_view* out);
bool cached_end(struct cached_request* cached, satchel_view* out);

/* Nothing is committed. */
void cached_abort(struct cached_request* cached);

/* Fills `result` with what became of it (zeros where the library took no part), frees. */
void cached_finish(struct cached_request* cached, satchel_request_result* result);

#endif
