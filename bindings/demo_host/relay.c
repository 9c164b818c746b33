#include "relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"
#include "log.h"
#include "proxy.h"

enum {
  MOST_PENDING = 256 * 1024, /* what waits for a slow client, before the upstream is slowed down */
  BLOCK_BYTES = 16 * 1024
};

static int client_fd(const struct exchange* exchange) {
  return MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
      ->connect_fd;
}

/* ------------------------------------------------------------- what the upstream's bytes become */

static size_t waiting(const struct exchange* exchange) {
  return exchange->pending.len - exchange->taken;
}

static void take_head(void* context, const struct response_head* head) {
  struct exchange* exchange = context;
  exchange->status = (unsigned)head->status;
  exchange->plan = cached_response(&exchange->cached, head->status, &head->headers);
}

static enum sink_verdict take_bytes(void* context, const char* data, size_t len) {
  struct exchange* exchange = context;
  if (waiting(exchange) >= MOST_PENDING) return SINK_FULL;
  satchel_view out;
  if (!cached_write(&exchange->cached, data, len, &out)) return SINK_BROKEN;
  /* A view lives until the next call: what the client cannot take now is copied. */
  return bytes_append(&exchange->pending, out.data, out.len) ? SINK_TAKEN : SINK_BROKEN;
}

/* The upstream's response is complete: the library gives its last bytes and commits. */
static bool end_response(struct exchange* exchange) {
  satchel_view last;
  bool ended =
      cached_end(&exchange->cached, &last) && bytes_append(&exchange->pending, last.data, last.len);
  exchange->ending = ended ? ENDING_COMPLETE : ENDING_BROKEN;
  return ended;
}

/* ------------------------------------------------------------------------------------- waiting */

/* While nothing moves for the upstream's sake, the client is not to blame: libmicrohttpd's clock
 * for idle connections starts again when it is set after having been off. */
static bool wait_for_upstream(struct exchange* exchange) {
  MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
  bool wanted = transfer_wait(exchange->transfer);
  MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                            (unsigned)PROXY_IDLE_SECONDS);
  return wanted;
}

/* Until the request is in the hands of the system, or answered. */
static bool send_request(struct exchange* exchange) {
  struct transfer* transfer = exchange->transfer;
  for (;;) {
    transfer_run(transfer);
    if (transfer_is_sent(transfer) || transfer_head(transfer) != NULL) return true;
    if (transfer_is_done(transfer)) return true;
    if (!wait_for_upstream(exchange)) return false;
  }
}

static bool await_head(struct exchange* exchange) {
  struct transfer* transfer = exchange->transfer;
  while (transfer_head(transfer) == NULL && !transfer_is_done(transfer)) {
    if (!wait_for_upstream(exchange)) return false;
    transfer_run(transfer);
  }
  return true;
}

/* A body that the library holds back, or one that cannot be: until it ends, or gets so long that
 * the client should have what there is. */
static bool await_end(struct exchange* exchange) {
  struct transfer* transfer = exchange->transfer;
  while (!transfer_is_done(transfer) && waiting(exchange) < MOST_PENDING) {
    if (!wait_for_upstream(exchange)) return false;
    transfer_run(transfer);
  }
  return true;
}

/* ----------------------------------------------------------------------- to the client, by pull */

/* libmicrohttpd keeps the head back to send it with the first bytes of the body. When those are
 * not there yet, setting TCP_NODELAY lets it go. */
