#include "answer.h"

#include "bytes.h"
#include "json.h"

enum MHD_Result answer_text(struct MHD_Connection* connection, unsigned status,
                            const char* content_type, const char* text, size_t len) {
  struct MHD_Response* response =
      MHD_create_response_from_buffer(len, (void*)text, MHD_RESPMEM_MUST_COPY);
  if (response == NULL) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  enum MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

enum MHD_Result answer_error(struct MHD_Connection* connection, unsigned status, const char* type,
                             const char* code, const char* message) {
  struct bytes body = {NULL, 0, 0};
  bool ok = bytes_print(&body, "{\"error\":{\"message\":") && json_append_string(&body, message) &&
            bytes_print(&body, ",\"type\":\"%s\",\"code\":\"%s\"}}", type, code);
  enum MHD_Result queued =
      ok ? answer_text(connection, status, "application/json", body.data, body.len) : MHD_NO;
  bytes_free(&body);
  return queued;
}
