/* The host's own index: shared by caches, seen before it is written, away and back, never trusted
 * with what was not asked for. */
#include "check.h"
#include "memory_index.h"
#include "sample.h"

static satchel_error error;
static satchel_library* library;

static satchel_prompt_cache* open_cache(satchel_index* table, const char* config) {
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_prompt_cache* cache = NULL;
  parts.index = table;
  CHECK_STATUS(SATCHEL_OK,
               satchel_prompt_cache_open(library, &parts, config, strlen(config), &cache, &error));
  return cache;
}

static satchel_request_result run(satchel_prompt_cache* cache, const char* principal) {
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  CHECK_STATUS(SATCHEL_OK, sample_run(cache, principal, 0, 99, &result, NULL, &error));
  return result;
}

static void two_caches_share_it(void) {
  struct memory_index index;
  satchel_index table;
  satchel_prompt_cache* first = NULL;
  satchel_prompt_cache* second = NULL;
  memory_index_begin(&index);
  table = memory_index_table(&index);
  first = open_cache(&table, SAMPLE_CONFIG);
  second = open_cache(&table, SAMPLE_CONFIG);
  CHECK(run(first, "p").creation_1h == 16);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(first, 60000, &error));
  CHECK(run(second, "p").read == 32);
  CHECK(run(second, "q").read == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_forget(second, &error));
  CHECK(run(first, "p").read == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&first));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&second));
  CHECK(index.releases == 2 && index.finds >= 4);
  memory_index_end(&index);
}

/* Nothing is claimed as new either: who knows what is there. */
static void away_it_leaves_requests_uncached_and_comes_back(void) {
  struct memory_index index;
  satchel_index table;
  satchel_prompt_cache* cache = NULL;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  satchel_request_result result;
  memory_index_begin(&index);
  table = memory_index_table(&index);
  cache = open_cache(&table, SAMPLE_CONFIG);
  memory_index_answer(&index, SATCHEL_ERR_BUSY);
  result = run(cache, "p");
  CHECK(result.degraded == 1 && result.read == 0 && result.creation_5m == 0);
  CHECK(result.commit == SATCHEL_COMMIT_NOTHING);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.lookup_failures == 1 && counts.lookups_turned_away == 1);
  memory_index_answer(&index, SATCHEL_OK);
  CHECK(run(cache, "p").creation_5m == 16);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
  CHECK(run(cache, "p").read == 32);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  memory_index_end(&index);
}

static void what_cannot_be_written_yet_is_seen_and_written_later(void) {
  struct memory_index index;
  satchel_index table;
  satchel_prompt_cache* cache = NULL;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  memory_index_begin(&index);
  table = memory_index_table(&index);
  cache = open_cache(&table, SAMPLE_CONFIG);
  memory_index_refuse_commits(&index, SATCHEL_ERR_IO);
  CHECK(run(cache, "p").creation_5m == 16);
  CHECK(run(cache, "p").read == 32);
  CHECK_STATUS(SATCHEL_ERR_TIMEOUT, satchel_prompt_cache_flush(cache, 300, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.entries_waiting == 3 && counts.entries_written == 0 && counts.write_retries > 0);
  memory_index_refuse_commits(&index, SATCHEL_OK);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.entries_written == 2 && counts.entries_refreshed == 1);
  CHECK(counts.entries_dropped == 0 && counts.entries_waiting == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
  CHECK(index.count == 2);
  memory_index_end(&index);
}

static satchel_status find_another(void* user, const satchel_scope* scope, const uint8_t* hashes,
                                   size_t hash_count, int64_t live_after,
                                   satchel_index_answer* answer) {
  satchel_entry entry = SATCHEL_ENTRY_INIT;
  (void)user;
  (void)scope;
  (void)hash_count;
  memset(entry.hash, 7, sizeof entry.hash);
  entry.cumulative_token_count = 1000;
  entry.expires_at = INT64_MAX;
  CHECK_STATUS(SATCHEL_OK, satchel_index_add(answer, &entry));
  memcpy(entry.hash, hashes, sizeof entry.hash);
  entry.expires_at = live_after;
  CHECK_STATUS(SATCHEL_OK, satchel_index_add(answer, &entry));
  entry.tier = 3;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_index_add(answer, &entry));
  entry.tier = SATCHEL_TIER_24H;
  entry.cumulative_token_count = (uint64_t)1 << 32;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_index_add(answer, &entry));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_index_add(answer, NULL));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_index_add(NULL, &entry));
  return SATCHEL_OK;
}

static satchel_status refuse(void* user, const satchel_commit* commit, int32_t* refreshed) {
  (void)user;
  (void)commit;
  (void)refreshed;
  return SATCHEL_ERR_ARGUMENT;
}

static void what_was_not_asked_for_is_no_hit_and_what_is_refused_is_dropped(void) {
  satchel_index table = SATCHEL_INDEX_INIT;
  satchel_prompt_cache* cache = NULL;
  satchel_index_counts counts = SATCHEL_INDEX_COUNTS_INIT;
  table.find = find_another;
  table.commit = refuse;
  cache = open_cache(&table, SAMPLE_CONFIG);
  CHECK(run(cache, "p").read == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_flush(cache, 60000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_index_counts(cache, &counts, &error));
  CHECK(counts.entries_dropped == 2 && counts.entries_waiting == 0);
  CHECK_STATUS(SATCHEL_ERR_UNAVAILABLE, satchel_prompt_cache_forget(cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&cache));
}

static void one_of_find_and_commit_is_an_error(void) {
  satchel_index table = SATCHEL_INDEX_INIT;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_prompt_cache* cache = NULL;
  table.find = find_another;
  parts.index = &table;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "index",
              satchel_prompt_cache_open(library, &parts, NULL, 0, &cache, &error));
  satchel_index_init(NULL);
}

int main(void) {
  satchel_error_init(&error);
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  two_caches_share_it();
  away_it_leaves_requests_uncached_and_comes_back();
  what_cannot_be_written_yet_is_seen_and_written_later();
  what_was_not_asked_for_is_no_hit_and_what_is_refused_is_dropped();
  one_of_find_and_commit_is_an_error();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
