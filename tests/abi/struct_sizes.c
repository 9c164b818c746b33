/* struct_size, for every struct that has one: too small is refused by name; larger, as a program
 * with a newer header has it, is taken where the rest is zero (input) or left alone (output). */
#include "cascade_account.h"
#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

static satchel_error error;
static satchel_library* library;
static satchel_prompt_cache* cache;

/* A struct as a newer header might have it: this much more at its end. */
#define MORE 16
#define NEWER(type)                           \
  union {                                     \
    type now;                                 \
    unsigned char bytes[sizeof(type) + MORE]; \
  }

/* Reads the struct in several sizes; `call` uses `subject`. `named` stands in the message. */
#define TRY_INPUT(type, init, named, call, accepted, undo)         \
  do {                                                             \
    static const type fresh = init;                                \
    NEWER(type) newer;                                             \
    type* const subject = &newer.now;                              \
    memset(&newer, 0, sizeof newer);                               \
    newer.now = fresh;                                             \
    newer.now.struct_size = 0;                                     \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named ".struct_size", call); \
    newer.now.struct_size = sizeof(type) - 1;                      \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named ".struct_size", call); \
    newer.now.struct_size = (size_t)-1;                            \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named ".struct_size", call); \
    newer.now.struct_size = sizeof newer;                          \
    CHECK_STATUS(accepted, call);                                  \
    undo;                                                          \
    newer.bytes[sizeof newer - 1] = 1;                             \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named, call);                \
  } while (0)

/* Has the struct filled in several sizes. */
#define TRY_OUTPUT(type, init, named, call)                                          \
  do {                                                                               \
    static const type fresh = init;                                                  \
    NEWER(type) newer, before;                                                       \
    type* const subject = &newer.now;                                                \
    size_t at = 0;                                                                   \
    memset(&newer, 0xA5, sizeof newer);                                              \
    newer.now.struct_size = 0;                                                       \
    before = newer;                                                                  \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named ".struct_size", call);                   \
    CHECK(memcmp(&newer, &before, sizeof newer) == 0);                               \
    newer.now.struct_size = sizeof(type) - 1;                                        \
    CHECK_ERROR(SATCHEL_ERR_ARGUMENT, named ".struct_size", call);                   \
    newer.now = fresh;                                                               \
    newer.now.struct_size = sizeof newer;                                            \
    CHECK_STATUS(SATCHEL_OK, call);                                                  \
    CHECK(newer.now.struct_size == sizeof newer);                                    \
    for (at = sizeof(type); at < sizeof newer; ++at) CHECK(newer.bytes[at] == 0xA5); \
  } while (0)

static void inputs(void) {
  satchel_library* opened = NULL;
  satchel_prompt_cache* other = NULL;
  satchel_request* request = NULL;
  satchel_outcome* outcome = NULL;
  satchel_usage_filter* filter = NULL;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;

  TRY_INPUT(satchel_host, SATCHEL_HOST_INIT, "host",
            satchel_open(subject, NULL, 0, &opened, &error), SATCHEL_OK, satchel_close(&opened));
  TRY_INPUT(satchel_prompt_parts, SATCHEL_PROMPT_PARTS_INIT, "parts",
            satchel_prompt_cache_open(library, subject, NULL, 0, &other, &error), SATCHEL_OK,
            satchel_prompt_cache_close(&other));
  TRY_INPUT(satchel_principals, SATCHEL_PRINCIPALS_INIT, "principals",
            (parts.principals = subject,
             satchel_prompt_cache_open(library, &parts, NULL, 0, &other, &error)),
            SATCHEL_OK, satchel_prompt_cache_close(&other));
  satchel_prompt_parts_init(&parts);
  TRY_INPUT(
      satchel_models, SATCHEL_MODELS_INIT, "models",
      (parts.models = subject, satchel_prompt_cache_open(library, &parts, NULL, 0, &other, &error)),
      SATCHEL_OK, satchel_prompt_cache_close(&other));
  satchel_prompt_parts_init(&parts);
  TRY_INPUT(satchel_tokenizer, SATCHEL_TOKENIZER_INIT, "tokenizer",
            (parts.tokenizer = subject,
             satchel_prompt_cache_open(library, &parts, NULL, 0, &other, &error)),
            SATCHEL_OK, satchel_prompt_cache_close(&other));
  satchel_prompt_parts_init(&parts);
  TRY_INPUT(
      satchel_index, SATCHEL_INDEX_INIT, "index",
      (parts.index = subject, satchel_prompt_cache_open(library, &parts, NULL, 0, &other, &error)),
      SATCHEL_OK, satchel_prompt_cache_close(&other));
  TRY_INPUT(satchel_request_head, SATCHEL_REQUEST_HEAD_INIT, "head",
            satchel_request_new(cache, subject, &request, &error), SATCHEL_PASS_THROUGH, (void)0);
  TRY_INPUT(satchel_request_head, SATCHEL_REQUEST_HEAD_INIT, "who",
            satchel_prompt_classify(cache, subject, LITERAL("m"), LITERAL("{}"), &outcome, &error),
            SATCHEL_OK, satchel_outcome_free(&outcome));
  TRY_INPUT(satchel_cache_usage, SATCHEL_CACHE_USAGE_INIT, "usage",
            satchel_usage_filter_new(SATCHEL_BODY_JSON, subject, &filter, &error), SATCHEL_OK,
            satchel_usage_filter_free(&filter));
  CHECK(opened == NULL && other == NULL && request == NULL && outcome == NULL && filter == NULL);
}

