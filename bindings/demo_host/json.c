#include "json.h"

#include <string.h>

bool json_append_string(struct bytes* out, const char* text) {
  bool ok = bytes_append(out, "\"", 1);
  for (const char* c = text; ok && *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\') {
      ok = bytes_append(out, "\\", 1) && bytes_append(out, c, 1);
    } else if ((unsigned char)*c < 0x20) {
      ok = bytes_print(out, "\\u%04x", (unsigned)(unsigned char)*c);
    } else {
      ok = bytes_append(out, c, 1);
    }
  }
  return ok && bytes_append(out, "\"", 1);
}

static size_t skip_space(const char* text, size_t len, size_t at) {
  while (at < len && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0') ++at;
  return at;
}

/* From the opening quote to the byte after the closing one; len when it never closes. */
static size_t skip_string(const char* text, size_t len, size_t at) {
  for (++at; at < len; ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return len;
}

/* To the comma or brace that ends this member of the outermost object. */
static size_t skip_value(const char* text, size_t len, size_t at) {
  size_t depth = 0;
  while (at < len) {
    char c = text[at];
    if (c == '"') {
      at = skip_string(text, len, at);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0) --depth;
    ++at;
  }
  return len;
}

bool json_append_with_member(struct bytes* out, const char* object, size_t len, const char* name,
                             const char* value) {
  size_t at = skip_space(object, len, 0);
  if (at == len || object[at] != '{') return bytes_append(out, object, len);
  size_t copied = 0;
  size_t members = 0;
  bool present = false;
  bool ok = true;
  for (++at; ok; ++at) {
    at = skip_space(object, len, at);
    if (at >= len || object[at] != '"') break;
    size_t key = at + 1;
    at = skip_string(object, len, at);
    bool wanted = at - 1 >= key && at - 1 - key == strlen(name) &&
                  memcmp(object + key, name, strlen(name)) == 0;
    at = skip_space(object, len, at);
    if (at >= len || object[at] != ':') break;
    ++members;
    size_t begin = skip_space(object, len, at + 1);
    at = skip_value(object, len, begin);
    if (wanted) {
      ok = bytes_append(out, object + copied, begin - copied) &&
           bytes_append(out, value, strlen(value));
      copied = at;
      present = true;
    }
    if (at >= len || object[at] == '}') break;
  }
  if (ok && !present && at < len && object[at] == '}') {
    ok = bytes_append(out, object, at) &&
         bytes_print(out, "%s\"%s\":%s", members > 0 ? "," : "", name, value);
    copied = at;
  }
  return ok && bytes_append(out, object + copied, len - copied);
}
