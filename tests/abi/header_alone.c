/* The header by itself, twice, before anything else: compiled as strict C99 and as C++11 with every
 * warning an error (see CMakeLists.txt). The initialisers are part of it. */
#include <satchel/satchel.h>
/* a second time, on purpose */
#include <satchel/satchel.h>

extern const satchel_error a_satchel_error;
extern const satchel_buffer a_satchel_buffer;
extern const satchel_host a_satchel_host;
extern const satchel_principals a_satchel_principals;
extern const satchel_models a_satchel_models;
extern const satchel_tokenizer a_satchel_tokenizer;
extern const satchel_index a_satchel_index;
extern const satchel_prompt_parts a_satchel_prompt_parts;
extern const satchel_index_counts a_satchel_index_counts;
extern const satchel_request_head a_satchel_request_head;
extern const satchel_forward a_satchel_forward;
extern const satchel_request_result a_satchel_request_result;
extern const satchel_block a_satchel_block;
extern const satchel_breakpoint a_satchel_breakpoint;
extern const satchel_cache_usage a_satchel_cache_usage;
extern const satchel_outcome_summary a_satchel_outcome_summary;
extern const satchel_entry a_satchel_entry;
extern const satchel_tool_meta a_satchel_tool_meta;
extern const satchel_tool_store a_satchel_tool_store;
extern const satchel_tool_place a_satchel_tool_place;
extern const satchel_tool_result_info a_satchel_tool_result_info;
extern const satchel_tool_call a_satchel_tool_call;
extern const satchel_usage_files a_satchel_usage_files;
extern const satchel_credentials a_satchel_credentials;
extern const satchel_transcripts a_satchel_transcripts;
extern const satchel_cascade_parts a_satchel_cascade_parts;
extern const satchel_report_range a_satchel_report_range;
extern const satchel_usage_summary a_satchel_usage_summary;

const satchel_error a_satchel_error = SATCHEL_ERROR_INIT;
const satchel_buffer a_satchel_buffer = SATCHEL_BUFFER_INIT;
const satchel_host a_satchel_host = SATCHEL_HOST_INIT;
const satchel_principals a_satchel_principals = SATCHEL_PRINCIPALS_INIT;
const satchel_models a_satchel_models = SATCHEL_MODELS_INIT;
const satchel_tokenizer a_satchel_tokenizer = SATCHEL_TOKENIZER_INIT;
const satchel_index a_satchel_index = SATCHEL_INDEX_INIT;
const satchel_prompt_parts a_satchel_prompt_parts = SATCHEL_PROMPT_PARTS_INIT;
const satchel_index_counts a_satchel_index_counts = SATCHEL_INDEX_COUNTS_INIT;
const satchel_request_head a_satchel_request_head = SATCHEL_REQUEST_HEAD_INIT;
const satchel_forward a_satchel_forward = SATCHEL_FORWARD_INIT;
const satchel_request_result a_satchel_request_result = SATCHEL_REQUEST_RESULT_INIT;
const satchel_block a_satchel_block = SATCHEL_BLOCK_INIT;
const satchel_breakpoint a_satchel_breakpoint = SATCHEL_BREAKPOINT_INIT;
const satchel_cache_usage a_satchel_cache_usage = SATCHEL_CACHE_USAGE_INIT;
const satchel_outcome_summary a_satchel_outcome_summary = SATCHEL_OUTCOME_SUMMARY_INIT;
const satchel_entry a_satchel_entry = SATCHEL_ENTRY_INIT;
const satchel_tool_meta a_satchel_tool_meta = SATCHEL_TOOL_META_INIT;
const satchel_tool_store a_satchel_tool_store = SATCHEL_TOOL_STORE_INIT;
const satchel_tool_place a_satchel_tool_place = SATCHEL_TOOL_PLACE_INIT;
const satchel_tool_result_info a_satchel_tool_result_info = SATCHEL_TOOL_RESULT_INFO_INIT;
const satchel_tool_call a_satchel_tool_call = SATCHEL_TOOL_CALL_INIT;
const satchel_usage_files a_satchel_usage_files = SATCHEL_USAGE_FILES_INIT;
const satchel_credentials a_satchel_credentials = SATCHEL_CREDENTIALS_INIT;
const satchel_transcripts a_satchel_transcripts = SATCHEL_TRANSCRIPTS_INIT;
const satchel_cascade_parts a_satchel_cascade_parts = SATCHEL_CASCADE_PARTS_INIT;
const satchel_report_range a_satchel_report_range = SATCHEL_REPORT_RANGE_INIT;
const satchel_usage_summary a_satchel_usage_summary = SATCHEL_USAGE_SUMMARY_INIT;
