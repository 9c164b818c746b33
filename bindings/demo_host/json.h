/* The little JSON that the host writes itself. */
#ifndef DEMO_HOST_JSON_H
#define DEMO_HOST_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

/* Appends text as a JSON string, quotes included. */
bool json_append_string(struct bytes* out, const char* text);

/* Appends `object` with the member `name` set to `value`: replaced where it is, added at the end
 * where it is not. What is no JSON object is appended as it stands: the library's own message about
 * it is better than ours. */
bool json_append_with_member(struct bytes* out, const char* object, size_t len, const char* name,
                             const char* value);

#endif
