/* One request and its response, from the first byte to the last. */
#ifndef DEMO_HOST_EXCHANGE_H
#define DEMO_HOST_EXCHANGE_H

#include <microhttpd.h>
#include <time.h>

#include "cached_request.h"
#include "host.h"
#include "transfer.h"

/* Why the host answers by itself; status 0: it does not. */
struct refusal {
  unsigned status;
  const char* type;
  const char* code;
  const char* message;
};

enum ending {
  ENDING_OPEN,
  ENDING_COMPLETE, /* the response is complete, or the host answered by itself */
  ENDING_BROKEN,   /* the upstream, or the library, could not go on */
  ENDING_LEFT      /* the client left, or the host had to end */
};

struct exchange {
  struct host* host;
  struct MHD_Connection* connection;
  struct timespec began;
  bool begun;   /* the head is complete */
  bool counted; /* in the host's tally */

  /* the request */
  char* target; /* as the client wrote it */
  const char* method;
  bool http_1_0;
  bool framed; /* it is clear where the body ends */
  struct headers headers;
  struct bytes body;
  size_t body_limit;
  size_t body_discarded;
  struct refusal refusal;
  bool cacheable; /* the library takes part */
  struct cached_request cached;

  /* the response */
  struct transfer* transfer;
  unsigned status;
  int32_t plan;         /* SATCHEL_RESPONSE_* */
  struct bytes pending; /* for the client, from `taken` on */
  size_t taken;
  bool head_pushed;
  enum ending ending;
};

#endif