static void outputs(void) {
  const satchel_request_head head = sample_head("p");
  satchel_request* request = NULL;
  satchel_prompt* prompt = NULL;
  satchel_outcome* outcome = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), &prompt, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &head, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));

  TRY_OUTPUT(satchel_index_counts, SATCHEL_INDEX_COUNTS_INIT, "counts",
             satchel_prompt_cache_index_counts(cache, subject, &error));
  TRY_OUTPUT(satchel_forward, SATCHEL_FORWARD_INIT, "forward",
             satchel_request_body(request, LITERAL(SAMPLE_BODY), subject, &error));
  TRY_OUTPUT(satchel_request_result, SATCHEL_REQUEST_RESULT_INIT, "result",
             satchel_request_result_get(request, subject, &error));
  TRY_OUTPUT(satchel_block, SATCHEL_BLOCK_INIT, "block",
             satchel_prompt_block(prompt, 0, subject, &error));
  TRY_OUTPUT(satchel_breakpoint, SATCHEL_BREAKPOINT_INIT, "breakpoint",
             satchel_prompt_breakpoint(prompt, 0, subject, &error));
  TRY_OUTPUT(satchel_outcome_summary, SATCHEL_OUTCOME_SUMMARY_INIT, "summary",
             satchel_outcome_summary_get(outcome, subject, &error));
  TRY_OUTPUT(satchel_entry, SATCHEL_ENTRY_INIT, "entry",
             satchel_outcome_entry(outcome, 0, subject, &error));

  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
}

static void tool_structs(void) {
  static struct memory_store store;
  const satchel_tool_store table = memory_table(&store);
  char* const directory = tool_directory();
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_tool_cache* tools = NULL;
  satchel_tool_cache* other = NULL;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_tool_writer* writer = NULL;
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, NULL, &tools, &error));

  TRY_INPUT(satchel_tool_place, SATCHEL_TOOL_PLACE_INIT, "place",
            (subject->store = sample_view(directory),
             satchel_tool_cache_open(library, subject, NULL, 0, &other, &error)),
            SATCHEL_OK, satchel_tool_cache_close(&other));
  /* The table's members are set before each try; only a whole one can be opened. */
  place.host_store = NULL;
  TRY_INPUT(satchel_tool_store, SATCHEL_TOOL_STORE_INIT, "host_store",
            (memcpy((char*)subject + sizeof(size_t), (const char*)&table + sizeof(size_t),
                    sizeof table - sizeof(size_t)),
             place.host_store = subject,
             satchel_tool_cache_open(library, &place, NULL, 0, &other, &error)),
            SATCHEL_OK, satchel_tool_cache_close(&other));
  CHECK(store.releases == 1);
  TRY_INPUT(satchel_tool_meta, SATCHEL_TOOL_META_INIT, "meta",
            satchel_tool_persist(tools, KEY_A, LITERAL("x"), subject, &error), SATCHEL_OK, (void)0);
  TRY_INPUT(satchel_tool_meta, SATCHEL_TOOL_META_INIT, "meta",
            satchel_tool_writer_new(tools, KEY_B, subject, &writer, &error), SATCHEL_OK,
            satchel_tool_writer_free(&writer));
  TRY_INPUT(satchel_tool_call, SATCHEL_TOOL_CALL_INIT, "call",
            satchel_tool_get_or_begin(tools, KEY_B, subject, &result, &lease, &error),
            SATCHEL_LEASED, satchel_tool_lease_free(&lease));
  CHECK(other == NULL && writer == NULL && lease == NULL && result == NULL);

  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(tools, KEY_A, LITERAL("x"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(tools, KEY_A, &result, &error));
  TRY_OUTPUT(satchel_tool_result_info, SATCHEL_TOOL_RESULT_INFO_INIT, "info",
             satchel_tool_result_info_get(result, subject, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&tools));
  sample_remove_directory(directory);
}

/* Members of a table, but for its size. */
static void fill_table(void* table, const void* from, size_t size) {
  memcpy((char*)table + sizeof(size_t), (const char*)from + sizeof(size_t), size - sizeof(size_t));
}

