#include "transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
  CONNECT_TIMEOUT_MS = 10000,
  WAIT_MS = 60000,
  /* A request on a connection that the server closes in that moment can be lost to a reset, and
   * whether to pay for it twice is the client's to decide. Usual servers close idle connections
   * after five seconds or more: one that was idle for nearly that long is not used again. */
  MOST_IDLE_SECONDS = 4
};

/* Kept from request to request, with the connection inside `multi`. There are never more than there
 * are client connections. */
struct transfer {
  struct upstream* upstream;
  struct transfer* next;
  CURLM* multi;
  CURL* easy;
  int watch; /* epoll: readable when the client has left or the host is ending */

  /* of one request */
  struct transfer_sink sink;
  struct curl_slist* lines;
  char* target;
  int client_fd;
  size_t body_len;
  struct response_head head;
  bool head_done;
  bool paused;
  bool done;
  CURLcode result;
  const char* complaint; /* ours, where curl's own would not tell */
  char details[CURL_ERROR_SIZE];
};

/* ------------------------------------------------------------------------------ the response */

static size_t refuse(struct transfer* transfer, const char* complaint) {
  transfer->complaint = complaint;
  return 0; /* not the length: curl gives up */
}

/* -1 where the response does not say. The header's own number, not curl's: for a response without
 * a body it is the length that a body would have. */
static int64_t read_length(const struct headers* headers) {
  const char* text = headers_value(headers, "content-length");
  if (text == NULL || headers_value(headers, "transfer-encoding") != NULL) return -1;
  if (*text == '\0' || text[strspn(text, "0123456789")] != '\0') return -1;
  errno = 0;
  long long length = strtoll(text, NULL, 10);
  return errno == 0 ? (int64_t)length : -1;
}

static void finish_head(struct transfer* transfer) {
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return; /* an interim response: the real one follows */
  transfer->head.content_length = read_length(&transfer->head.headers);
  headers_remove_hop_by_hop(&transfer->head.headers);
  transfer->head.status = (int)status;
  transfer->head_done = true;
  transfer->sink.head(transfer->sink.context, &transfer->head);
}

static size_t take_header_line(char* line, size_t size, size_t count, void* context) {
  struct transfer* transfer = context;
  size_t given = size * count;
  size_t len = given;
  if (transfer->head_done) return given; /* a trailer: belongs to the hop */
  while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) --len;
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
    headers_free(&transfer->head.headers); /* those of an interim response */
    return given;
  }
  if (len == 0) {
    finish_head(transfer);
    return given;
  }
  const char* colon = memchr(line, ':', len);
  if (colon == NULL) return refuse(transfer, "Its response has a header without a colon");
  if (headers_value(&transfer->head.headers, "content-length") != NULL &&
      strncasecmp(line, "content-length:", 15) == 0) {
    return refuse(transfer, "Its response has two lengths");
  }
  const char* value = colon + 1;
  const char* end = line + len;
  while (value < end && (*value == ' ' || *value == '\t')) ++value;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) --end;
  switch (headers_add(&transfer->head.headers, line, (size_t)(colon - line), value,
                      (size_t)(end - value))) {
    case HEADERS_TAKEN:
      return given;
    case HEADERS_TOO_LARGE:
      return refuse(transfer, "The headers of its response are too large");
    case HEADERS_NO_MEMORY:
      return refuse(transfer, "Out of memory");
    case HEADERS_INVALID:
      break;
  }
  return refuse(transfer, "Its response has an invalid header");
}

static size_t take_bytes(char* data, size_t size, size_t count, void* context) {
  struct transfer* transfer = context;
  switch (transfer->sink.bytes(transfer->sink.context, data, size * count)) {
    case SINK_TAKEN:
      return size * count;
    case SINK_FULL:
      transfer->paused = true;
      return CURL_WRITEFUNC_PAUSE;
    case SINK_BROKEN:
      break;
  }
  return refuse(transfer, "Its response cannot be passed on");
}

/* ------------------------------------------------------------------------- transfers, pooled */

static void free_transfer(struct transfer* transfer) {
  curl_easy_cleanup(transfer->easy);
  curl_multi_cleanup(transfer->multi);
  if (transfer->watch >= 0) close(transfer->watch);
  free(transfer);
}

static void set_up(struct transfer* transfer) {
  CURL* easy = transfer->easy;
  curl_easy_setopt(easy, CURLOPT_URL, transfer->upstream->url);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not even where the environment names one */
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)MOST_IDLE_SECONDS);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->details);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header_line);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

