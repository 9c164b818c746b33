/* An initialiser macro and an initialiser function give the same bytes. */
#include "check.h"

#define SAME(type, macro, function)                            \
  do {                                                         \
    static const type by_macro = macro;                        \
    type by_function;                                          \
    memset(&by_function, 0xA5, sizeof(type));                  \
    function(&by_function);                                    \
    CHECK(memcmp(&by_macro, &by_function, sizeof(type)) == 0); \
    CHECK(by_macro.struct_size == sizeof(type));               \
    function(NULL);                                            \
  } while (0)

int main(void) {
  SAME(satchel_error, SATCHEL_ERROR_INIT, satchel_error_init);
  SAME(satchel_host, SATCHEL_HOST_INIT, satchel_host_init);
  SAME(satchel_principals, SATCHEL_PRINCIPALS_INIT, satchel_principals_init);
  SAME(satchel_models, SATCHEL_MODELS_INIT, satchel_models_init);
  SAME(satchel_tokenizer, SATCHEL_TOKENIZER_INIT, satchel_tokenizer_init);
  SAME(satchel_index, SATCHEL_INDEX_INIT, satchel_index_init);
  SAME(satchel_prompt_parts, SATCHEL_PROMPT_PARTS_INIT, satchel_prompt_parts_init);
  SAME(satchel_request_head, SATCHEL_REQUEST_HEAD_INIT, satchel_request_head_init);
  SAME(satchel_forward, SATCHEL_FORWARD_INIT, satchel_forward_init);
  SAME(satchel_tool_meta, SATCHEL_TOOL_META_INIT, satchel_tool_meta_init);
  SAME(satchel_tool_store, SATCHEL_TOOL_STORE_INIT, satchel_tool_store_init);
  SAME(satchel_tool_place, SATCHEL_TOOL_PLACE_INIT, satchel_tool_place_init);
  SAME(satchel_tool_call, SATCHEL_TOOL_CALL_INIT, satchel_tool_call_init);
  SAME(satchel_usage_files, SATCHEL_USAGE_FILES_INIT, satchel_usage_files_init);
  SAME(satchel_credentials, SATCHEL_CREDENTIALS_INIT, satchel_credentials_init);
  SAME(satchel_transcripts, SATCHEL_TRANSCRIPTS_INIT, satchel_transcripts_init);
  SAME(satchel_cascade_parts, SATCHEL_CASCADE_PARTS_INIT, satchel_cascade_parts_init);
  SAME(satchel_report_range, SATCHEL_REPORT_RANGE_INIT, satchel_report_range_init);
  return check_summary();
}
