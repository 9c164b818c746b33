/* A prompt, its answers, and the way through a whole request, for the test programs in C. */
#ifndef SATCHEL_TESTS_ABI_SAMPLE_H
#define SATCHEL_TESTS_ABI_SAMPLE_H

#include <satchel/satchel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every model takes part and any prefix is long enough. */
#define SAMPLE_MODELS "\"models\":{\"*\":{\"enabled\":true,\"min_prefix_tokens\":1}}"
/* A busy machine may take its time. */
#define SAMPLE_PATIENCE "\"classify_deadline_ms\":30000,"
#define SAMPLE_CONFIG "{" SAMPLE_PATIENCE SAMPLE_MODELS "}"

/* 64 bytes: sixteen tokens of the byte estimate. */
#define SAMPLE_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Two blocks, each marked; the second for an hour. */
#define SAMPLE_MESSAGES                                                        \
  "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"" SAMPLE_64 \
  "\","                                                                        \
  "\"cache_control\":{\"type\":\"ephemeral\"}}]},"                             \
  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" SAMPLE_64   \
  "\","                                                                        \
  "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}"
#define SAMPLE_BODY "{\"model\":\"m\",\"messages\":[" SAMPLE_MESSAGES "]}"
#define SAMPLE_BODY_STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[" SAMPLE_MESSAGES "]}"

#define SAMPLE_ANSWER                                                         \
  "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]," \
  "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105}}"
#define SAMPLE_ANSWER_STREAM                                                        \
  "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"                      \
  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5," \
  "\"total_tokens\":105}}\n\n"                                                      \
  "data: [DONE]\n\n"

/* Text and length of a literal, as the calls want them. */
#define LITERAL(text) (text), (sizeof(text) - 1)

static inline satchel_view sample_view(const char* text) {
  satchel_view view;
  view.data = text;
  view.len = strlen(text);
  return view;
}

static inline satchel_request_head sample_head(const char* principal) {
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  head.method = sample_view("POST");
  head.target = sample_view("/v1/chat/completions");
  head.principal = sample_view(principal);
  return head;
}

static inline int sample_holds(const char* text, size_t len, const char* part) {
  return memmem(text, len, part, strlen(part)) != NULL;
}

/* What the client got, gathered from views. */
struct sample_text {
  char data[4096];
  size_t len;
};

static inline void sample_append(struct sample_text* text, satchel_view view) {
  if (text->len + view.len > sizeof text->data) abort();
  if (view.len != 0) memcpy(text->data + text->len, view.data, view.len);
  text->len += view.len;
}

/*
 * Sends SAMPLE_BODY or its streaming twin through a request, from new to free, the answer in pieces
 * of `piece` bytes. Stops at the first call that does not return OK and returns its status.
 * `result` and `client` may be NULL.
 */
static inline satchel_status sample_run(satchel_prompt_cache* cache, const char* principal,
                                        int stream, size_t piece, satchel_request_result* result,
                                        struct sample_text* client, satchel_error* error) {
  const satchel_request_head head = sample_head(principal);
  const char* body = stream ? SAMPLE_BODY_STREAM : SAMPLE_BODY;
  const char* answer = stream ? SAMPLE_ANSWER_STREAM : SAMPLE_ANSWER;
  const char* type = stream ? "text/event-stream" : "application/json";
  const size_t answer_len = strlen(answer);
  satchel_request* request = NULL;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_view out = {NULL, 0};
  int32_t plan = 0;
  size_t at = 0;
  satchel_status status = satchel_request_new(cache, &head, &request, error);
  if (status == SATCHEL_OK) {
    status = satchel_request_body(request, body, strlen(body), &forward, error);
  }
  if (status == SATCHEL_OK) status = satchel_request_classify(request, error);
  if (status == SATCHEL_OK) {
    status = satchel_request_response(request, 200, type, strlen(type), NULL, 0, &plan, error);
  }
  while (status == SATCHEL_OK && at < answer_len) {
    const size_t len = answer_len - at < piece ? answer_len - at : piece;
    status = satchel_request_write(request, answer + at, len, &out, error);
    if (status == SATCHEL_OK && client != NULL) sample_append(client, out);
    at += len;
  }
  if (status == SATCHEL_OK) {
    status = satchel_request_end(request, &out, error);
    if (status == SATCHEL_OK && client != NULL) sample_append(client, out);
  }
  if (status == SATCHEL_OK && result != NULL) {
    status = satchel_request_result_get(request, result, error);
  }
  {
    const satchel_status freed = satchel_request_free(&request);
    return status == SATCHEL_OK ? freed : status;
  }
}

/* A new empty directory; abort() if there can be none. The caller gives the text back to free(). */
static inline char* sample_directory(void) {
  char* path = strdup("/tmp/satchel-abi-XXXXXX");
  if (path == NULL || mkdtemp(path) == NULL) abort();
  return path;
}

static inline void sample_remove_directory(char* path) {
  char command[256];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", path);
  free(path);
}

/* Opens a prompt cache over a SQLite index in `directory`. */
static inline satchel_status sample_open_sqlite(satchel_library* library, const char* directory,
                                                satchel_prompt_cache** out, satchel_error* error) {
  char config[512];
  const int len = snprintf(
      config, sizeof config,
      "{\"index\":{\"kind\":\"sqlite\",\"path\":\"%s\"}," SAMPLE_PATIENCE SAMPLE_MODELS "}",
      directory);
  return satchel_prompt_cache_open(library, NULL, config, (size_t)len, out, error);
}

#endif
