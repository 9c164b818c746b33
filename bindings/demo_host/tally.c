#include "tally.h"

#include <errno.h>
#include <string.h>
#include <time.h>

void tally_start(struct tally* tally) {
  memset(tally, 0, sizeof *tally);
  pthread_mutex_init(&tally->mutex, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&tally->idle, &attributes);
  pthread_condattr_destroy(&attributes);
}

void tally_free(struct tally* tally) {
  pthread_cond_destroy(&tally->idle);
  pthread_mutex_destroy(&tally->mutex);
}

bool tally_begin(struct tally* tally) {
  pthread_mutex_lock(&tally->mutex);
  bool begun = !tally->stopping;
  if (begun) {
    ++tally->requests;
    ++tally->in_flight;
  }
  pthread_mutex_unlock(&tally->mutex);
  return begun;
}

void tally_end(struct tally* tally, uint64_t library_ns) {
  pthread_mutex_lock(&tally->mutex);
  tally->library_ns += library_ns;
  if (--tally->in_flight == 0) pthread_cond_broadcast(&tally->idle);
  pthread_mutex_unlock(&tally->mutex);
}

bool tally_is_stopping(struct tally* tally) {
  pthread_mutex_lock(&tally->mutex);
  bool stopping = tally->stopping;
  pthread_mutex_unlock(&tally->mutex);
  return stopping;
}

bool tally_stop(struct tally* tally, unsigned seconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)seconds;
  pthread_mutex_lock(&tally->mutex);
  tally->stopping = true;
  while (tally->in_flight > 0) {
    if (pthread_cond_timedwait(&tally->idle, &tally->mutex, &until) == ETIMEDOUT) break;
  }
  bool idle = tally->in_flight == 0;
  pthread_mutex_unlock(&tally->mutex);
  return idle;
}

struct tally_counts tally_counts(struct tally* tally) {
  pthread_mutex_lock(&tally->mutex);
  struct tally_counts counts = {tally->requests, tally->in_flight, tally->library_ns};
  pthread_mutex_unlock(&tally->mutex);
  return counts;
}
