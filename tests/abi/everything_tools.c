/* The tool cache's part of everything.c: leases, lookups, invalidation, upkeep, a store of the
 * host's own. */
#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

int use_the_tools(void);

static satchel_error error;
static satchel_library* library;
static satchel_tool_cache* cache;
static char* directory;

static int holds(const satchel_buffer* buffer, const char* part) {
  return sample_holds(buffer->data, buffer->len, part);
}

static int equals(satchel_view view, const char* text) {
  return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

static void use_keys(void) {
  char key[65] = "";
  char of_result[65] = "";
  CHECK_STATUS(SATCHEL_OK, satchel_tool_key(NULL, 0, key, &error));
  CHECK(strcmp(key, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262") == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_key(LITERAL("abc"), of_result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_key(LITERAL("tool_result\0abc"), key, &error));
  CHECK(strcmp(key, of_result) == 0);
}

/* Hash, run, hash: the first call computes, the second is served. */
static void use_leases(void) {
  const satchel_root roots[] = {{{"a.txt", 5}, {NULL, 0}}};
  const satchel_view upstream = {TOOL_64("b"), 64};
  satchel_tool_meta extra;
  satchel_tool_call call;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_tool_lease* second = NULL;
  satchel_tool_writer* writer = NULL;
  satchel_tool_meta_init(&extra);
  satchel_tool_call_init(&call);
  extra.upstreams = &upstream;
  extra.upstream_count = 1;
  call.kind = sample_view("read");
  call.args_summary = sample_view("a.txt");
  call.roots = roots;
  call.root_count = 1;

  CHECK_ERROR(SATCHEL_LEASED, NULL,
              satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, &error));
  CHECK(result == NULL && lease != NULL);
  CHECK_ERROR(SATCHEL_WAIT, NULL,
              satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &second, &error));
  CHECK(result == NULL && second == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(lease, LITERAL("payload"), &extra, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "committed",
              satchel_tool_lease_commit(lease, LITERAL("again"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK(lease == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, &error));
  CHECK(lease == NULL && tool_is(result, "payload"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));

  /* Abandoned, by word and by freeing it: the next one begins. */
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_B, &call, &result, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_abandon(lease, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_B, &call, &result, &second, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&second));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_B, &call, &result, &lease, &error));

  /* Piece by piece. */
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_writer(lease, NULL, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("in "), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("pieces"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_commit(writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(cache, KEY_B, &result, &error));
  CHECK(tool_is(result, "in pieces"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));

  /* A root changes while the tool runs: fine, but not kept. */
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_C, &call, &result, &lease, &error));
  tool_write(directory, "a.txt", "two");
  CHECK_ERROR(SATCHEL_NOT_STORED, "a.txt",
              satchel_tool_lease_commit(lease, LITERAL("late"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_ERROR(SATCHEL_MISS, NULL, satchel_tool_lookup(cache, KEY_C, &result, &error));
  CHECK(result == NULL);
  tool_write(directory, "a.txt", "one");
}

static void use_results(void) {
  satchel_tool_result* result = NULL;
  satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
  satchel_root root = {{NULL, 0}, {NULL, 0}};
  satchel_view view = {NULL, 0};
  char piece[4] = "";
  size_t got = 7;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_A, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_info_get(result, &info, &error));
  CHECK(equals(info.kind, "read") && info.payload_hash.len == 64 && info.bytes == 7);
  CHECK(info.root_count == 1 && info.upstream_count == 1);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_root(result, 0, &root, &error));
  CHECK(equals(root.path, "a.txt") && root.expected_hash.len == 64);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_upstream(result, 0, &view, &error));
  CHECK(equals(view, TOOL_64("b")));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_payload(result, &view, &error));
  CHECK(equals(view, "payload"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_read(result, 0, piece, 4, &got, &error));
  CHECK(got == 4 && memcmp(piece, "payl", 4) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_read(result, 4, piece, 4, &got, &error));
  CHECK(got == 3 && memcmp(piece, "oad", 3) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_read(result, 7, piece, 4, &got, &error));
  CHECK(got == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_read(result, UINT64_MAX, piece, 4, &got, &error));
  CHECK(got == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK(result == NULL);
}

static void use_the_rest_of_storing(void) {
  satchel_buffer fingerprint = SATCHEL_BUFFER_INIT;
  const satchel_root root = tool_root(cache, "a.txt", &fingerprint);
  const satchel_tool_meta meta = tool_meta("grep", &root, 1);
  satchel_tool_result* result = NULL;
  satchel_tool_writer* writer = NULL;
  int32_t present = 7;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_C, LITERAL("found"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_contains(cache, KEY_C, &present, &error));
  CHECK(present == 1);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_new(cache, KEY_D, &meta, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("never"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_contains(cache, KEY_D, &present, &error));
  CHECK(present == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_new(cache, KEY_D, &meta, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("stored"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_commit(writer, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "committed", satchel_tool_writer_commit(writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));

  /* A changed root: not served, and put back: served again. */
  tool_write(directory, "a.txt", "changed");
  CHECK_ERROR(SATCHEL_INVALIDATED, "a.txt",
              satchel_tool_lookup_revalidate(cache, KEY_D, &result, &error));
  CHECK(result == NULL);
  tool_write(directory, "a.txt", "one");
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(cache, KEY_D, &result, &error));
  CHECK(tool_is(result, "stored"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  satchel_buffer_free(&fingerprint);
}

static void use_fingerprints(void) {
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  satchel_tool_cache* small = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_fingerprint(cache, LITERAL("."),
                                                    SATCHEL_FINGERPRINT_DIRECTORY, &out, &error));
  CHECK(holds(&out, "dir:"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_fingerprint(cache, LITERAL("a.txt"),
                                                    SATCHEL_FINGERPRINT_STAT, &out, &error));
  CHECK(holds(&out, "stat:3:"));
  CHECK_ERROR(SATCHEL_ERR_IO, "nowhere",
              satchel_tool_fingerprint(cache, LITERAL("nowhere"), SATCHEL_FINGERPRINT_CONTENT, &out,
                                       &error));
  CHECK(error.os_errno != 0);
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, "{\"hash_max_bytes\":2}", &small, &error));
  CHECK_ERROR(
      SATCHEL_OVERSIZED, NULL,
      satchel_tool_fingerprint(small, LITERAL("a.txt"), SATCHEL_FINGERPRINT_CONTENT, &out, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_tool_fingerprint(small, LITERAL("a.txt"),
                                        SATCHEL_FINGERPRINT_CONTENT_OR_STAT, &out, &error));
  CHECK(holds(&out, "stat:3:"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&small));
  satchel_buffer_free(&out);
}

static void use_what_tells_of_it(void) {
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  uint64_t number = 0;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_flush(cache, 30000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_entry_count(cache, &number, &error));
  CHECK(number == 4);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_known_kinds(cache, &out, &error));
  CHECK(out.len == strlen("[\"grep\",\"read\"]") && holds(&out, "[\"grep\",\"read\"]"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_total_bytes(cache, &number, &error));
  CHECK(number > 4 * 150 && number < 4 * 1000);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_stats(cache, &out, &error));
  CHECK(out.len > 2 && out.data[0] == '{' && holds(&out, "\"grep\""));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_metrics(cache, &out, &error));
  CHECK(holds(&out, "satchel_tool_cache_"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_list(cache, NULL, 0, NULL, 0, 10, &out, &error));
  CHECK(holds(&out, TOOL_64("a")) && holds(&out, TOOL_64("d")));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_list(cache, KEY_A, LITERAL("read"), 1, &out, &error));
  CHECK(holds(&out, TOOL_64("b")) && !holds(&out, TOOL_64("a")) && !holds(&out, TOOL_64("c")));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_why(cache, KEY_A, &out, &error));
  CHECK(out.len > 2 && out.data[0] == '{' && holds(&out, "a.txt"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_verify(cache, KEY_A, &error));
  CHECK_ERROR(SATCHEL_MISS, NULL, satchel_tool_verify(cache, TOOL_64("e"), 64, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_record(cache, LITERAL("bash"), LITERAL("declined"), 1234,
                                               LITERAL("make"), NULL, 0, &error));
  satchel_buffer_free(&out);
}

static void use_what_drops(void) {
  uint64_t number = 7;
  int32_t present = 7;
  /* A was made from B; C and D have the file among their roots, as A and B have. */
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_upstream(cache, KEY_B, &number, &error));
  CHECK(number == 1);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_contains(cache, KEY_A, &present, &error));
  CHECK(present == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_mark_dirty(cache, KEY_B, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(cache, LITERAL("A.TXT"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(cache, LITERAL("a.txt"), &number, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_entry_count(cache, &number, &error));
  CHECK(number == 0);
}

static void use_upkeep(void) {
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  uint64_t number = 7;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_A, LITERAL("x"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_B, LITERAL("x"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_evict(cache, &number, &error));
  CHECK(number == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_sweep(cache, 0, &number, &error));
  CHECK(number == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_rebuild(cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_evict_to_cap(cache, 0, &number, &error));
  CHECK(number == 2);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_total_bytes(cache, &number, &error));
  CHECK(number == 0);
}

/* All of it once more, over entries that the host keeps. */
static void use_a_store_of_the_host(void) {
  static struct memory_store store;
  satchel_tool_store table;
  const satchel_root asked = {{"a.txt", 5}, {NULL, 0}};
  const satchel_tool_call call = tool_call("read", &asked, 1);
  satchel_tool_cache* over = NULL;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_buffer fingerprint = SATCHEL_BUFFER_INIT;
  uint64_t number = 0;
  satchel_tool_store_init(&table);
  CHECK(table.struct_size == sizeof table);
  table = memory_table(&store);
  CHECK_STATUS(SATCHEL_OK, tool_open_over(library, directory, &table, &over, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(over, KEY_A, &call, &result, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(lease, LITERAL("kept"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(over, KEY_A, &result, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_total_bytes(over, &number, &error));
  CHECK(number == memory_sum(&store) && number > 100);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_path(over, LITERAL("a.txt"), &number, &error));
  CHECK(number == 1 && memory_sum(&store) == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&over));
  CHECK(store.releases == 1);
  /* A result is its holder's, whatever became of the entry and the cache. */
  CHECK(tool_is(result, "kept"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  satchel_buffer_free(&fingerprint);
  memory_clear(&store);
}

int use_the_tools(void) {
  satchel_tool_place place;
  char config[512];
  char stats[256];
  struct stat written;
  satchel_error_init(&error);
  satchel_tool_place_init(&place);
  CHECK(place.struct_size == sizeof place);
  directory = tool_directory();
  snprintf(stats, sizeof stats, "%s/stats.jsonl", directory);
  snprintf(config, sizeof config, "{\"stats_path\":\"%s\"}", stats);
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &library, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, config, &cache, &error));
  use_keys();
  use_leases();
  use_results();
  use_the_rest_of_storing();
  use_fingerprints();
  use_what_tells_of_it();
  use_what_drops();
  use_upkeep();
  use_a_store_of_the_host();
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK(cache == NULL && stat(stats, &written) == 0 && written.st_size > 0);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
