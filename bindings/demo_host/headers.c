#include "headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char* name, size_t len) {
  if (len == 0) return false;
  for (size_t i = 0; i < len; ++i) {
    unsigned char c = (unsigned char)name[i];
    bool letter_or_digit =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter_or_digit && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
  }
  return true;
}

static bool is_field_value(const char* value, size_t len) {
  for (size_t i = 0; i < len; ++i) {
    unsigned char c = (unsigned char)value[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

static bool make_room(struct headers* headers) {
  if (headers->count < headers->capacity) return true;
  size_t capacity = headers->capacity == 0 ? 32 : headers->capacity * 2;
  struct header* items = realloc(headers->items, capacity * sizeof *items);
  if (items == NULL) return false;
  headers->items = items;
  headers->capacity = capacity;
  return true;
}

enum headers_verdict headers_add(struct headers* headers, const char* name, size_t name_len,
                                 const char* value, size_t value_len) {
  if (!is_token(name, name_len) || !is_field_value(value, value_len)) return HEADERS_INVALID;
  if (name_len + value_len + 4 > HEADERS_MAX_BYTES - headers->bytes) return HEADERS_TOO_LARGE;
  char* text = malloc(name_len + value_len + 2);
  if (text == NULL || !make_room(headers)) {
    free(text);
    return HEADERS_NO_MEMORY;
  }
  memcpy(text, name, name_len);
  text[name_len] = '\0';
  memcpy(text + name_len + 1, value, value_len);
  text[name_len + 1 + value_len] = '\0';
  headers->items[headers->count++] = (struct header){text, text + name_len + 1, false};
  headers->bytes += name_len + value_len + 4; /* with ": " and the end of the line */
  return HEADERS_TAKEN;
}

const char* headers_value(const struct headers* headers, const char* name) {
  for (size_t i = 0; i < headers->count; ++i) {
    if (strcasecmp(headers->items[i].name, name) == 0) return headers->items[i].value;
  }
  return NULL;
}

size_t headers_count(const struct headers* headers, const char* name) {
  size_t count = 0;
  for (size_t i = 0; i < headers->count; ++i) {
    if (strcasecmp(headers->items[i].name, name) == 0) ++count;
  }
  return count;
}

static void free_header(struct header* header) {
  explicit_bzero(header->value, strlen(header->value));
  free(header->name);
}

static void remove_dropped(struct headers* headers) {
  size_t kept = 0;
  for (size_t i = 0; i < headers->count; ++i) {
    if (headers->items[i].drop) {
      free_header(&headers->items[i]);
    } else {
      headers->items[kept++] = headers->items[i];
    }
  }
  headers->count = kept;
}

void headers_remove(struct headers* headers, const char* name) {
  for (size_t i = 0; i < headers->count; ++i) {
    if (strcasecmp(headers->items[i].name, name) == 0) headers->items[i].drop = true;
  }
  remove_dropped(headers);
}

static bool list_names(const char* list, const char* name) {
  size_t len = strlen(name);
  while (*list != '\0') {
    list += strspn(list, ", \t");
    size_t token = strcspn(list, ", \t");
    if (token == len && strncasecmp(list, name, len) == 0) return true;
    list += token;
  }
  return false;
}

static bool is_hop_by_hop(const struct headers* headers, const char* name) {
  static const char* const always[] = {"connection", "keep-alive",        "te",
                                       "trailer",    "transfer-encoding", "upgrade"};
  for (size_t i = 0; i < sizeof always / sizeof *always; ++i) {
    if (strcasecmp(name, always[i]) == 0) return true;
  }
  if (strncasecmp(name, "proxy-", 6) == 0) return true;
  for (size_t i = 0; i < headers->count; ++i) {
    if (strcasecmp(headers->items[i].name, "connection") == 0 &&
        list_names(headers->items[i].value, name)) {
      return true;
    }
  }
  return false;
}

void headers_remove_hop_by_hop(struct headers* headers) {
  for (size_t i = 0; i < headers->count; ++i) {
    headers->items[i].drop = is_hop_by_hop(headers, headers->items[i].name);
  }
  remove_dropped(headers);
}

void headers_free(struct headers* headers) {
  for (size_t i = 0; i < headers->count; ++i) free_header(&headers->items[i]);
  free(headers->items);
  *headers = (struct headers){NULL, 0, 0, 0};
}
