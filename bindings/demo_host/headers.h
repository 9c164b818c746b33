/* Header fields on their way through the proxy. */
#ifndef DEMO_HOST_HEADERS_H
#define DEMO_HOST_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

struct header {
  char* name; /* one allocation holds both */
  char* value;
  bool drop;
};

/* In the order in which they came, repeated ones too. All zero is empty. */
struct headers {
  struct header* items;
  size_t count;
  size_t capacity;
  size_t bytes; /* of all names and values */
};

enum headers_verdict {
  HEADERS_TAKEN,
  HEADERS_INVALID,   /* no token as name, or a control character in the value */
  HEADERS_TOO_LARGE, /* over HEADERS_MAX_BYTES */
  HEADERS_NO_MEMORY
};

enum { HEADERS_MAX_BYTES = 48 * 1024 };

/* What it refuses could be read as another header, or another message, further on. */
enum headers_verdict headers_add(struct headers* headers, const char* name, size_t name_len,
                                 const char* value, size_t value_len);

/* The first one's value, NULL when there is none. Names compare without case. */
const char* headers_value(const struct headers* headers, const char* name);
size_t headers_count(const struct headers* headers, const char* name);
void headers_remove(struct headers* headers, const char* name);

/* Removes what belongs to one connection only (RFC 9110, 7.6.1): Connection and whatever it names,
 * Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade. */
void headers_remove_hop_by_hop(struct headers* headers);

/* Overwrites every value first: API keys are among them. */
void headers_free(struct headers* headers);

#endif
