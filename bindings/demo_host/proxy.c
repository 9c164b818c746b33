#include "proxy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "exchange.h"
#include "health.h"
#include "log.h"
#include "relay.h"

enum {
  /* For one connection's heads, both ways, and the chunks of its response. */
  CONNECTION_BYTES = 128 * 1024,
  MOST_RESERVED = 4 * 1024 * 1024,
  /* Read and thrown away of a body that is too large, so that its sender gets to see why. */
  MOST_DISCARDED = 256 * 1024 * 1024,
  STACK_BYTES = 2 * 1024 * 1024
};

/* ---------------------------------------------------------------------------- the request's head
 */

/* "http://host/path" is the same to us as "/path", and "http://host?query" as "/?query". */
static char* origin_form(const char* target) {
  bool is_absolute =
      strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0;
  if (!is_absolute) return strdup(target);
  const char* host = strstr(target, "://") + 3;
  const char* rest = host + strcspn(host, "/?#"); /* a slash in a query begins no path */
  size_t len = strlen(rest);
  char* origin = malloc(len + 2);
  if (origin == NULL) return NULL;
  size_t slash = *rest == '/' ? 0 : 1;
  origin[0] = '/';
  memcpy(origin + slash, rest, len + 1);
  return origin;
}

/* The request line is there. libmicrohttpd shows the target as it came only here; what it passes
 * on later is decoded. */
static void* on_target(void* context, const char* target, struct MHD_Connection* connection) {
  struct exchange* exchange = calloc(1, sizeof *exchange);
  if (exchange == NULL) return NULL;
  exchange->host = context;
  exchange->connection = connection;
  exchange->target = origin_form(target);
  clock_gettime(CLOCK_MONOTONIC, &exchange->began);
  if (exchange->target != NULL) return exchange;
  free(exchange);
  return NULL;
}

static void refuse(struct exchange* exchange, unsigned status, const char* code,
                   const char* message) {
  if (exchange->refusal.status != 0) return;
  exchange->refusal = (struct refusal){
      status, status < 500 ? "invalid_request_error" : "server_error", code, message};
}

static enum MHD_Result answer_refusal(struct exchange* exchange) {
  const struct refusal* refusal = &exchange->refusal;
  exchange->status = refusal->status;
  exchange->ending = ENDING_COMPLETE;
  return answer_error(exchange->connection, refusal->status, refusal->type, refusal->code,
                      refusal->message);
}

struct collected {
  struct exchange* exchange;
  enum headers_verdict verdict;
};

static enum MHD_Result collect_header(void* context, enum MHD_ValueKind kind, const char* name,
                                      size_t name_len, const char* value, size_t value_len) {
  struct collected* collected = context;
  (void)kind;
  if (value == NULL) value_len = 0;
  collected->verdict = headers_add(&collected->exchange->headers, name, name_len,
                                   value_len > 0 ? value : "", value_len);
  return collected->verdict == HEADERS_TAKEN ? MHD_YES : MHD_NO;
}

static bool is_printable(const char* text) {
  for (; *text != '\0'; ++text) {
    if ((unsigned char)*text <= 0x20 || *text == 0x7f) return false;
  }
  return true;
}

static bool is_target(const char* target) {
  return is_printable(target) && (*target == '/' || strcmp(target, "*") == 0);
}

/* Where a body ends must be beyond doubt, or two programs in a row disagree about it. */
static bool is_framed_clearly(const struct headers* headers) {
  const char* encoding = headers_value(headers, "transfer-encoding");
  if (encoding != NULL &&
      (strcasecmp(encoding, "chunked") != 0 || headers_count(headers, "transfer-encoding") > 1)) {
    return false;
  }
  return headers_count(headers, "content-length") <= 1;
}

static void read_head(struct exchange* exchange) {
  struct headers* headers = &exchange->headers;
  struct collected collected = {exchange, HEADERS_TAKEN};
  MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, collect_header, &collected);
  exchange->framed = is_framed_clearly(headers);
  if (collected.verdict == HEADERS_TOO_LARGE) {
    refuse(exchange, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large",
           "The headers of the request are too large");
  } else if (strcmp(exchange->method, "CONNECT") == 0) {
    refuse(exchange, MHD_HTTP_NOT_IMPLEMENTED, "not_implemented", "CONNECT is not supported");
  } else if (collected.verdict != HEADERS_TAKEN || !is_printable(exchange->method) ||
             !is_target(exchange->target)) {
    refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_request",
           "The request line or a header is invalid");
  } else if (!exchange->framed) {
    refuse(exchange, MHD_HTTP_BAD_REQUEST, "invalid_framing",
           "The length of the request is not clear");
  }
  headers_remove_hop_by_hop(headers);
  headers_remove(headers, MHD_HTTP_HEADER_HOST);   /* the upstream has its own */
  headers_remove(headers, MHD_HTTP_HEADER_EXPECT); /* answered by libmicrohttpd */
}

