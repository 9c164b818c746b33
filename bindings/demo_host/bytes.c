#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool bytes_reserve(struct bytes* bytes, size_t more) {
  if (more > (size_t)-1 / 4 - bytes->len) return false;
  size_t needed = bytes->len + more;
  if (needed <= bytes->capacity) return true;
  size_t capacity = bytes->capacity < 512 ? 1024 : bytes->capacity * 2;
  if (capacity < needed) capacity = needed;
  char* data = realloc(bytes->data, capacity);
  if (data == NULL) return false;
  bytes->data = data;
  bytes->capacity = capacity;
  return true;
}

bool bytes_append(struct bytes* bytes, const char* data, size_t len) {
  if (len == 0) return true;
  if (!bytes_reserve(bytes, len)) return false;
  memcpy(bytes->data + bytes->len, data, len);
  bytes->len += len;
  return true;
}

bool bytes_print(struct bytes* bytes, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  /* One byte more for the NUL that vsnprintf writes and nobody counts. */
  if (len < 0 || !bytes_reserve(bytes, (size_t)len + 1)) return false;
  va_start(arguments, format);
  vsnprintf(bytes->data + bytes->len, (size_t)len + 1, format, arguments);
  va_end(arguments);
  bytes->len += (size_t)len;
  return true;
}

void bytes_free(struct bytes* bytes) {
  free(bytes->data);
  *bytes = (struct bytes){NULL, 0, 0};
}
