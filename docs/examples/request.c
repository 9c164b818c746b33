/* Puts four requests through libsatchel. Client and upstream are played by functions of this
 * program, so that it runs anywhere; where they stand, a proxy has its own. */
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

static void complain(const char* call, satchel_status status, const satchel_error* error) {
  fprintf(stderr, "%s: %s: %s\n", call, satchel_status_name(status), error->message);
}

/* ------------------------------------------------------------------------ what a proxy has */

struct response {
  int32_t http_status;
  const char* content_type;
  const char* pieces[4]; /* as they come from the socket, cut anywhere; NULL ends them */
};

static struct response whole = {200,
                                "application/json",
                                {"{\"choices\":[{\"message\":{\"content\":\"Hi\"}}],\"usage\":{",
                                 "\"prompt_tokens\":40,\"completion_tokens\":1}}", NULL, NULL}};
static struct response streamed = {
    200,
    "text/event-stream",
    {"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: ",
     "{\"choices\":[],\"usage\":{\"prompt_tokens\":40}}\n", "\ndata: [DONE]\n\n", NULL}};

static const struct response* call_upstream(satchel_view target, satchel_view body) {
  static const char stream[] = "\"stream\":true";
  size_t i = 0;
  printf("  upstream gets %lu bytes for %.*s\n", (unsigned long)body.len, (int)target.len,
         target.data);
  for (i = 0; i + sizeof stream - 1 <= body.len; ++i) {
    if (memcmp(body.data + i, stream, sizeof stream - 1) == 0) return &streamed;
  }
  return &whole;
}

static void answer_client(satchel_view bytes) { fwrite(bytes.data, 1, bytes.len, stdout); }

/* --------------------------------------------------------------------- a request's whole life */

enum next { WITH_US, WITHOUT_US, ANSWERED };

/* From the request to what goes upstream: forward->body to forward->target, unless ANSWERED. */
static enum next begin(satchel_prompt_cache* cache, const satchel_request_head* head,
                       satchel_view body, satchel_request** request, satchel_forward* forward) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = satchel_request_new(cache, head, request, &error);
  if (status == SATCHEL_OK) {
    status = satchel_request_body(*request, body.data, body.len, forward, &error);
  }
  if (status == SATCHEL_OK) return WITH_US;
  if (status == SATCHEL_REJECTED) { /* the client's mistake: nothing goes upstream */
    printf("  client gets %d: ", (int)forward->http_status);
    answer_client(forward->body);
    printf("\n");
    return ANSWERED;
  }
  /* PASS_THROUGH, or an error: the request goes on without us, at full price. */
  if (status < 0) complain("begin", status, &error);
  forward->body = body;
  if (forward->target.len == 0) forward->target = head->target;
  return WITHOUT_US;
}

/* From the response to the client. 0: break the client's connection. */
static int relay(satchel_request* request, const struct response* response) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = SATCHEL_OK;
  satchel_view out = {NULL, 0};
  int32_t plan = SATCHEL_RESPONSE_AS_IS;
  size_t i = 0;
  status = satchel_request_response(request, response->http_status, response->content_type,
                                    strlen(response->content_type), NULL, 0, &plan, &error);
  if (plan != SATCHEL_RESPONSE_AS_IS) printf("  (drop Content-Length)\n");
  for (i = 0; status >= 0 && response->pieces[i] != NULL; ++i) {
    satchel_view piece = view(response->pieces[i]);
    status = satchel_request_write(request, piece.data, piece.len, &out, &error);
    if (status >= 0) answer_client(out); /* now: out is valid until the next call */
  }
  if (status >= 0) {
    status = satchel_request_end(request, &out, &error);
    if (status >= 0) answer_client(out);
  }
  printf("\n");
  if (status < 0) complain("relay", status, &error);
  return status >= 0;
}

/* What the client gets where the library has nothing to do with it. */
static void relay_as_it_is(const struct response* response) {
  size_t i = 0;
  for (i = 0; response->pieces[i] != NULL; ++i) answer_client(view(response->pieces[i]));
  printf("\n");
}

static void proxy(satchel_prompt_cache* cache, const char* target, const char* body_text) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_request* request = NULL;
  const struct response* response = NULL;
  enum next next = ANSWERED;

  printf("POST %s\n", target);
  head.method = view("POST");
  head.target = view(target);
  head.authorization = view("Bearer sk-1");
  next = begin(cache, &head, view(body_text), &request, &forward);
  if (next != ANSWERED) response = call_upstream(forward.target, forward.body);
  if (next == WITHOUT_US) relay_as_it_is(response);
  if (next == WITH_US) {
    /* Between sending to the upstream and reading from it: the time costs nobody anything. */
    satchel_request_classify(request, &error);
    if (!relay(request, response)) printf("  the client's connection is broken\n");
    if (satchel_request_result_get(request, &result, &error) == SATCHEL_OK) {
      printf("  read %lu, created %lu, commit %d\n", (unsigned long)result.read,
             (unsigned long)result.creation_5m, (int)result.commit);
    }
  }
  satchel_request_free(&request); /* the views in forward end here; NULL is fine */
}

int main(void) {
  static const char config[] =
      "{\"models\": {\"*\": {\"enabled\": true, \"min_prefix_tokens\": 16}}}";
#define PROMPT(type)                                                                               \
  "\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"You are "         \
  "careful. "                                                                                      \
  "You think before you answer, and say what you do not know. You are brief.\",\"cache_control\":" \
  "{\"type\":\"" type "\"}}]},{\"role\":\"user\",\"content\":\"Hello\"}]}"
  static const char first[] = "{\"model\":\"any\"," PROMPT("ephemeral");
  static const char second[] = "{\"model\":\"any\",\"stream\":true," PROMPT("ephemeral");
  static const char wrong[] = "{\"model\":\"any\"," PROMPT("eternal");

  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_status status = satchel_open(NULL, NULL, 0, &library, &error);
  if (status == SATCHEL_OK) {
    status = satchel_prompt_cache_open(library, NULL, config, sizeof config - 1, &cache, &error);
  }
  if (status != SATCHEL_OK) {
    complain("open", status, &error);
    satchel_close(&library);
    return EXIT_FAILURE;
  }
  proxy(cache, "/v1/chat/completions", first);
  proxy(cache, "/v1/chat/completions", second);
  proxy(cache, "/v1/chat/completions", wrong);
  proxy(cache, "/v1/embeddings", "{\"input\":\"Hello\"}");

  satchel_prompt_cache_close(&cache); /* waits for what is on its way to the index */
  satchel_close(&library);
  return EXIT_SUCCESS;
}
