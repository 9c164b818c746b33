/* What is going on: counted for /healthz and for a shutdown that waits. Any thread. */
#ifndef DEMO_HOST_TALLY_H
#define DEMO_HOST_TALLY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct tally {
  pthread_mutex_t mutex;
  pthread_cond_t idle;
  uint64_t requests; /* begun */
  uint64_t in_flight;
  uint64_t library_ns;
  bool stopping;
};

void tally_start(struct tally* tally);
void tally_free(struct tally* tally);

/* False when the host is stopping: the request must not begin. */
bool tally_begin(struct tally* tally);
void tally_end(struct tally* tally, uint64_t library_ns);

bool tally_is_stopping(struct tally* tally);

/* From now on nothing begins. Waits until nothing is in flight; false when that took longer than
 * `seconds`. */
bool tally_stop(struct tally* tally, unsigned seconds);

/* The numbers of one moment. */
struct tally_counts {
  uint64_t requests;
  uint64_t in_flight;
  uint64_t library_ns;
};
struct tally_counts tally_counts(struct tally* tally);

#endif
