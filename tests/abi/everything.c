/* A host in C that uses everything: whole requests, streamed and not, over the memory index and the
 * SQLite index, with all of the host's parts, every step by itself, the tool cache and the cascade.
 * A test compares the functions that this program calls with those that the header declares. */
#include <stdint.h>

#include "check.h"
#include "memory_index.h"
#include "sample.h"

/* everything_tools.c, everything_cascade.c: the other engines. */
int use_the_tools(void);
int use_the_cascade(void);

/* The host's parts, each counting how often it was used. */
struct host_state {
  int64_t now;
  int clock_calls;
  int monotonic_calls;
  int log_lines;
  int resolved_principals;
  int resolved_models;
  int listed_versions;
  int tokenized;
  int rendered;
  int released[4]; /* host, principals, models, tokenizer */
  struct memory_index index;
};

static satchel_status host_clock(void* user, int64_t* unix_ns) {
  struct host_state* state = user;
  ++state->clock_calls;
  *unix_ns = state->now;
  return SATCHEL_OK;
}

static satchel_status host_monotonic(void* user, int64_t* ns) {
  struct host_state* state = user;
  ++state->monotonic_calls;
  *ns = state->now;
  return SATCHEL_OK;
}

static void host_log(void* user, int32_t level, const char* component, size_t component_len,
                     const char* message, size_t message_len) {
  struct host_state* state = user;
  __atomic_add_fetch(&state->log_lines, 1, __ATOMIC_RELAXED);
  CHECK(level >= SATCHEL_LOG_DEBUG && level <= SATCHEL_LOG_ERROR);
  CHECK(component != NULL && component_len > 0 && message != NULL && message_len > 0);
}

static void release_host(void* user) { ++((struct host_state*)user)->released[0]; }
static void release_principals(void* user) { ++((struct host_state*)user)->released[1]; }
static void release_models(void* user) { ++((struct host_state*)user)->released[2]; }
static void release_tokenizer(void* user) { ++((struct host_state*)user)->released[3]; }

static satchel_status resolve_principal(void* user, const char* api_key, size_t api_key_len,
                                        satchel_principal_answer* answer) {
  ++((struct host_state*)user)->resolved_principals;
  if (api_key_len < 3 || memcmp(api_key, "sk-", 3) != 0) return SATCHEL_OK;
  return satchel_principal_set(answer, LITERAL("customer-1"));
}

static satchel_status resolve_model(void* user, const char* model, size_t model_len,
                                    satchel_model_answer* answer) {
  ++((struct host_state*)user)->resolved_models;
  CHECK(model_len == 1 && memcmp(model, "m", 1) == 0);
  return satchel_model_set(answer, 1, 1);
}

static satchel_status list_versions(void* user, const char* model, size_t model_len,
                                    satchel_versions_answer* answer) {
  ++((struct host_state*)user)->listed_versions;
  return satchel_versions_add(answer, model, model_len, LITERAL("tokens-1"), LITERAL("template-1"));
}

/* Ten tokens a segment. */
static satchel_status tokenize(void* user, const char* model, size_t model_len,
                               const satchel_view* segments, size_t segment_count,
                               satchel_counts_answer* answer) {
  uint32_t cumulative[16];
  size_t i = 0;
  (void)model;
  (void)model_len;
  (void)segments;
  ++((struct host_state*)user)->tokenized;
  if (segment_count > 16) return SATCHEL_ERR_LIMIT;
  for (i = 0; i < segment_count; ++i) cumulative[i] = 10 * ((uint32_t)i + 1);
  return satchel_counts_set(answer, cumulative, segment_count);
}

/* Asked where the configuration says "exact"; the first body only. */
static satchel_status render(void* user, const char* model, size_t model_len,
                             const satchel_render_request* request, satchel_render_answer* answer) {
  static const int64_t counts[] = {30, 40};
  (void)model;
  (void)model_len;
  if (++((struct host_state*)user)->rendered > 1) {
    return satchel_render_fail(answer, SATCHEL_RENDER_FAILED);
  }
  return satchel_render_set(answer, 50, counts, request->prefix_count);
}

