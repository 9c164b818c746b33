#include "prompt_cache.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "log.h"

enum { MOST_CONFIG_BYTES = 1 << 20, FLUSH_MS = 10000 };

/* The library's lines go where ours go. */
static void take_log_line(void* user, int32_t level, const char* component, size_t component_len,
                          const char* message, size_t message_len) {
  static const char* const names[] = {"debug", "info", "warn", "error"};
  (void)user;
  log_line("%s %.*s: %.*s", level >= 0 && level <= 3 ? names[level] : "?", (int)component_len,
           component, (int)message_len, message);
}

static bool read_file(const char* path, struct bytes* text, struct bytes* complaint) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    bytes_print(complaint, "--config %s: %s", path, strerror(errno));
    return false;
  }
  char piece[4096];
  size_t len;
  bool ok = true;
  while (ok && (len = fread(piece, 1, sizeof piece, file)) > 0) {
    ok = text->len + len <= MOST_CONFIG_BYTES && bytes_append(text, piece, len);
  }
  if (!ok) {
    bytes_print(complaint, "--config %s: it is larger than %d bytes", path, MOST_CONFIG_BYTES);
  } else if (ferror(file)) {
    bytes_print(complaint, "--config %s: %s", path, strerror(errno));
    ok = false;
  }
  fclose(file);
  return ok;
}

/* The value of "index" that --index stands for. */
static bool describe_index(const char* index, struct bytes* value) {
  bool ok = true;
  if (strcmp(index, "memory") == 0) {
    ok = bytes_print(value, "{\"kind\":\"memory\"}");
  } else {
    ok = bytes_print(value, "{\"kind\":\"sqlite\",\"path\":") && json_append_string(value, index) &&
         bytes_print(value, "}");
  }
  return ok && bytes_append(value, "", 1); /* NUL: it is used as a C string */
}

static bool make_config(const struct options* options, struct bytes* config,
                        struct bytes* complaint) {
  struct bytes file = {NULL, 0, 0};
  struct bytes index = {NULL, 0, 0};
  bool ok = options->config == NULL || read_file(options->config, &file, complaint);
  if (ok && file.len == 0) ok = bytes_append(&file, "{}", 2);
  if (ok && options->index != NULL) {
    ok = describe_index(options->index, &index) &&
         json_append_with_member(config, file.data, file.len, "index", index.data);
  } else if (ok) {
    ok = bytes_append(config, file.data, file.len);
  }
  bytes_free(&file);
  bytes_free(&index);
  return ok;
}

static bool open_cache(struct prompt_cache* prompt_cache, const struct bytes* config,
                       struct bytes* complaint) {
  const struct library* library = &prompt_cache->library;
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  host.log = take_log_line;
  const char* level = log_is_verbose() ? "{\"log_level\":\"info\"}" : "{\"log_level\":\"warn\"}";
  satchel_status status = library->open(&host, level, strlen(level), &prompt_cache->opened, &error);
  if (status == SATCHEL_OK) {
    /* No parts of our own: principals by API key, models from the configuration, tokens estimated.
     * A gateway passes its customers, its model table and its tokenizer here. */
    status = library->prompt_cache_open(prompt_cache->opened, NULL, config->data, config->len,
                                        &prompt_cache->cache, &error);
  }
  if (status == SATCHEL_OK) {
    status = library->prompt_cache_max_body(prompt_cache->cache, &prompt_cache->max_body, &error);
  }
  if (status == SATCHEL_OK) return true;
  bytes_print(complaint, "the prompt cache: %s: %s", library->status_name(status), error.message);
  return false;
}

bool prompt_cache_start(struct prompt_cache* prompt_cache, const struct options* options,
                        struct bytes* complaint) {
  struct bytes config = {NULL, 0, 0};
  memset(prompt_cache, 0, sizeof *prompt_cache);
  bool ok = make_config(options, &config, complaint);
  if (ok) {
    bytes_print(complaint, "--library %s: ", options->library);
    ok = library_open(&prompt_cache->library, options->library, complaint);
  }
  if (ok) {
    complaint->len = 0;
    ok = open_cache(prompt_cache, &config, complaint);
    if (!ok) prompt_cache_stop(prompt_cache);
  }
  bytes_free(&config);
  return ok;
}

void prompt_cache_stop(struct prompt_cache* prompt_cache) {
  const struct library* library = &prompt_cache->library;
  satchel_error error = SATCHEL_ERROR_INIT;
  if (prompt_cache->cache != NULL &&
      library->prompt_cache_flush(prompt_cache->cache, FLUSH_MS, &error) != SATCHEL_OK) {
    log_line("warn not every entry reached the index: %s", error.message);
  }
  /* Both take NULL. */
  library->prompt_cache_close(&prompt_cache->cache);
  library->close(&prompt_cache->opened);
  library_close(&prompt_cache->library);
}
