/* The server side: libmicrohttpd's calls, gathered into exchanges. */
#ifndef DEMO_HOST_PROXY_H
#define DEMO_HOST_PROXY_H

#include <microhttpd.h>

#include "host.h"

/* A client that neither sends nor takes anything for so long is disconnected. */
enum { PROXY_IDLE_SECONDS = 75 };

/* Serves what the host's acceptor hands over. NULL when libmicrohttpd does not start. */
struct MHD_Daemon* proxy_start(struct host* host);

#endif
