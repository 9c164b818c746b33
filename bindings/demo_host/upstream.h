/* The server behind this proxy. */
#ifndef DEMO_HOST_UPSTREAM_H
#define DEMO_HOST_UPSTREAM_H

#include <pthread.h>

#include "bytes.h"

struct transfer;

struct upstream {
  char* url;     /* scheme and authority */
  char* path;    /* what stands before every target, "" for none */
  int ending_fd; /* readable when every wait is to end */
  pthread_mutex_t mutex;
  struct transfer* idle; /* the one used last first: its connection is the warmest */
};

/* `url` is http[s]://host[:port][/path]. NULL: `complaint` says what is wrong. */
struct upstream* upstream_new(const char* url, int ending_fd, struct bytes* complaint);
/* After the last transfer is finished. */
void upstream_free(struct upstream* upstream);

#endif