/* Opens the library and a cache with every part ours. */
static void open_with_parts(struct host_state* state, satchel_library** library,
                            satchel_prompt_cache** cache) {
  satchel_error error;
  satchel_host host;
  satchel_principals principals;
  satchel_models models;
  satchel_tokenizer tokenizer;
  satchel_index index;
  satchel_prompt_parts parts;
  memory_index_begin(&state->index);
  satchel_error_init(&error);
  satchel_host_init(&host);
  satchel_principals_init(&principals);
  satchel_models_init(&models);
  satchel_tokenizer_init(&tokenizer);
  index = memory_index_table(&state->index);
  satchel_prompt_parts_init(&parts);
  host.user = principals.user = models.user = tokenizer.user = state;
  host.release = release_host;
  host.clock = host_clock;
  host.monotonic = host_monotonic;
  host.log = host_log;
  principals.release = release_principals;
  principals.resolve = resolve_principal;
  models.release = release_models;
  models.resolve = resolve_model;
  tokenizer.release = release_tokenizer;
  tokenizer.versions = list_versions;
  tokenizer.tokenize = tokenize;
  tokenizer.render = render;
  parts.principals = &principals;
  parts.models = &models;
  parts.tokenizer = &tokenizer;
  parts.index = &index;
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(&host, LITERAL("{\"log_level\":\"debug\"}"), library, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(*library, &parts, NULL, 0, cache, &error));
}

static void use_the_whole_life(void) {
  static struct host_state state;
  const int64_t second = 1000000000;
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_request* request = NULL;
  satchel_request_head head;
  satchel_forward forward;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_view out = {NULL, 0};
  uint64_t max_body = 0;
  int32_t plan = -1;

  state.now = 1000 * second;
  open_with_parts(&state, &library, &cache);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_max_body(cache, &max_body, &error));
  CHECK(max_body >= 1 << 20);

  satchel_request_head_init(&head);
  satchel_forward_init(&forward);
  head.method = sample_view("POST");
  head.target = sample_view("/v1/chat/completions?cacheBreakpoint=lastUserMessage&a=b");
  head.authorization = sample_view("Bearer sk-secret");
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
  CHECK(forward.body_changed == 1 && forward.target_changed == 1);
  CHECK(!sample_holds(forward.body.data, forward.body.len, "cache_control"));
  CHECK(forward.target.len == strlen("/v1/chat/completions?a=b") &&
        memcmp(forward.target.data, "/v1/chat/completions?a=b", forward.target.len) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_classify(request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(request, 200, LITERAL("application/json"), NULL,
                                                    0, &plan, &error));
  CHECK(plan == SATCHEL_RESPONSE_HELD);
  CHECK_STATUS(SATCHEL_OK, satchel_request_write(request, LITERAL(SAMPLE_ANSWER), &out, &error));
  CHECK(out.len == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_end(request, &out, &error));
  CHECK(sample_holds(out.data, out.len, "\"ephemeral_5m_input_tokens\":10"));
  CHECK(sample_holds(out.data, out.len, "\"ephemeral_1h_input_tokens\":10"));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(request, &result, &error));
  CHECK(result.classified == 1 && result.active == 1 && result.degraded == 0);
  CHECK(result.had_markers == 1 && result.saw_usage == 1 && result.saw_error == 0);
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  CHECK(result.read == 0 && result.creation_5m == 10 && result.creation_1h == 10);
  CHECK(result.creation_24h == 0 && result.prompt_tokens == 100);
  CHECK(result.library_ns > 0);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
  CHECK(request == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 5000, &error));

  /* The same again is read; the streamed twin has the same blocks. */
  {
    struct sample_text client = {{0}, 0};
    CHECK_STATUS(SATCHEL_OK, sample_run(cache, "customer-1", 1, 7, &result, &client, &error));
    CHECK(result.read == 20 && result.creation_5m == 0 && result.creation_1h == 0);
    CHECK(sample_holds(client.data, client.len, "\"cached_tokens\":20"));
    CHECK(sample_holds(client.data, client.len, "data: [DONE]\n\n"));
    CHECK_STATUS(SATCHEL_OK, sample_run(cache, "customer-2", 1, 1, &result, NULL, &error));
    CHECK(result.read == 0 && result.creation_5m == 10);
  }

  /* Classified beside the upstream call, by a host that never waits. */
  {
    satchel_buffer metrics = SATCHEL_BUFFER_INIT;
    const satchel_request_head who = sample_head("customer-1");
    int32_t fd = -1;
    CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &who, &request, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_no_wait(request, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_classify_start(request, NULL, NULL, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_request_descriptor(request, &fd, &error));
    CHECK(fd >= 0);
    CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_metrics(cache, &metrics, &error));
    CHECK(sample_holds(metrics.data, metrics.len, "satchel_prompt_cache_requests_total"));
    satchel_buffer_free(&metrics);
  }

  /* The client left: nothing is committed. */
  head.api_key = sample_view("sk-another");
  CHECK_STATUS(SATCHEL_OK, satchel_request_new(cache, &head, &request, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_request_body(request, LITERAL(SAMPLE_BODY_STREAM), &forward, &error));
  CHECK(sample_holds(forward.body.data, forward.body.len, "\"include_usage\":true"));
  CHECK_STATUS(SATCHEL_OK, satchel_request_response(request, 200, LITERAL("text/event-stream"),
                                                    NULL, 0, &plan, &error));
  CHECK(plan == SATCHEL_RESPONSE_STREAM);
  CHECK_STATUS(SATCHEL_OK, satchel_request_abort(request, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_request_result_get(request, &result, &error));
  CHECK(result.commit == SATCHEL_COMMIT_VETO_ABORTED);
  CHECK_STATUS(SATCHEL_OK, satchel_request_free(&request));

  /* An index of the host's is written beside the requests. */
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.lookups >= 3 && counts.hits >= 1 && counts.entries_written == 4);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_forget(cache, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "customer-1", 0, 4096, &result, NULL, &error));
  CHECK(result.read == 0 && result.creation_5m == 10);

  /* An entry's life ends when nobody reads it. */
  state.now += 3601 * second;
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, "customer-1", 0, 4096, &result, NULL, &error));
  CHECK(result.read == 0 && result.creation_1h == 10);

  CHECK(state.clock_calls > 0 && state.monotonic_calls > 0);
  CHECK(state.resolved_principals > 0 && state.resolved_models > 0);
  CHECK(state.listed_versions > 0 && state.tokenized > 0);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(library == NULL && state.released[0] == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(cache == NULL);
  CHECK(state.released[0] == 1 && state.released[1] == 1);
  CHECK(state.released[2] == 1 && state.released[3] == 1);
  CHECK(state.index.releases == 1 && state.index.finds > 0);
  memory_index_end(&state.index);
}

