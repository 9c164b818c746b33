/* One request to the upstream and its response, driven by the thread that owns it: transfer_run
 * does what can be done now, transfer_wait sleeps until there is more. So one thread carries a
 * request from end to end, which is also what the library asks of its satchel_request. */
#ifndef DEMO_HOST_TRANSFER_H
#define DEMO_HOST_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "headers.h"
#include "upstream.h"

struct transfer;

struct upstream_request {
  const char* method;
  const char* target; /* as it goes on the wire */
  size_t target_len;
  const struct headers* headers;
  const char* body; /* stays valid until transfer_finish */
  size_t body_len;
};

struct response_head {
  int status;
  int64_t content_length; /* -1: not said */
  struct headers headers; /* without those of one hop */
};

enum sink_verdict { SINK_TAKEN, SINK_FULL, SINK_BROKEN };

/* Where a response goes; called from inside transfer_run. */
struct transfer_sink {
  void* context;
  /* Once, before the first bytes; 1xx responses are not shown. */
  void (*head)(void* context, const struct response_head* head);
  /* FULL: nothing was taken, the same bytes come again with the next transfer_run; meanwhile the
   * upstream is slowed down by TCP. BROKEN: the transfer fails. */
  enum sink_verdict (*bytes)(void* context, const char* data, size_t len);
};

/* Begins a transfer for the client at `client_fd`. NULL when there is no memory or no file
 * descriptor left. */
struct transfer* transfer_start(struct upstream* upstream, const struct upstream_request* request,
                                int client_fd, const struct transfer_sink* sink);

void transfer_run(struct transfer* transfer);

/* False: nobody needs the transfer any more, the client has left or the host is ending. */
bool transfer_wait(struct transfer* transfer);
bool transfer_is_wanted(struct transfer* transfer);

/* The request's body is in the hands of the system: from here on the upstream works. */
bool transfer_is_sent(const struct transfer* transfer);
/* NULL until the head has come. */
const struct response_head* transfer_head(const struct transfer* transfer);
/* Ended, well or not. */
bool transfer_is_done(const struct transfer* transfer);
bool transfer_has_failed(const struct transfer* transfer);
/* It failed before a connection stood. */
bool transfer_was_unreachable(const struct transfer* transfer);
/* What went wrong, in words without addresses; with them in transfer_details. */
const char* transfer_failure(const struct transfer* transfer);
const char* transfer_details(const struct transfer* transfer);

/* Cancels it when it was not done; keeps the connection for the next one when it was. NULL is
 * fine. */
void transfer_finish(struct transfer* transfer);

void transfer_free_idle(struct upstream* upstream);

#endif
