/* The socket that clients connect to. */
#ifndef DEMO_HOST_LISTENER_H
#define DEMO_HOST_LISTENER_H

#include "bytes.h"

/* Listens on "HOST:PORT" ("[::1]:8800" for IPv6). Appends the address with the port that was taken
 * to `address`. -1: `complaint` says why. */
int listener_open(const char* host_port, struct bytes* address, struct bytes* complaint);

#endif
