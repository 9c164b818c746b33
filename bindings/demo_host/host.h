/* What all requests share. */
#ifndef DEMO_HOST_HOST_H
#define DEMO_HOST_HOST_H

#include "acceptor.h"
#include "prompt_cache.h"
#include "tally.h"
#include "upstream.h"

struct host {
  struct prompt_cache prompt_cache;
  struct upstream* upstream;
  struct tally tally;
  struct acceptor acceptor;
};

#endif
