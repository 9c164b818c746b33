/* The tool cache's part of arguments.c. */
#include <stdint.h>

#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

int misuse_the_tools(void);

static satchel_error error;
static char* directory;
static satchel_library* library;
static satchel_tool_cache* cache;
static satchel_tool_result* result;
static satchel_tool_lease* lease;
static satchel_tool_writer* writer;
static satchel_tool_meta meta;
static satchel_tool_call call;

static satchel_tool_cache* closed_cache;
static satchel_tool_result* closed_result;
static satchel_tool_lease* closed_lease;
static satchel_tool_writer* closed_writer;

static char not_a_handle[64];

static void open_everything(satchel_library** a, satchel_tool_cache** b, satchel_tool_result** c,
                            satchel_tool_lease** d, satchel_tool_writer** e) {
  satchel_tool_result* none = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, a, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(*a, directory, NULL, b, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(*b, KEY_A, LITERAL("payload"), &meta, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(*b, KEY_A, c, &error));
  CHECK_STATUS(SATCHEL_LEASED, satchel_tool_get_or_begin(*b, KEY_B, &call, &none, d, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_new(*b, KEY_C, &meta, e, &error));
}

static void open_and_close_everything(void) {
  satchel_library* a = NULL;
  satchel_tool_cache* b = NULL;
  satchel_tool_result* c = NULL;
  satchel_tool_lease* d = NULL;
  satchel_tool_writer* e = NULL;
  open_everything(&a, &b, &c, &d, &e);
  closed_cache = b;
  closed_result = c;
  closed_lease = d;
  closed_writer = e;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&e));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&d));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&c));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&b));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&a));
  CHECK(a == NULL && b == NULL && c == NULL && d == NULL && e == NULL);
}

/* ------------------------------------------------------------------ what is no open handle */

