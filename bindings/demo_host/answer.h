/* What the host answers by itself. Both are called where libmicrohttpd takes a response. */
#ifndef DEMO_HOST_ANSWER_H
#define DEMO_HOST_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>

/* An error as OpenAI-compatible clients expect it: {"error":{message, type, code}}. */
enum MHD_Result answer_error(struct MHD_Connection* connection, unsigned status, const char* type,
                             const char* code, const char* message);

/* Copies the text. */
enum MHD_Result answer_text(struct MHD_Connection* connection, unsigned status,
                            const char* content_type, const char* text, size_t len);

#endif
