#include "health.h"

#include <inttypes.h>

#include "answer.h"
#include "json.h"
#include "log.h"

static bool append_index(struct bytes* out, const struct prompt_cache* prompt_cache) {
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  prompt_cache->library.prompt_cache_index_counts(prompt_cache->cache, &counts, NULL);
  return bytes_print(out,
                     "{\"lookups\":%" PRIu64 ",\"lookup_failures\":%" PRIu64 ",\"hits\":%" PRIu64
                     ",\"entries_written\":%" PRIu64 ",\"entries_refreshed\":%" PRIu64
                     ",\"entries_dropped\":%" PRIu64 ",\"entries_swept\":%" PRIu64
                     ",\"entries_waiting\":%" PRIu64 "}",
                     counts.lookups, counts.lookup_failures, counts.hits, counts.entries_written,
                     counts.entries_refreshed, counts.entries_dropped, counts.entries_swept,
                     counts.entries_waiting);
}

enum MHD_Result health_answer(struct host* host, struct MHD_Connection* connection) {
  const struct library* library = &host->prompt_cache.library;
  struct tally_counts counts = tally_counts(&host->tally);
  struct bytes body = {NULL, 0, 0};
  bool ok = bytes_print(&body, "{\"status\":\"ok\",\"library\":{\"version\":") &&
            json_append_string(&body, library->version()) &&
            bytes_print(&body,
                        ",\"abi\":%" PRIu32 "},\"requests\":%" PRIu64 ",\"in_flight\":%" PRIu64
                        ",\"library_microseconds\":%" PRIu64 ".%03" PRIu64 ",\"index\":",
                        library->abi_version(), counts.requests, counts.in_flight,
                        counts.library_ns / 1000, counts.library_ns % 1000) &&
            append_index(&body, &host->prompt_cache) && bytes_print(&body, "}");
  enum MHD_Result queued =
      ok ? answer_text(connection, MHD_HTTP_OK, "application/json", body.data, body.len) : MHD_NO;
  bytes_free(&body);
  return queued;
}

enum MHD_Result metrics_answer(struct host* host, struct MHD_Connection* connection) {
  const struct library* library = &host->prompt_cache.library;
  satchel_buffer text = SATCHEL_BUFFER_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_status status = library->prompt_cache_metrics(host->prompt_cache.cache, &text, &error);
  if (status != SATCHEL_OK) {
    log_line("warn satchel_prompt_cache_metrics: %s: %s", library->status_name(status),
             error.message);
    return MHD_NO;
  }
  enum MHD_Result queued = answer_text(
      connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
  library->buffer_free(&text);
  return queued;
}