static void use_the_sqlite_index(void) {
  char* directory = sample_directory();
  satchel_library* library = NULL;
  satchel_prompt_cache* writer = NULL;
  satchel_prompt_cache* reader = NULL;
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  satchel_error error = SATCHEL_ERROR_INIT;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(writer, "p", 0, 100, &result, NULL, &error));
  CHECK(result.read == 0 && result.creation_5m == 16 && result.creation_1h == 16);
  CHECK(result.commit == SATCHEL_COMMIT_HANDED_OVER);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(writer, 10000, &error));
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &reader, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(reader, "p", 1, 3, &result, NULL, &error));
  CHECK(result.read == 32 && result.creation_5m == 0 && result.creation_1h == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&reader));
  /* Closing wrote everything: the next process finds it. */
  CHECK_STATUS(SATCHEL_OK, sample_open_sqlite(library, directory, &reader, &error));
  CHECK_STATUS(SATCHEL_OK, sample_run(reader, "p", 0, 3, &result, NULL, &error));
  CHECK(result.read == 32);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&reader));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
}

static void use_the_prompt(satchel_prompt_cache* cache) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_prompt* prompt = NULL;
  satchel_block block = SATCHEL_BLOCK_INIT;
  satchel_breakpoint breakpoint = SATCHEL_BREAKPOINT_INIT;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_view value = {NULL, 0};
  size_t count = 0;
  int32_t had_markers = 0;

  CHECK_STATUS(SATCHEL_OK, satchel_prompt_validate(cache, LITERAL(SAMPLE_BODY), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_parse(cache, LITERAL(SAMPLE_BODY), &prompt, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_block_count(prompt, &count, &error));
  CHECK(count == 2);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_block(prompt, 0, &block, &error));
  CHECK(block.role.len == 6 && memcmp(block.role.data, "system", 6) == 0);
  CHECK(block.text.len == 64 && block.message_index == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_breakpoint_count(prompt, &count, &error));
  CHECK(count == 2);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_breakpoint(prompt, 1, &breakpoint, &error));
  CHECK(breakpoint.block == 1 && breakpoint.candidate_count == 2);
  CHECK(breakpoint.tier == SATCHEL_TIER_1H && breakpoint.message == 1);
  CHECK(breakpoint.tools == -1 && breakpoint.message_block == -1 && breakpoint.tool_call == -1);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_free(&prompt));

  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_forward(cache, LITERAL(SAMPLE_BODY), &buffer, &had_markers, &error));
  CHECK(had_markers == 1 && !sample_holds(buffer.data, buffer.len, "cache_control"));
  CHECK_STATUS(SATCHEL_OK, satchel_query_breakpoint(LITERAL("/x?cacheBreakpoint=lastUserMessage"),
                                                    &value, &buffer, &error));
  CHECK(buffer.len == 2 && memcmp(buffer.data, "/x", 2) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_query_mark(LITERAL("{\"messages\":[]}"), &buffer, &error));
  CHECK(sample_holds(buffer.data, buffer.len, "\"ttl\":\"1h\""));
  CHECK_STATUS(SATCHEL_OK, satchel_json_canonical(LITERAL("{\"b\": 1.0, \"a\": \"\\u0041\"}"),
                                                  &buffer, &error));
  CHECK(buffer.len == 17 && memcmp(buffer.data, "{\"a\":\"A\",\"b\":1.0}", 17) == 0);
  satchel_buffer_free(&buffer);
  CHECK(buffer.data == NULL && buffer.len == 0 && buffer.owner == NULL);
}