static struct transfer* new_transfer(struct upstream* upstream) {
  struct transfer* transfer = calloc(1, sizeof *transfer);
  if (transfer == NULL) return NULL;
  transfer->upstream = upstream;
  transfer->multi = curl_multi_init();
  transfer->easy = curl_easy_init();
  transfer->watch = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event ending = {.events = EPOLLIN};
  if (transfer->multi == NULL || transfer->easy == NULL || transfer->watch < 0 ||
      epoll_ctl(transfer->watch, EPOLL_CTL_ADD, upstream->ending_fd, &ending) != 0) {
    free_transfer(transfer);
    return NULL;
  }
  curl_multi_setopt(transfer->multi, CURLMOPT_MAXCONNECTS, 1L);
  set_up(transfer);
  return transfer;
}

void transfer_free_idle(struct upstream* upstream) {
  while (upstream->idle != NULL) {
    struct transfer* transfer = upstream->idle;
    upstream->idle = transfer->next;
    free_transfer(transfer);
  }
}

static struct transfer* take_idle(struct upstream* upstream) {
  pthread_mutex_lock(&upstream->mutex);
  struct transfer* transfer = upstream->idle;
  if (transfer != NULL) upstream->idle = transfer->next;
  pthread_mutex_unlock(&upstream->mutex);
  return transfer != NULL ? transfer : new_transfer(upstream);
}

static void put_back(struct transfer* transfer) {
  struct upstream* upstream = transfer->upstream;
  pthread_mutex_lock(&upstream->mutex);
  transfer->next = upstream->idle;
  upstream->idle = transfer;
  pthread_mutex_unlock(&upstream->mutex);
}

/* ------------------------------------------------------------------------------- the request */

/* curl keeps API keys in these lines. */
static void wipe_lines(struct curl_slist* lines) {
  for (struct curl_slist* line = lines; line != NULL; line = line->next) {
    explicit_bzero(line->data, strlen(line->data));
  }
  curl_slist_free_all(lines);
}

static bool add_line(struct transfer* transfer, const char* line) {
  struct curl_slist* longer = curl_slist_append(transfer->lines, line);
  if (longer != NULL) transfer->lines = longer;
  return longer != NULL;
}

static bool add_header(struct transfer* transfer, const struct header* header) {
  struct bytes line = {NULL, 0, 0};
  /* A semicolon is curl's way of writing a header without a value. */
  bool ok = *header->value == '\0' ? bytes_print(&line, "%s;", header->name)
                                   : bytes_print(&line, "%s: %s", header->name, header->value);
  /* bytes_print ends with a NUL. */
  ok = ok && add_line(transfer, line.data);
  if (line.data != NULL) explicit_bzero(line.data, line.len);
  bytes_free(&line);
  return ok;
}

static bool add_headers(struct transfer* transfer, const struct headers* headers) {
  /* What curl adds by itself where the client sent none; named without a value, it is left out. */
  static const char* const curls_own[][2] = {{"Accept", "Accept:"},
                                             {"Content-Type", "Content-Type:"},
                                             {"Expect", "Expect:"},
                                             {"User-Agent", "User-Agent:"}};
  bool ok = true;
  for (size_t i = 0; ok && i < sizeof curls_own / sizeof *curls_own; ++i) {
    if (headers_value(headers, curls_own[i][0]) == NULL) ok = add_line(transfer, curls_own[i][1]);
  }
  for (size_t i = 0; ok && i < headers->count; ++i) {
    ok = add_header(transfer, &headers->items[i]);
  }
  return ok;
}

static bool set_target(struct transfer* transfer, const struct upstream_request* request) {
  const char* path = transfer->upstream->path;
  bool is_path = request->target_len > 0 && request->target[0] == '/'; /* and not "*" */
  size_t prefix = is_path ? strlen(path) : 0;
  transfer->target = malloc(prefix + request->target_len + 1);
  if (transfer->target == NULL) return false;
  memcpy(transfer->target, path, prefix);
  memcpy(transfer->target + prefix, request->target, request->target_len);
  transfer->target[prefix + request->target_len] = '\0';
  /* Not as part of the URL, which curl would tidy up: this goes out byte for byte. */
  return curl_easy_setopt(transfer->easy, CURLOPT_REQUEST_TARGET, transfer->target) == CURLE_OK;
}

static bool sends_length(const struct upstream_request* request) {
  return request->body_len > 0 || strcmp(request->method, "POST") == 0 ||
         strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;
}

