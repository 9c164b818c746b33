/* Takes clients from the listening socket, as many at once as the host has room for. The others
 * wait where the system queues them: libmicrohttpd by itself would disconnect them. */
#ifndef DEMO_HOST_ACCEPTOR_H
#define DEMO_HOST_ACCEPTOR_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>

struct acceptor {
  int listen_fd;
  unsigned limit;
  struct MHD_Daemon* daemon;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  unsigned open;
  bool stopping;
};

/* Before the daemon, which reports closed connections to it. Owns the socket from here on. */
void acceptor_prepare(struct acceptor* acceptor, int listen_fd, unsigned limit);
bool acceptor_start(struct acceptor* acceptor, struct MHD_Daemon* daemon);

/* One of the connections is closed. Any thread. */
void acceptor_release(struct acceptor* acceptor);

/* Whoever connects from now on is refused. Again does nothing. */
void acceptor_stop(struct acceptor* acceptor);
/* After the daemon. */
void acceptor_free(struct acceptor* acceptor);

#endif