static void use_the_outcome(satchel_prompt_cache* cache) {
  satchel_error error = SATCHEL_ERROR_INIT;
  const satchel_request_head who = sample_head("p");
  satchel_outcome* outcome = NULL;
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  satchel_entry entry = SATCHEL_ENTRY_INIT;
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &who, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(outcome, &summary, &error));
  CHECK(summary.active == 1 && summary.degraded == 0 && summary.has_refresh == 0);
  CHECK(summary.entry_count == 2 && summary.creation_5m == 16 && summary.creation_1h == 16);
  CHECK(summary.principal.len == 1 && summary.model.len == 1);
  CHECK(sample_holds(summary.tokenizer_version.data, summary.tokenizer_version.len, "estimate"));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_entry(outcome, 1, &entry, &error));
  CHECK(entry.cumulative_token_count == 32 && entry.tier == SATCHEL_TIER_1H);
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_commit(outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_commit(outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &who, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(outcome, &summary, &error));
  CHECK(summary.read == 32 && summary.entry_count == 0 && summary.has_refresh == 1);
  CHECK(memcmp(summary.refresh_hash, entry.hash, sizeof entry.hash) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
}

static void use_the_filter(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_usage_filter* filter = NULL;
  satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
  satchel_view out = {NULL, 0};
  int32_t changed = 0;
  int32_t saw_usage = 0;
  int32_t saw_error = 1;
  usage.read = 40;
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_new(SATCHEL_BODY_JSON, &usage, &filter, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_usage_filter_write(filter, LITERAL(SAMPLE_ANSWER), &out, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_end(filter, &out, &error));
  CHECK(sample_holds(out.data, out.len, "\"cache_read_input_tokens\":40"));
  CHECK_STATUS(SATCHEL_OK,
               satchel_usage_filter_saw(filter, &changed, &saw_usage, &saw_error, &error));
  CHECK(changed == 1 && saw_usage == 1 && saw_error == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_filter_free(&filter));
}

int main(void) {
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_error error = SATCHEL_ERROR_INIT;
  CHECK(strcmp(satchel_version(), SATCHEL_VERSION_STRING) == 0);
  CHECK(satchel_abi_version() == SATCHEL_ABI_VERSION);
  CHECK(strcmp(satchel_status_name(SATCHEL_ERR_CONFIG), "ERR_CONFIG") == 0);

  use_the_whole_life();
  use_the_sqlite_index();
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, NULL, LITERAL(SAMPLE_CONFIG), &cache, &error));
  use_the_prompt(cache);
  use_the_outcome(cache);
  use_the_filter();
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(use_the_tools() == 0);
  CHECK(use_the_cascade() == 0);
  return check_summary();
}