static void bad_cache_for_entries(satchel_tool_cache* bad) {
  satchel_tool_result* found = (satchel_tool_result*)not_a_handle;
  satchel_tool_lease* begun = (satchel_tool_lease*)not_a_handle;
  satchel_tool_writer* made = (satchel_tool_writer*)not_a_handle;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  int32_t present = 7;
  uint64_t number = 7;
  const char* name = "satchel_tool_cache";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lookup(bad, KEY_A, &found, &error));
  CHECK(found == NULL);
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lookup_revalidate(bad, KEY_A, &found, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_persist(bad, KEY_A, LITERAL("x"), &meta, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_writer_new(bad, KEY_A, &meta, &made, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_get_or_begin(bad, KEY_A, &call, &found, &begun, &error));
  CHECK(made == NULL && begun == NULL && found == NULL);
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_contains(bad, KEY_A, &present, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_mark_dirty(bad, KEY_A, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_invalidate_upstream(bad, KEY_A, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_invalidate_path(bad, LITERAL("a.txt"), &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_fingerprint(bad, LITERAL("a.txt"), 0, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_why(bad, KEY_A, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_verify(bad, KEY_A, &error));
  CHECK(present == 7 && number == 7 && buffer.data == NULL);
}

static void bad_cache_as_a_whole(satchel_tool_cache* bad) {
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_tool_cache* closing = bad;
  uint64_t number = 7;
  const char* name = "satchel_tool_cache";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_entry_count(bad, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_known_kinds(bad, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_total_bytes(bad, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_evict_to_cap(bad, 0, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_evict(bad, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_sweep(bad, 0, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_rebuild(bad, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_cache_flush(bad, 0, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_stats(bad, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_metrics(bad, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_list(bad, NULL, 0, NULL, 0, 10, &buffer, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_record(bad, LITERAL("t"), LITERAL("hit"), 1, NULL, 0, NULL, 0, &error));
  CHECK(number == 7 && buffer.data == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_cache_close(&closing));
    CHECK(closing == bad);
  }
}

static void bad_result(satchel_tool_result* bad) {
  satchel_tool_result_info info = SATCHEL_TOOL_RESULT_INFO_INIT;
  satchel_tool_result* closing = bad;
  satchel_root root = {{NULL, 7}, {NULL, 0}};
  satchel_view view = {NULL, 7};
  char byte = 'x';
  size_t got = 7;
  const char* name = "satchel_tool_result";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_result_info_get(bad, &info, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_result_root(bad, 0, &root, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_result_upstream(bad, 0, &view, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_result_payload(bad, &view, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_result_read(bad, 0, &byte, 1, &got, &error));
  CHECK(root.path.len == 7 && view.len == 7 && got == 7 && byte == 'x');
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_result_free(&closing));
    CHECK(closing == bad);
  }
}

static void bad_lease(satchel_tool_lease* bad) {
  satchel_tool_writer* made = (satchel_tool_writer*)not_a_handle;
  satchel_tool_lease* closing = bad;
  const char* name = "satchel_tool_lease";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lease_commit(bad, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lease_writer(bad, NULL, &made, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lease_abandon(bad, &error));
  CHECK(made == NULL);
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_lease_free(&closing));
    CHECK(closing == bad);
  }
}

static void bad_writer(satchel_tool_writer* bad) {
  satchel_tool_writer* closing = bad;
  const char* name = "satchel_tool_writer";
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_writer_write(bad, LITERAL("x"), &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_writer_commit(bad, &error));
  if (bad != NULL) {
    CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_writer_free(&closing));
    CHECK(closing == bad);
  }
}

static void what_is_no_open_handle_is_refused(void) {
  satchel_tool_cache* opened = NULL;
  void* const bad[] = {NULL, not_a_handle, not_a_handle + 5, (void*)(uintptr_t)5,
                       (void*)UINTPTR_MAX};
  size_t i = 0;
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_library",
              tool_open((satchel_library*)cache, directory, NULL, &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_library",
              tool_open(NULL, directory, NULL, &opened, &error));
  CHECK(opened == NULL);
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    bad_cache_for_entries(bad[i]);
    bad_cache_as_a_whole(bad[i]);
    bad_result(bad[i]);
    bad_lease(bad[i]);
    bad_writer(bad[i]);
  }
  bad_cache_for_entries(closed_cache);
  bad_cache_as_a_whole(closed_cache);
  bad_result(closed_result);
  bad_lease(closed_lease);
  bad_writer(closed_writer);
  /* open, but of another type */
  bad_cache_for_entries((satchel_tool_cache*)library);
  bad_cache_as_a_whole((satchel_tool_cache*)writer);
  bad_result((satchel_tool_result*)cache);
  bad_lease((satchel_tool_lease*)result);
  bad_writer((satchel_tool_writer*)lease);
}

static void closing_takes_null(void) {
  satchel_tool_cache* no_cache = NULL;
  satchel_tool_result* no_result = NULL;
  satchel_tool_lease* no_lease = NULL;
  satchel_tool_writer* no_writer = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&no_cache));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&no_result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&no_lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(NULL));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&no_writer));
  satchel_tool_meta_init(NULL);
  satchel_tool_call_init(NULL);
  satchel_tool_place_init(NULL);
  satchel_tool_store_init(NULL);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_stored_set(NULL, "p", 1, "m", 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_keys_add(NULL, KEY_A, "m", 1));
}

/* ------------------------------------------------------------------ keys */

/* Every call that takes a key, given one that is none. */
static void refused_key(const char* key, size_t len, const char* named) {
  satchel_tool_result* found = NULL;
  satchel_tool_lease* begun = NULL;
  satchel_tool_writer* made = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  const satchel_view upstreams[] = {{TOOL_64("a"), 64}, {key, len}};
  satchel_tool_meta with = meta;
  int32_t present = 7;
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  with.upstreams = upstreams;
  with.upstream_count = 2;
  CHECK_ERROR(refused, named, satchel_tool_lookup(cache, key, len, &found, &error));
  CHECK(strncmp(error.message, "key", 3) == 0);
  CHECK_ERROR(refused, named, satchel_tool_lookup_revalidate(cache, key, len, &found, &error));
  CHECK_ERROR(refused, named, satchel_tool_persist(cache, key, len, LITERAL("x"), &meta, &error));
  CHECK_ERROR(refused, "upstreams[1]",
              satchel_tool_persist(cache, KEY_A, LITERAL("x"), &with, &error));
  CHECK_ERROR(refused, named, satchel_tool_writer_new(cache, key, len, &meta, &made, &error));
  CHECK_ERROR(refused, named,
              satchel_tool_get_or_begin(cache, key, len, &call, &found, &begun, &error));
  CHECK_ERROR(refused, named, satchel_tool_contains(cache, key, len, &present, &error));
  CHECK_ERROR(refused, named, satchel_tool_mark_dirty(cache, key, len, &error));
  CHECK_ERROR(refused, named, satchel_tool_invalidate_upstream(cache, key, len, NULL, &error));
  CHECK_ERROR(refused, named, satchel_tool_why(cache, key, len, &buffer, &error));
  CHECK_ERROR(refused, named, satchel_tool_verify(cache, key, len, &error));
  CHECK(found == NULL && begun == NULL && made == NULL && present == 7 && buffer.data == NULL);
  if (len == 0) return; /* for a list: from the first */
  CHECK_ERROR(refused, "after", satchel_tool_list(cache, key, len, NULL, 0, 10, &buffer, &error));
}

static void what_is_no_key_is_refused(void) {
  static const char uppercase[] = "A" TOOL_8("a") TOOL_8("a") TOOL_8("a") TOOL_8("a") TOOL_8("a")
      TOOL_8("a") TOOL_8("a") "aaaaaaa";
  static const char with_nul[] = "\0" TOOL_8("a") TOOL_8("a") TOOL_8("a") TOOL_8("a") TOOL_8("a")
      TOOL_8("a") TOOL_8("a") "aaaaaaa";
  refused_key(NULL, 0, "64");
  refused_key(NULL, 64, "key");
  refused_key("", 0, "64");
  refused_key(TOOL_64("a"), 63, "63");
  refused_key(TOOL_64("a") "a", 65, "65");
  refused_key(TOOL_64("g"), 64, "64");
  refused_key(uppercase, 64, "lowercase");
  refused_key(with_nul, 64, "64");
  refused_key(TOOL_64("a"), SIZE_MAX, "key");
}

/* ------------------------------------------------------------------ everything else */

static void null_results_are_refused(void) {
  satchel_tool_result* found = NULL;
  satchel_tool_lease* begun = NULL;
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  char byte = 0;
  CHECK_ERROR(refused, "key", satchel_tool_key(LITERAL("x"), NULL, &error));
  CHECK_ERROR(refused, "key", satchel_tool_result_key(LITERAL("x"), NULL, &error));
  CHECK_ERROR(refused, "out", tool_open(library, directory, NULL, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_lookup(cache, KEY_A, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_lookup_revalidate(cache, KEY_A, NULL, &error));
  CHECK_ERROR(refused, "result",
              satchel_tool_get_or_begin(cache, KEY_A, &call, NULL, &begun, &error));
  CHECK_ERROR(refused, "lease",
              satchel_tool_get_or_begin(cache, KEY_A, &call, &found, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_writer_new(cache, KEY_A, &meta, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_lease_writer(lease, NULL, NULL, &error));
  CHECK_ERROR(refused, "present", satchel_tool_contains(cache, KEY_A, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_fingerprint(cache, LITERAL("a.txt"), 0, NULL, &error));
  CHECK_ERROR(refused, "count", satchel_tool_entry_count(cache, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_known_kinds(cache, NULL, &error));
  CHECK_ERROR(refused, "bytes", satchel_tool_total_bytes(cache, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_stats(cache, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_metrics(cache, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_list(cache, NULL, 0, NULL, 0, 10, NULL, &error));
  CHECK_ERROR(refused, "out", satchel_tool_why(cache, KEY_A, NULL, &error));
  CHECK_ERROR(refused, "info", satchel_tool_result_info_get(result, NULL, &error));
  CHECK_ERROR(refused, "root", satchel_tool_result_root(result, 0, NULL, &error));
  CHECK_ERROR(refused, "key", satchel_tool_result_upstream(result, 0, NULL, &error));
  CHECK_ERROR(refused, "payload", satchel_tool_result_payload(result, NULL, &error));
  CHECK_ERROR(refused, "got", satchel_tool_result_read(result, 0, &byte, 1, NULL, &error));
  CHECK(found == NULL && begun == NULL);
}

static void null_with_a_length_is_refused(void) {
  satchel_tool_result* found = NULL;
  satchel_tool_lease* begun = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_tool_meta bad = meta;
  satchel_tool_call asked = call;
  const satchel_root no_path = {{NULL, 1}, {NULL, 0}};
  const satchel_root no_hash = {{"a.txt", 5}, {NULL, 1}};
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  char key[65] = "";
  size_t got = 7;
  CHECK_ERROR(refused, "input", satchel_tool_key(NULL, 1, key, &error));
  CHECK_ERROR(refused, "content", satchel_tool_result_key(NULL, 1, key, &error));
  CHECK_ERROR(refused, "payload", satchel_tool_persist(cache, KEY_A, NULL, 1, &meta, &error));
  CHECK_ERROR(refused, "payload", satchel_tool_lease_commit(lease, NULL, 1, NULL, &error));
  CHECK_ERROR(refused, "data", satchel_tool_writer_write(writer, NULL, 1, &error));
  CHECK_ERROR(refused, "path", satchel_tool_invalidate_path(cache, NULL, 1, NULL, &error));
  CHECK_ERROR(refused, "path", satchel_tool_fingerprint(cache, NULL, 1, 0, &buffer, &error));
  CHECK_ERROR(refused, "kind", satchel_tool_list(cache, NULL, 0, NULL, 1, 1, &buffer, &error));
  CHECK_ERROR(refused, "after", satchel_tool_list(cache, NULL, 64, NULL, 0, 1, &buffer, &error));
  CHECK_ERROR(refused, "data", satchel_tool_result_read(result, 0, NULL, 1, &got, &error));
  CHECK_ERROR(refused, "tool",
              satchel_tool_record(cache, NULL, 1, "h", 1, 0, "a", 1, "r", 1, &error));
  CHECK_ERROR(refused, "outcome",
              satchel_tool_record(cache, "t", 1, NULL, 1, 0, "a", 1, "r", 1, &error));
  CHECK_ERROR(refused, "args_summary",
              satchel_tool_record(cache, "t", 1, "h", 1, 0, NULL, 1, "r", 1, &error));
  CHECK_ERROR(refused, "reason",
              satchel_tool_record(cache, "t", 1, "h", 1, 0, "a", 1, NULL, 1, &error));

  CHECK_ERROR(refused, "meta", satchel_tool_persist(cache, KEY_A, "x", 1, NULL, &error));
  bad.kind.data = NULL;
  CHECK_ERROR(refused, "kind", satchel_tool_persist(cache, KEY_A, "x", 1, &bad, &error));
  bad = meta;
  bad.root_count = 1;
  CHECK_ERROR(refused, "roots", satchel_tool_persist(cache, KEY_A, "x", 1, &bad, &error));
  bad.roots = &no_path;
  CHECK_ERROR(refused, "roots[0].path", satchel_tool_persist(cache, KEY_A, "x", 1, &bad, &error));
  bad.roots = &no_hash;
  CHECK_ERROR(refused, "roots[0].expected_hash",
              satchel_tool_lease_commit(lease, "x", 1, &bad, &error));
  bad = meta;
  bad.upstream_count = 1;
  CHECK_ERROR(refused, "upstreams", satchel_tool_persist(cache, KEY_A, "x", 1, &bad, &error));

  CHECK_ERROR(refused, "call",
              satchel_tool_get_or_begin(cache, KEY_D, NULL, &found, &begun, &error));
  asked.args_summary.len = 1;
  CHECK_ERROR(refused, "args_summary",
              satchel_tool_get_or_begin(cache, KEY_D, &asked, &found, &begun, &error));
  asked = call;
  asked.roots = &no_path;
  asked.root_count = 1;
  CHECK_ERROR(refused, "roots[0].path",
              satchel_tool_get_or_begin(cache, KEY_D, &asked, &found, &begun, &error));
  CHECK(found == NULL && begun == NULL && buffer.data == NULL && got == 0);
}

/* The operating system would stop at the NUL and look at another file. */
static void a_path_with_a_nul_is_refused(void) {
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_tool_cache* opened = NULL;
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  const satchel_root root = {{"a.txt\0b", 7}, {NULL, 0}};
  satchel_tool_meta bad = meta;
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  bad.roots = &root;
  bad.root_count = 1;
  CHECK_ERROR(refused, "NUL", satchel_tool_persist(cache, KEY_A, "x", 1, &bad, &error));
  CHECK_ERROR(refused, "NUL", satchel_tool_invalidate_path(cache, "a\0b", 3, NULL, &error));
  CHECK_ERROR(refused, "NUL", satchel_tool_fingerprint(cache, "a\0b", 3, 0, &buffer, &error));
  place.store.data = "/tmp/a\0b";
  place.store.len = 8;
  CHECK_ERROR(refused, "place.store",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  CHECK(opened == NULL && buffer.data == NULL);
}

static void numbers_out_of_range_are_refused(void) {
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  satchel_root root;
  satchel_view view;
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  CHECK_ERROR(refused, "form", satchel_tool_fingerprint(cache, "a.txt", 5, 4, &buffer, &error));
  CHECK_ERROR(refused, "form", satchel_tool_fingerprint(cache, "a.txt", 5, -1, &buffer, &error));
  CHECK_ERROR(refused, "limit", satchel_tool_list(cache, NULL, 0, NULL, 0, 0, &buffer, &error));
  CHECK_ERROR(refused, "limit", satchel_tool_list(cache, NULL, 0, NULL, 0, 10001, &buffer, &error));
  CHECK_ERROR(refused, "index", satchel_tool_result_root(result, 0, &root, &error));
  CHECK_ERROR(refused, "index", satchel_tool_result_upstream(result, SIZE_MAX, &view, &error));
}

static void a_place_is_one_of_two(void) {
  static struct memory_store store;
  satchel_tool_store table = memory_table(&store);
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_tool_cache* opened = NULL;
  const satchel_status refused = SATCHEL_ERR_ARGUMENT;
  CHECK_ERROR(refused, "place", satchel_tool_cache_open(library, NULL, NULL, 0, &opened, &error));
  CHECK_ERROR(refused, "place.store",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  place.host_store = &table;
  place.store = sample_view(directory);
  CHECK_ERROR(refused, "place.store",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  CHECK(store.releases == 1);
  place.store = sample_view("/dev/null/nowhere");
  place.host_store = NULL;
  CHECK_ERROR(SATCHEL_ERR_IO, "/dev/null",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  CHECK(opened == NULL);
}

static void zero_lengths_are_fine(void) {
  satchel_tool_result* found = NULL;
  satchel_tool_meta nothing = SATCHEL_TOOL_META_INIT;
  satchel_view view = {NULL, 7};
  size_t got = 7;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_D, NULL, 0, &nothing, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(cache, KEY_D, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_payload(found, &view, &error));
  CHECK(view.len == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_read(found, 0, NULL, 0, &got, &error));
  CHECK(got == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, NULL, 0, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_tool_record(cache, NULL, 0, NULL, 0, 0, NULL, 0, NULL, 0, &error));
}

/* A lease has one writer; the writer is nothing without its lease. */
static void a_writer_goes_with_its_lease(void) {
  satchel_tool_result* none = NULL;
  satchel_tool_lease* mine = NULL;
  satchel_tool_writer* first = NULL;
  satchel_tool_writer* second = NULL;
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, TOOL_64("e"), 64, &call, &none, &mine, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_writer(mine, NULL, &first, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, "writer", satchel_tool_lease_writer(mine, NULL, &second, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(first, LITERAL("x"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_abandon(mine, &error));
  CHECK_ERROR(SATCHEL_ERR_STATE, NULL, satchel_tool_writer_write(first, LITERAL("x"), &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&mine));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, "satchel_tool_lease", satchel_tool_writer_commit(first, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&first));
  CHECK(second == NULL);
}

/* Leases and writers end with their cache, and what they held is free; results are read on. */
static void what_a_closed_cache_leaves(void) {
  const char* name = "satchel_tool_cache";
  satchel_library* again = NULL;
  satchel_tool_cache* reopened = NULL;
  satchel_tool_result* none = NULL;
  satchel_tool_lease* next = NULL;
  satchel_tool_writer* made = NULL;
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name,
              satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lease_writer(lease, NULL, &made, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_lease_abandon(lease, &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_writer_write(writer, LITERAL("x"), &error));
  CHECK_ERROR(SATCHEL_ERR_HANDLE, name, satchel_tool_writer_commit(writer, &error));
  CHECK(tool_is(result, "payload"));
  CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &again, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(again, directory, NULL, &reopened, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(reopened, KEY_B, &call, &none, &next, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(next, LITERAL("x"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&next));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&reopened));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&again));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK(made == NULL && lease == NULL && writer == NULL && result == NULL);
}

int misuse_the_tools(void) {
  satchel_error_init(&error);
  directory = tool_directory();
  meta = tool_meta("read", NULL, 0);
  call = tool_call("read", NULL, 0);
  open_and_close_everything();
  open_everything(&library, &cache, &result, &lease, &writer);
  what_is_no_open_handle_is_refused();
  closing_takes_null();
  what_is_no_key_is_refused();
  null_results_are_refused();
  null_with_a_length_is_refused();
  a_path_with_a_nul_is_refused();
  numbers_out_of_range_are_refused();
  a_place_is_one_of_two();
  zero_lengths_are_fine();
  a_writer_goes_with_its_lease();
  what_a_closed_cache_leaves();
  sample_remove_directory(directory);
  return check_summary();
}
