/* Exact counting with the host's tokenizer: what its render callback is asked, each of its answers,
 * and tables and structs of the first ABI, which did not know it. */
#include <stddef.h>

#include "check.h"
#include "sample.h"

#define EXACT "{\"exact\":true," SAMPLE_MODELS "}"

static satchel_error error;

/* What the tokenizer answers, and what it was asked. */
static struct {
  const char* template_version;
  satchel_status status;
  int32_t failure;
  int silent; /* OK without an answer */
  int64_t counts[4];
  size_t count;
  int rendered;
  int tokenized;
  int releases;
} script;

static satchel_status list_versions(void* user, const char* model, size_t model_len,
                                    satchel_versions_answer* answer) {
  (void)user;
  return satchel_versions_add(answer, model, model_len, LITERAL("tok"), script.template_version,
                              strlen(script.template_version));
}

static satchel_status count_segments(void* user, const char* model, size_t model_len,
                                     const satchel_view* segments, size_t segment_count,
                                     satchel_counts_answer* answer) {
  static const uint32_t cumulative[] = {7, 14};
  (void)user;
  (void)model;
  (void)model_len;
  (void)segments;
  ++script.tokenized;
  return satchel_counts_set(answer, cumulative, segment_count);
}

static void refuse_wrong_answers(satchel_render_answer* answer) {
  const int64_t low = -2;
  const int64_t high = (int64_t)UINT32_MAX + 1;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_set(answer, 1, NULL, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_set(answer, 1, &low, SIZE_MAX));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_set(answer, 1, &low, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_set(answer, 1, &high, 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_fail(answer, 0));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_render_fail(answer, 4));
}

static satchel_status render(void* user, const char* model, size_t model_len,
                             const satchel_render_request* request, satchel_render_answer* answer) {
  (void)user;
  ++script.rendered;
  CHECK(model_len == 1 && *model == 'm');
  CHECK(request->struct_size == sizeof *request);
  CHECK(request->messages.data[0] == '[');
  CHECK(sample_holds(request->messages.data, request->messages.len, SAMPLE_64));
  CHECK(!sample_holds(request->messages.data, request->messages.len, "cache_control"));
  CHECK(request->tools.len == 0);
  CHECK(request->timeout_ms > 0 && request->timeout_ms <= 5000);
  if (request->prefix_count == 2) {
    CHECK(request->prefixes[0].tools == -1 && request->prefixes[0].message == 0);
    CHECK(request->prefixes[0].message_block == -1 && request->prefixes[0].tool_call == -1);
    CHECK(request->prefixes[1].message == 1);
  }
  refuse_wrong_answers(answer);
  if (script.status != SATCHEL_OK) return script.status;
  if (script.silent) return SATCHEL_OK;
  if (script.failure != 0) return satchel_render_fail(answer, script.failure);
  return satchel_render_set(answer, 99, script.counts, script.count);
}

static void count_release(void* user) {
  (void)user;
  ++script.releases;
}

static satchel_tokenizer scripted_table(void) {
  satchel_tokenizer table = SATCHEL_TOKENIZER_INIT;
  memset(&script, 0, sizeof script);
  script.template_version = "tpl";
  script.counts[0] = 20;
  script.counts[1] = 50;
  script.count = 2;
  table.release = count_release;
  table.versions = list_versions;
  table.tokenize = count_segments;
  table.render = render;
  return table;
}

static satchel_library* library;

static satchel_status open_with(const satchel_tokenizer* tokenizer, const char* config,
                                satchel_prompt_cache** cache) {
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  parts.tokenizer = tokenizer;
  return satchel_prompt_cache_open(library, &parts, config, strlen(config), cache, &error);
}

/* Classifies the sample; the summary's views are not to be looked at afterwards. */
static satchel_outcome_summary classify(satchel_prompt_cache* cache, const char* version) {
  const satchel_request_head who = sample_head("p");
  satchel_outcome_summary summary = SATCHEL_OUTCOME_SUMMARY_INIT;
  satchel_outcome* outcome = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &who, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(outcome, &summary, &error));
  if (version != NULL) {
    CHECK(summary.tokenizer_version.len == strlen(version) &&
          memcmp(summary.tokenizer_version.data, version, strlen(version)) == 0);
  }
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  return summary;
}

