/* The way to the upstream and back. */
#ifndef DEMO_HOST_RELAY_H
#define DEMO_HOST_RELAY_H

#include "exchange.h"

/* Sends the request on and queues the response: called when the request is complete. Blocks its
 * thread until the upstream has answered. MHD_NO closes the client's connection. */
enum MHD_Result relay(struct exchange* exchange);

/* The client has all of the response. Where its length was known, nobody asks for more once that is
 * reached, and its end is noticed here. */
void relay_sent(struct exchange* exchange);

#endif