static void set_method(struct transfer* transfer, const struct upstream_request* request) {
  CURL* easy = transfer->easy;
  curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forgets the last request's method and body */
  transfer->body_len = 0;
  if (strcmp(request->method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (sends_length(request)) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body_len > 0 ? request->body : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    transfer->body_len = request->body_len;
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool watch_client(struct transfer* transfer, int client_fd) {
  /* Not EPOLLIN: a pipelined request is no reason to wake. A client that only closed its sending
   * side counts as gone, as it does for other proxies: the two look the same from here. */
  struct epoll_event leaving = {.events = EPOLLRDHUP};
  if (epoll_ctl(transfer->watch, EPOLL_CTL_ADD, client_fd, &leaving) != 0) return false;
  transfer->client_fd = client_fd;
  return true;
}

struct transfer* transfer_start(struct upstream* upstream, const struct upstream_request* request,
                                int client_fd, const struct transfer_sink* sink) {
  struct transfer* transfer = take_idle(upstream);
  if (transfer == NULL) return NULL;
  transfer->sink = *sink;
  transfer->lines = NULL;
  transfer->target = NULL;
  transfer->client_fd = -1;
  transfer->head = (struct response_head){0, -1, {NULL, 0, 0, 0}};
  transfer->head_done = transfer->paused = transfer->done = false;
  transfer->result = CURLE_OK;
  transfer->complaint = NULL;
  transfer->details[0] = '\0';
  bool ok = set_target(transfer, request) && add_headers(transfer, request->headers) &&
            watch_client(transfer, client_fd);
  if (ok) {
    set_method(transfer, request);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
    ok = curl_multi_add_handle(transfer->multi, transfer->easy) == CURLM_OK;
  }
  if (ok) return transfer;
  transfer_finish(transfer);
  return NULL;
}

void transfer_run(struct transfer* transfer) {
  int running = 0;
  int left = 0;
  CURLMsg* message;
  if (transfer->done) return;
  if (transfer->paused) {
    transfer->paused = false; /* first: the call below may come back to take_bytes */
    curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
  }
  CURLMcode code = curl_multi_perform(transfer->multi, &running);
  if (code != CURLM_OK) {
    transfer->done = true;
    transfer->result = CURLE_RECV_ERROR;
    transfer->complaint = curl_multi_strerror(code);
  }
  while ((message = curl_multi_info_read(transfer->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    transfer->done = true;
    transfer->result = message->data.result;
  }
}

bool transfer_wait(struct transfer* transfer) {
  struct curl_waitfd watch = {transfer->watch, CURL_WAIT_POLLIN, 0};
  curl_multi_poll(transfer->multi, &watch, 1, WAIT_MS, NULL);
  return watch.revents == 0;
}

bool transfer_is_wanted(struct transfer* transfer) {
  struct pollfd watch = {transfer->watch, POLLIN, 0};
  return poll(&watch, 1, 0) <= 0;
}

void transfer_finish(struct transfer* transfer) {
  if (transfer == NULL) return;
  /* Removing one that is not done closes its connection: the upstream sees that nobody listens. */
  curl_multi_remove_handle(transfer->multi, transfer->easy);
  curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
  curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
  wipe_lines(transfer->lines);
  free(transfer->target);
  headers_free(&transfer->head.headers);
  if (transfer->client_fd >= 0) {
    epoll_ctl(transfer->watch, EPOLL_CTL_DEL, transfer->client_fd, NULL);
  }
  put_back(transfer);
}

/* ------------------------------------------------------------------------ what became of it */

bool transfer_is_sent(const struct transfer* transfer) {
  long head = 0;
  curl_off_t body = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &head);
  curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &body);
  return head > 0 && (size_t)body >= transfer->body_len;
}

const struct response_head* transfer_head(const struct transfer* transfer) {
  return transfer->head_done ? &transfer->head : NULL;
}

bool transfer_is_done(const struct transfer* transfer) { return transfer->done; }

bool transfer_has_failed(const struct transfer* transfer) {
  return transfer->done && (transfer->result != CURLE_OK || !transfer->head_done);
}

bool transfer_was_unreachable(const struct transfer* transfer) {
  switch (transfer->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT: /* the connection's: there is no other */
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
      return true;
    default:
      return false;
  }
}

const char* transfer_failure(const struct transfer* transfer) {
  if (transfer->complaint != NULL) return transfer->complaint;
  if (transfer->result == CURLE_OK) return "It sent no response";
  return curl_easy_strerror(transfer->result);
}

const char* transfer_details(const struct transfer* transfer) {
  return transfer->details[0] != '\0' ? transfer->details : transfer_failure(transfer);
}