static void push_head(struct exchange* exchange) {
  int on = 1;
  if (exchange->head_pushed) return;
  exchange->head_pushed = true;
  setsockopt(client_fd(exchange), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Ends the response so that the client can never take it for complete. Chunks without their
 * terminator and bodies shorter than their length say so by themselves; an HTTP/1.0 client only
 * knows the end of the connection, so that has to be a reset. */
static ssize_t cut(struct exchange* exchange, enum ending ending) {
  exchange->ending = ending;
  cached_abort(&exchange->cached);
  if (exchange->http_1_0) {
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (connect(client_fd(exchange), &nobody, sizeof nobody) != 0) {
      log_line("warn a connection could not be reset: %s", strerror(errno));
    }
  }
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t break_off(struct exchange* exchange) {
  log_line("warn the response broke off: %s", transfer_details(exchange->transfer));
  return cut(exchange, ENDING_BROKEN);
}

static size_t hand_over(struct exchange* exchange, char* to, size_t max) {
  size_t len = waiting(exchange);
  if (len > max) len = max;
  memcpy(to, exchange->pending.data + exchange->taken, len);
  exchange->taken += len;
  if (exchange->taken == exchange->pending.len) exchange->taken = exchange->pending.len = 0;
  return len;
}

/* Clients hang up at `data: [DONE]`, when they have been given everything. If all that was missing
 * is the upstream's own end, and it is there, then this is not a client that gave up. */
static bool has_everything(struct exchange* exchange) {
  transfer_run(exchange->transfer);
  return waiting(exchange) == 0 && transfer_is_done(exchange->transfer) &&
         !transfer_has_failed(exchange->transfer);
}

/* libmicrohttpd asks for more once the client has taken what it got: so a slow client fills
 * `pending`, then the upstream's socket buffer, and no memory of ours. */
static ssize_t give_bytes(void* context, uint64_t position, char* to, size_t max) {
  struct exchange* exchange = context;
  (void)position;
  for (;;) {
    if (waiting(exchange) > 0) return (ssize_t)hand_over(exchange, to, max);
    if (exchange->ending == ENDING_COMPLETE) return MHD_CONTENT_READER_END_OF_STREAM;
    if (transfer_has_failed(exchange->transfer)) return break_off(exchange);
    if (transfer_is_done(exchange->transfer)) {
      if (!end_response(exchange)) return cut(exchange, ENDING_BROKEN);
      continue;
    }
    transfer_run(exchange->transfer);
    if (waiting(exchange) > 0 || transfer_is_done(exchange->transfer)) continue;
    push_head(exchange);
    if (!wait_for_upstream(exchange) && !has_everything(exchange)) {
      return cut(exchange, ENDING_LEFT);
    }
  }
}

void relay_sent(struct exchange* exchange) {
  if (exchange->ending != ENDING_OPEN || exchange->transfer == NULL) return;
  transfer_run(exchange->transfer);
  if (transfer_is_done(exchange->transfer) && !transfer_has_failed(exchange->transfer)) {
    end_response(exchange);
  }
}

/* -------------------------------------------------------------------------------- the response */

static void copy_headers(struct MHD_Response* response, const struct headers* headers) {
  for (size_t i = 0; i < headers->count; ++i) {
    const struct header* header = &headers->items[i];
    /* libmicrohttpd writes Content-Length itself, from what it is told of the body. */
    if (strcasecmp(header->name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) continue;
    MHD_add_response_header(response, header->name, header->value);
  }
}

static bool has_no_body(const struct exchange* exchange) {
  return strcmp(exchange->method, "HEAD") == 0 || exchange->status == MHD_HTTP_NO_CONTENT ||
         exchange->status == MHD_HTTP_NOT_MODIFIED;
}

static struct MHD_Response* make_response(struct exchange* exchange) {
  const struct response_head* head = transfer_head(exchange->transfer);
  if (exchange->ending == ENDING_COMPLETE && !has_no_body(exchange)) {
    return MHD_create_response_from_buffer(exchange->pending.len, exchange->pending.data,
                                           MHD_RESPMEM_PERSISTENT);
  }
  uint64_t length = MHD_SIZE_UNKNOWN;
  if (exchange->plan == SATCHEL_RESPONSE_AS_IS && head->content_length >= 0) {
    length = (uint64_t)head->content_length;
  }
  struct MHD_Response* response =
      MHD_create_response_from_callback(length, BLOCK_BYTES, give_bytes, exchange, NULL);
  /* Where there is neither a body nor a length, libmicrohttpd still writes the chunk that ends a
   * body, which a client takes for the next response. As if to an HTTP/1.0 client, it does not. */
  if (response != NULL && length == MHD_SIZE_UNKNOWN && has_no_body(exchange) &&
      exchange->status != MHD_HTTP_NO_CONTENT) {
    MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
  }
  return response;
}

static enum MHD_Result queue_response(struct exchange* exchange) {
  struct MHD_Response* response = make_response(exchange);
  if (response == NULL) return MHD_NO;
  copy_headers(response, &transfer_head(exchange->transfer)->headers);
  if (tally_is_stopping(&exchange->host->tally)) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  }
  enum MHD_Result queued = MHD_queue_response(exchange->connection, exchange->status, response);
  MHD_destroy_response(response);
  return queued;
}

static enum MHD_Result answer_upstream_failure(struct exchange* exchange) {
  struct transfer* transfer = exchange->transfer;
  struct bytes message = {NULL, 0, 0};
  bool unreachable = transfer_was_unreachable(transfer);
  const char* code = unreachable ? "upstream_unreachable" : "upstream_failed";
  log_line("warn upstream: %s", transfer_details(transfer));
  cached_abort(&exchange->cached);
  bool ok = bytes_print(&message, "The upstream %s: %s",
                        unreachable ? "cannot be reached" : "failed", transfer_failure(transfer));
  enum MHD_Result queued =
      answer_error(exchange->connection, MHD_HTTP_BAD_GATEWAY, "upstream_error", code,
                   ok ? message.data : "The upstream failed");
  bytes_free(&message);
  exchange->status = MHD_HTTP_BAD_GATEWAY;
  exchange->ending = ENDING_BROKEN;
  return queued;
}

/* ------------------------------------------------------------------------------------ the relay */

static enum MHD_Result pass_on(struct exchange* exchange, const satchel_forward* forward) {
  struct upstream_request request = {.method = exchange->method,
                                     .target = exchange->target,
                                     .target_len = strlen(exchange->target),
                                     .headers = &exchange->headers,
                                     .body = exchange->body.data,
                                     .body_len = exchange->body.len};
  if (forward != NULL) {
    request.target = forward->target.data;
    request.target_len = forward->target.len;
    request.body = forward->body.data;
    request.body_len = forward->body.len;
    /* The usage inside a compressed answer cannot be edited. */
    headers_remove(&exchange->headers, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (forward->body_changed) bytes_free(&exchange->body);
  }
  struct transfer_sink sink = {exchange, take_head, take_bytes};
  exchange->transfer =
      transfer_start(exchange->host->upstream, &request, client_fd(exchange), &sink);
  if (exchange->transfer == NULL) {
    log_line("error no memory or no file descriptor for another transfer");
    return MHD_NO;
  }
  if (!send_request(exchange)) return MHD_NO;
  /* Now the upstream works, usually for much longer than this takes. Earlier would take the
   * processor away from a body that is on its way. */
  cached_classify(&exchange->cached);
  if (!await_head(exchange)) return MHD_NO;
  if (transfer_head(exchange->transfer) == NULL) return answer_upstream_failure(exchange);

  if (exchange->plan == SATCHEL_RESPONSE_HELD || has_no_body(exchange)) {
    if (!await_end(exchange)) return MHD_NO;
    /* Nothing of it has been sent: the client can still be told. */
    if (transfer_has_failed(exchange->transfer)) return answer_upstream_failure(exchange);
    if (transfer_is_done(exchange->transfer)) {
      /* Nothing is committed for a client that left before it was given anything. */
      if (!transfer_is_wanted(exchange->transfer) || !end_response(exchange)) return MHD_NO;
    }
  }
  return queue_response(exchange);
}

enum MHD_Result relay(struct exchange* exchange) {
  satchel_forward forward;
  switch (cached_body(&exchange->cached, exchange->body.data, exchange->body.len, &forward)) {
    case CACHED_AS_IT_IS:
      return pass_on(exchange, NULL);
    case CACHED_FORWARD:
      return pass_on(exchange, &forward);
    case CACHED_REJECTED:
      break;
  }
  exchange->status = (unsigned)forward.http_status;
  exchange->ending = ENDING_COMPLETE;
  return answer_text(exchange->connection, exchange->status, forward.content_type.data,
                     forward.body.data, forward.body.len);
}