static void cascade_structs(void) {
  static struct account account;
  static struct account whole;
  satchel_library* lent = NULL;
  satchel_cascade* cascade = NULL;
  satchel_cascade* other = NULL;
  satchel_usage* usage = NULL;
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_buffer report = SATCHEL_BUFFER_INIT;
  account_reset(&account);
  account_reset(&whole);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &lent, &error));

  TRY_INPUT(satchel_cascade_parts, SATCHEL_CASCADE_PARTS_INIT, "parts",
            satchel_cascade_open(lent, subject, NULL, 0, &other, &error), SATCHEL_OK,
            satchel_cascade_close(&other));
  /* The tables' members are set before each try; only a whole one can be opened. */
  TRY_INPUT(satchel_usage_files, SATCHEL_USAGE_FILES_INIT, "files",
            (fill_table(subject, &whole.files_table, sizeof whole.files_table),
             parts.files = subject, satchel_cascade_open(lent, &parts, NULL, 0, &other, &error)),
            SATCHEL_OK, satchel_cascade_close(&other));
  satchel_cascade_parts_init(&parts);
  TRY_INPUT(
      satchel_credentials, SATCHEL_CREDENTIALS_INIT, "credentials",
      (fill_table(subject, &whole.credentials_table, sizeof whole.credentials_table),
       parts.credentials = subject, satchel_cascade_open(lent, &parts, NULL, 0, &other, &error)),
      SATCHEL_OK, satchel_cascade_close(&other));
  satchel_cascade_parts_init(&parts);
  TRY_INPUT(
      satchel_transcripts, SATCHEL_TRANSCRIPTS_INIT, "transcripts",
      (fill_table(subject, &whole.transcripts_table, sizeof whole.transcripts_table),
       parts.transcripts = subject, satchel_cascade_open(lent, &parts, NULL, 0, &other, &error)),
      SATCHEL_OK, satchel_cascade_close(&other));
  CHECK(whole.part_releases == 3 && other == NULL);

  CHECK_STATUS(SATCHEL_OK, account_open(&account, lent, NULL, &cascade, &error));
  TRY_INPUT(satchel_report_range, SATCHEL_REPORT_RANGE_INIT, "range",
            satchel_cascade_report(cascade, subject, &report, &error), SATCHEL_NOT_HANDLED,
            (void)0);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &usage, &error));
  TRY_OUTPUT(satchel_usage_summary, SATCHEL_USAGE_SUMMARY_INIT, "summary",
             satchel_usage_summary_get(usage, subject, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&lent));
}

/* The error itself: one that is too small is left alone, and the call fails as it would have. */
static void the_error_struct(void) {
  satchel_error small = SATCHEL_ERROR_INIT;
  satchel_error before;
  NEWER(satchel_error) newer;
  size_t at = 0;
  small.struct_size = 0;
  before = small;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(NULL, NULL, 0, NULL, &small));
  CHECK(memcmp(&small, &before, sizeof small) == 0);
  small.struct_size = sizeof small - 1;
  before = small;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(NULL, NULL, 0, NULL, &small));
  CHECK(memcmp(&small, &before, sizeof small) == 0);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(NULL, NULL, 0, NULL, NULL));

  memset(&newer, 0xA5, sizeof newer);
  newer.now.struct_size = sizeof newer;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_open(NULL, NULL, 0, NULL, &newer.now));
  CHECK(newer.now.status == SATCHEL_ERR_ARGUMENT && newer.now.message[0] != '\0');
  CHECK(newer.now.os_errno == 0 && newer.now.reason == 0 && newer.now.reserved == 0);
  for (at = sizeof(satchel_error); at < sizeof newer; ++at) CHECK(newer.bytes[at] == 0xA5);
}

/* A success leaves it as it was, so that one error may serve a row of calls. */
static void success_leaves_the_error_alone(void) {
  satchel_library* opened = NULL;
  satchel_error before;
  memset(&error, 0xA5, sizeof error);
  error.struct_size = sizeof error;
  before = error;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &opened, &error));
  CHECK(memcmp(&error, &before, sizeof error) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&opened));
}

/* A message longer than the struct has room for is cut between characters. */
static void a_long_message_is_cut(void) {
  satchel_library* opened = NULL;
  char config[1024] = "{\"";
  size_t len = 2;
  size_t kept = 0;
  while (len < 1000) {
    memcpy(config + len, "\xE2\x82\xAC", 3); /* the euro sign */
    len += 3;
  }
  memcpy(config + len, "\":1}", 4);
  len += 4;
  CHECK_ERROR(SATCHEL_ERR_CONFIG, "\xE2\x82\xAC\xE2\x82\xAC",
              satchel_open(NULL, config, len, &opened, &error));
  kept = strlen(error.message);
  CHECK(kept >= sizeof error.message - 4 && kept < sizeof error.message);
  CHECK(memcmp(error.message + kept - 3, "\xE2\x82\xAC", 3) == 0);
}

int main(void) {
  satchel_error_init(&error);
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &cache, &error));
  inputs();
  outputs();
  tool_structs();
  cascade_structs();
  the_error_struct();
  success_leaves_the_error_alone();
  a_long_message_is_cut();
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