static bool asks_for(const struct exchange* exchange, const char* path) {
  size_t len = strcspn(exchange->target, "?");
  return len == strlen(path) && strncmp(exchange->target, path, len) == 0;
}

static bool is_health(const struct exchange* exchange) { return asks_for(exchange, "/healthz"); }
static bool is_metrics(const struct exchange* exchange) { return asks_for(exchange, "/metrics"); }

/* Answered here whatever the upstream may have there, so that its own never leave it this way. */
static bool is_ours(const struct exchange* exchange) {
  return is_health(exchange) || is_metrics(exchange);
}

/* A body that comes as announced is then never moved. Not more than a usual one: anybody can
 * announce anything. */
static void reserve_body(struct exchange* exchange) {
  const char* length = headers_value(&exchange->headers, MHD_HTTP_HEADER_CONTENT_LENGTH);
  unsigned long long announced = length != NULL ? strtoull(length, NULL, 10) : 0;
  if (announced > MOST_RESERVED) announced = MOST_RESERVED;
  if (announced > exchange->body_limit) announced = exchange->body_limit;
  bytes_reserve(&exchange->body, (size_t)announced);
}

static enum MHD_Result begin(struct exchange* exchange, const char* method, const char* version) {
  const struct prompt_cache* prompt_cache = &exchange->host->prompt_cache;
  exchange->begun = true;
  exchange->method = method;
  exchange->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
  exchange->body_limit = (size_t)prompt_cache->max_body;
  read_head(exchange);
  /* Refused at once where nobody can say how much would have to be read first; libmicrohttpd then
   * closes the connection. */
  if (!exchange->framed) return answer_refusal(exchange);
  if (exchange->refusal.status != 0 || is_ours(exchange)) return MHD_YES;
  reserve_body(exchange);
  /* Written anew for what is sent. */
  headers_remove(&exchange->headers, MHD_HTTP_HEADER_CONTENT_LENGTH);
  exchange->counted = tally_begin(&exchange->host->tally);
  if (!exchange->counted) {
    refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping", "The proxy is being stopped");
    return MHD_YES;
  }
  exchange->cacheable =
      cached_begin(&exchange->cached, prompt_cache, method, exchange->target, &exchange->headers);
  /* The library itself rejects what is longer than its limit. */
  if (exchange->cacheable) ++exchange->body_limit;
  return MHD_YES;
}

/* ------------------------------------------------------------------------ its body, and its end */

static enum MHD_Result take_body(struct exchange* exchange, const char* data, size_t* len) {
  size_t room = exchange->body_limit - exchange->body.len;
  size_t taken = *len < room ? *len : room;
  if (exchange->refusal.status != 0 || is_ours(exchange)) taken = 0;
  if (taken > 0 && !bytes_append(&exchange->body, data, taken)) return MHD_NO;
  exchange->body_discarded += *len - taken;
  *len = 0;
  return exchange->body_discarded <= MOST_DISCARDED ? MHD_YES : MHD_NO;
}

static enum MHD_Result answer_ours(struct exchange* exchange) {
  if (strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0) {
    return is_metrics(exchange) ? metrics_answer(exchange->host, exchange->connection)
                                : health_answer(exchange->host, exchange->connection);
  }
  refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", "Ask with GET");
  return answer_refusal(exchange);
}

/* The request is complete: everything else happens on this thread, the connection's own. */
static enum MHD_Result answer(struct exchange* exchange) {
  if (exchange->body_discarded > 0 && !exchange->cacheable && !is_ours(exchange)) {
    refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "request_too_large",
           "The body of the request is too large");
  }
  if (exchange->refusal.status != 0) return answer_refusal(exchange);
  if (is_ours(exchange)) return answer_ours(exchange);
  return relay(exchange);
}

