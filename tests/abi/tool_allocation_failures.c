/* Every allocation of the tool cache fails once; see allocation_failures.c. What is served after a
 * failure is the right bytes, whole. */
#include <unistd.h>

#include "failing_allocations.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

static char* directory;
static satchel_error failure;
static satchel_library* library;
static satchel_tool_cache* cache;
static struct memory_store host_store;
static satchel_tool_store host_table;

/* ERR_IO: the C library or SQLite had no memory, and the message says so. ERR_CALLBACK: the host
 * had none, to keep the entry. */
static int expected(satchel_status status) {
  if (status == SATCHEL_OK || status == SATCHEL_ERR_MEMORY) return 1;
  if (failure.status != status) return 0;
  return (status == SATCHEL_ERR_IO &&
          (failure.os_errno == ENOMEM || strstr(failure.message, "memory") != NULL)) ||
         (status == SATCHEL_ERR_CALLBACK && strstr(failure.message, "ERR_MEMORY") != NULL);
}

/* For the time of a test the maintaining thread has nothing to do, so that the failures are the
 * calls' own. */
#define QUIETLY "\"maintenance_interval_ms\":3600000"
#define WITH_SQLITE "{" QUIETLY "}"
#define WITH_MEMORY "{\"index\":{\"kind\":\"memory\"}," QUIETLY "}"

static void open_and_close(const char* config, const satchel_tool_store* table) {
  satchel_tool_cache* opened = NULL;
  if (CALL(table == NULL ? tool_open(library, directory, config, &opened, &failure)
                         : tool_open_over(library, directory, table, &opened, &failure))) {
    CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&opened));
  }
  CHECK(opened == NULL);
}

static void opening_with_sqlite(void) { open_and_close(WITH_SQLITE, NULL); }
static void opening_with_memory(void) { open_and_close(WITH_MEMORY, NULL); }
static void opening_over_the_host(void) { open_and_close(NULL, &host_table); }

static void look_up_what_may_be_there(void) {
  satchel_tool_result* result = NULL;
  const satchel_status status = satchel_tool_lookup_revalidate(cache, KEY_A, &result, &failure);
  if (status == SATCHEL_OK) {
    satchel_view payload = {NULL, 0};
    if (CALL(satchel_tool_result_payload(result, &payload, &failure)) &&
        (payload.len != 7 || memcmp(payload.data, "payload", 7) != 0)) {
      check_that(0, "the payload is whole", __FILE__, __LINE__);
    }
  } else if (status != SATCHEL_MISS && status != SATCHEL_INVALIDATED) {
    CALL(status);
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
}

static satchel_tool_meta with_an_upstream(void) {
  static const satchel_view upstream = {TOOL_64("b"), 64};
  satchel_tool_meta meta = tool_meta("read", NULL, 0);
  meta.upstreams = &upstream;
  meta.upstream_count = 1;
  return meta;
}

static void computing(void) {
  const satchel_root root = {{"a.txt", 5}, {NULL, 0}};
  const satchel_tool_call call = tool_call("read", &root, 1);
  const satchel_tool_meta extra = with_an_upstream();
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_status status = satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, &failure);
  if (status == SATCHEL_LEASED) {
    status = satchel_tool_lease_commit(lease, LITERAL("payload"), &extra, &failure);
    if (status != SATCHEL_NOT_STORED) CALL(status);
  } else {
    CALL(status);
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&result));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  look_up_what_may_be_there();
  CALL(satchel_tool_mark_dirty(cache, KEY_A, &failure));
}

/* A lease that is freed without a word: nobody is told of a failure in there, and the next one gets
 * the lease all the same. */
static void leaving(void) {
  const satchel_tool_call call = tool_call("read", NULL, 0);
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  const satchel_status status =
      satchel_tool_get_or_begin(cache, KEY_D, &call, &result, &lease, &failure);
  if (status != SATCHEL_LEASED) CALL(status);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
}

static void writing(void) {
  const satchel_tool_meta meta = with_an_upstream();
  satchel_tool_writer* writer = NULL;
  if (CALL(satchel_tool_writer_new(cache, KEY_C, &meta, &writer, &failure)) &&
      CALL(satchel_tool_writer_write(writer, LITERAL("in pieces"), &failure))) {
    CALL(satchel_tool_writer_commit(writer, &failure));
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
}

static void telling(void) {
  satchel_buffer buffer = SATCHEL_BUFFER_INIT;
  CALL(satchel_tool_known_kinds(cache, &buffer, &failure));
  CALL(satchel_tool_stats(cache, &buffer, &failure));
  CALL(satchel_tool_metrics(cache, &buffer, &failure));
  CALL(satchel_tool_list(cache, NULL, 0, NULL, 0, 10, &buffer, &failure));
  CALL(satchel_tool_why(cache, KEY_C, &buffer, &failure));
  satchel_buffer_free(&buffer);
}

static void dropping(void) {
  CALL(satchel_tool_invalidate_upstream(cache, KEY_B, NULL, &failure));
  CALL(satchel_tool_invalidate_path(cache, LITERAL("a.txt"), NULL, &failure));
}

/* One cache through everything. What it keeps meanwhile it may keep; closing gives all of it back.
 */
static void use_a_cache(const char* config, const satchel_tool_store* table) {
  void (*const operations[])(void) = {computing, leaving, writing, telling, dropping};
  size_t i = 0;
  CHECK_STATUS(SATCHEL_OK, table == NULL
                               ? tool_open(library, directory, config, &cache, &failure)
                               : tool_open_over(library, directory, table, &cache, &failure));
  for (i = 0; i < sizeof operations / sizeof operations[0]; ++i) {
    CHECK(fail_each_allocation_of(operations[i]) > 0);
  }
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
}

/* What is made once and kept may take some rounds to be there; what is lost to a failure is lost
 * anew in each. */
static void a_cache_survives(const char* name, const char* config,
                             const satchel_tool_store* table) {
  long before = 0;
  int rounds = 0;
  use_a_cache(config, table);
  do {
    before = alive;
    use_a_cache(config, table);
  } while (alive > before && ++rounds < 4);
  fprintf(stderr, "%s: %ld blocks before, %ld after\n", name, before, alive);
  CHECK(alive <= before);
}

/* In memory where there is such a place: some thousand stores, each synced, take minutes on a disk.
 */
static char* a_fast_directory(void) {
  char* path = strdup("/dev/shm/satchel-abi-XXXXXX");
  if (path == NULL) abort();
  if (mkdtemp(path) == NULL) {
    free(path);
    path = sample_directory();
  }
  tool_workspace(path);
  return path;
}

int main(void) {
  satchel_error_init(&failure);
  directory = a_fast_directory();
  host_table = memory_table(&host_store);
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &failure));
  survives("opening, memory index", opening_with_memory);
  survives("opening, SQLite index", opening_with_sqlite);
  survives("opening, a store of the host", opening_over_the_host);
  a_cache_survives("memory index", WITH_MEMORY, NULL);
  a_cache_survives("SQLite index", WITH_SQLITE, NULL);
  a_cache_survives("a store of the host", NULL, &host_table);
  memory_clear(&host_store);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