static void a_rendered_prompt_is_counted_as_the_callback_says(void) {
  const satchel_tokenizer table = scripted_table();
  satchel_prompt_cache* cache = NULL;
  satchel_outcome_summary found;
  CHECK_STATUS(SATCHEL_OK, open_with(&table, EXACT, &cache));
  found = classify(cache, "tok+tpl");
  CHECK(found.creation_5m == 20 && found.creation_1h == 30 && found.degraded == 0);
  CHECK(found.has_render_total == 1 && found.render_total == 99);
  CHECK(script.rendered == 1 && script.tokenized == 0);

  /* What the template refuses is estimated from the next count. */
  script.counts[0] = SATCHEL_NOT_COUNTED;
  found = classify(cache, "tok+tpl");
  CHECK(found.creation_5m == 43 && found.creation_1h == 7 && script.tokenized == 1);

  /* Another number of counts is not believed, nor is one that shrinks. */
  script.count = 1;
  found = classify(cache, "tok+tpl");
  CHECK(found.creation_5m == 7 && found.creation_1h == 7 && found.has_render_total == 0);
  script.count = 2;
  script.counts[0] = 51;
  found = classify(cache, "tok+tpl");
  CHECK(found.creation_5m == 7 && found.creation_1h == 7 && found.has_render_total == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(script.releases == 1);
}

static void what_cannot_be_rendered_is_counted_by_segments_or_not_at_all(void) {
  static const struct {
    satchel_status status;
    int32_t failure;
    int silent;
    int degraded;
  } rows[] = {
      {SATCHEL_OK, SATCHEL_RENDER_NO_TEMPLATE, 0, 0},
      {SATCHEL_OK, SATCHEL_RENDER_FAILED, 0, 0},
      {SATCHEL_NOT_HANDLED, 0, 0, 0},
      {SATCHEL_OK, SATCHEL_RENDER_UNMAPPED, 0, 1},
      {SATCHEL_OK, 0, 1, 1},
      {SATCHEL_ERR_CALLBACK, 0, 0, 1},
      {SATCHEL_ERR_TIMEOUT, 0, 0, 1},
      {77, 0, 0, 1},
      {-99, 0, 0, 1},
  };
  size_t i = 0;
  for (i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    const satchel_tokenizer table = scripted_table();
    satchel_prompt_cache* cache = NULL;
    satchel_outcome_summary found;
    script.status = rows[i].status;
    script.failure = rows[i].failure;
    script.silent = rows[i].silent;
    CHECK_STATUS(SATCHEL_OK, open_with(&table, EXACT, &cache));
    found = classify(cache, rows[i].degraded ? NULL : "tok+tpl");
    CHECK(found.active == 1 && found.degraded == rows[i].degraded);
    CHECK(found.has_render_total == 0 && found.render_total == 0);
    CHECK(found.creation_5m == (rows[i].degraded ? 0 : 7));
    CHECK(script.rendered == 1 && script.tokenized == (rows[i].degraded ? 0 : 1));
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  }
}

static void without_exact_or_a_template_nothing_is_rendered(void) {
  const satchel_tokenizer table = scripted_table();
  satchel_prompt_cache* cache = NULL;
  CHECK_STATUS(SATCHEL_OK, open_with(&table, SAMPLE_CONFIG, &cache));
  CHECK(classify(cache, "tok").creation_5m == 7);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  script.template_version = "";
  CHECK_STATUS(SATCHEL_OK, open_with(&table, EXACT, &cache));
  CHECK(classify(cache, "tok").creation_5m == 7);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(script.rendered == 0 && script.releases == 2);
}

/* As a program has it that was compiled before render was added: what stands behind is not its. */
static void a_table_of_the_first_size_works_and_does_not_render(void) {
  satchel_tokenizer table = scripted_table();
  satchel_prompt_cache* cache = NULL;
  table.struct_size = offsetof(satchel_tokenizer, render);
  CHECK_STATUS(SATCHEL_OK, open_with(&table, SAMPLE_CONFIG, &cache));
  CHECK(classify(cache, "tok").creation_5m == 7);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(script.releases == 1);
  CHECK_ERROR(SATCHEL_ERR_CONFIG, "exact", open_with(&table, EXACT, &cache));
  CHECK(script.rendered == 0 && script.releases == 2);
  /* No ABI had a part of a pointer. */
  table.struct_size = offsetof(satchel_tokenizer, render) + 4;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "struct_size", open_with(&table, SAMPLE_CONFIG, &cache));
  CHECK(cache == NULL);
}

static void a_summary_of_the_first_size_is_filled_as_far_as_it_goes(void) {
  const satchel_tokenizer table = scripted_table();
  const satchel_request_head who = sample_head("p");
  const size_t first = offsetof(satchel_outcome_summary, render_total);
  satchel_outcome_summary summary;
  satchel_prompt_cache* cache = NULL;
  satchel_outcome* outcome = NULL;
  size_t at = 0;
  CHECK_STATUS(SATCHEL_OK, open_with(&table, EXACT, &cache));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_classify(cache, &who, LITERAL("m"), LITERAL(SAMPLE_BODY),
                                                   &outcome, &error));
  memset(&summary, 0xA5, sizeof summary);
  summary.struct_size = first;
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_summary_get(outcome, &summary, &error));
  CHECK(summary.struct_size == first && summary.active == 1 && summary.creation_5m == 20);
  for (at = first; at < sizeof summary; ++at) CHECK(((unsigned char*)&summary)[at] == 0xA5);
  summary.struct_size = first + 8;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "struct_size",
              satchel_outcome_summary_get(outcome, &summary, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_outcome_free(&outcome));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

static void parts_that_do_not_fit_together_are_refused(void) {
  static const char* const service = "{\"tokenizer\":{\"url\":\"http://127.0.0.1:1\"}}";
  satchel_tokenizer table = scripted_table();
  satchel_prompt_cache* cache = NULL;
  CHECK_ERROR(SATCHEL_ERR_CONFIG, "exact", open_with(NULL, EXACT, &cache));
  CHECK_ERROR(SATCHEL_ERR_CONFIG, "tokenizer", open_with(&table, service, &cache));
  CHECK(script.releases == 1);
  table.versions = NULL;
  table.tokenize = NULL;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "render", open_with(&table, EXACT, &cache));
  CHECK(script.releases == 2 && cache == NULL);
  CHECK_STATUS(SATCHEL_OK, open_with(NULL, service, &cache));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

int main(void) {
  satchel_error_init(&error);
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  a_rendered_prompt_is_counted_as_the_callback_says();
  what_cannot_be_rendered_is_counted_by_segments_or_not_at_all();
  without_exact_or_a_template_nothing_is_rendered();
  a_table_of_the_first_size_works_and_does_not_render();
  a_summary_of_the_first_size_is_filled_as_far_as_it_goes();
  parts_that_do_not_fit_together_are_refused();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