/* Called with the head, then with each piece of the body, then once more. */
static enum MHD_Result on_request(void* context, struct MHD_Connection* connection, const char* url,
                                  const char* method, const char* version, const char* data,
                                  size_t* len, void** slot) {
  struct exchange* exchange = *slot;
  (void)context;
  (void)connection;
  (void)url;
  if (exchange == NULL) return MHD_NO; /* there was no memory for it */
  if (!exchange->begun) return begin(exchange, method, version);
  if (*len > 0) return take_body(exchange, data, len);
  return answer(exchange);
}

/* --------------------------------------------------------------------------------- and afterwards
 */

static const char* name_of_commit(int32_t commit) {
  static const char* const names[] = {"open",         "nothing",       "handed-over",
                                      "veto-non-2xx", "veto-no-usage", "veto-error-frame",
                                      "veto-aborted", "dropped"};
  return commit >= 0 && (size_t)commit < sizeof names / sizeof *names ? names[commit] : "?";
}

static long long microseconds_since(const struct timespec* then) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)(now.tv_sec - then->tv_sec) * 1000000 + (now.tv_nsec - then->tv_nsec) / 1000;
}

/* The path without its query, where keys may be; no header, no body. */
static void log_exchange(const struct exchange* exchange, const satchel_request_result* result) {
  static const char* const endings[] = {"open", "complete", "broken", "left"};
  const char* cache = exchange->cacheable ? "inactive" : "none";
  if (result->active) cache = "active";
  if (result->degraded) cache = "degraded";
  log_line("info %s %.*s %u %s us=%lld cache=%s read=%" PRIu64 " 5m=%" PRIu64 " 1h=%" PRIu64
           " 24h=%" PRIu64 " prompt=%" PRIu64 " commit=%s library_us=%" PRIu64,
           exchange->method, (int)strcspn(exchange->target, "?"), exchange->target,
           exchange->status, endings[exchange->ending], microseconds_since(&exchange->began), cache,
           result->read, result->creation_5m, result->creation_1h, result->creation_24h,
           result->prompt_tokens, name_of_commit(result->commit), result->library_ns / 1000);
}

static void on_completed(void* context, struct MHD_Connection* connection, void** slot,
                         enum MHD_RequestTerminationCode code) {
  struct exchange* exchange = *slot;
  satchel_request_result result;
  (void)context;
  (void)connection;
  if (exchange == NULL) return;
  *slot = NULL;
  if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK) relay_sent(exchange);
  if (exchange->ending == ENDING_OPEN) exchange->ending = ENDING_LEFT;
  if (exchange->ending != ENDING_COMPLETE) cached_abort(&exchange->cached);
  transfer_finish(exchange->transfer); /* before the library frees the body it sends */
  cached_finish(&exchange->cached, &result);
  if (exchange->counted) {
    if (log_is_verbose()) log_exchange(exchange, &result);
    tally_end(&exchange->host->tally, result.library_ns);
  }
  headers_free(&exchange->headers);
  bytes_free(&exchange->body);
  bytes_free(&exchange->pending);
  free(exchange->target);
  free(exchange);
}

static void on_complaint(void* context, const char* format, va_list arguments) {
  (void)context;
  if (log_is_verbose()) log_line_va(format, arguments);
}

static void on_connection(void* context, struct MHD_Connection* connection, void** slot,
                          enum MHD_ConnectionNotificationCode code) {
  struct host* host = context;
  (void)connection;
  (void)slot;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) acceptor_release(&host->acceptor);
}

/* One thread a connection. It carries its requests from end to end and may block: in the library,
 * which looks into an index, and in the upstream's slowness. Nobody else waits for it. */
struct MHD_Daemon* proxy_start(struct host* host) {
  enum {
    FLAGS = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG | MHD_USE_SUPPRESS_DATE_NO_CLOCK
  };
  /* libmicrohttpd counts a connection for a moment longer than it reports it as open. */
  unsigned limit = host->acceptor.limit * 2 + 16;
  return MHD_start_daemon(
      FLAGS, 0, NULL, NULL, on_request, host, MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL,
      MHD_OPTION_URI_LOG_CALLBACK, on_target, host, MHD_OPTION_NOTIFY_COMPLETED, on_completed, host,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, host, MHD_OPTION_CONNECTION_LIMIT, limit,
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)PROXY_IDLE_SECONDS,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
      (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
      MHD_OPTION_END);
}
