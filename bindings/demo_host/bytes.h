/* A growing run of bytes. */
#ifndef DEMO_HOST_BYTES_H
#define DEMO_HOST_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* {NULL, 0, 0} is empty. */
struct bytes {
  char* data;
  size_t len;
  size_t capacity;
};

/* False when memory ran out; what was there stays. */
bool bytes_reserve(struct bytes* bytes, size_t more);
bool bytes_append(struct bytes* bytes, const char* data, size_t len);
bool bytes_print(struct bytes* bytes, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

void bytes_free(struct bytes* bytes);

#endif
