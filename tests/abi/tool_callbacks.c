/* A store of the host that fails, that gives back something else than it was given, and whose
 * callbacks call back in. */
#include <stdint.h>

#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

static satchel_error error;
static char* directory;
static satchel_library* library;
static satchel_tool_cache* cache;
static struct memory_store store;

static void open_over_the_store(void) {
  const satchel_tool_store table = memory_table(&store);
  CHECK_STATUS(SATCHEL_OK, tool_open_over(library, directory, &table, &cache, &error));
}

static void close_over_the_store(void) {
  memory_interfere(&store, 0, SATCHEL_OK, NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK(store.releases == 1);
  memory_clear(&store);
}

static satchel_status persist(const char* key, const char* text) {
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  return satchel_tool_persist(cache, key, 64, text, strlen(text), &meta, &error);
}

/* Makes the call of a callback, by its letter; the status of the call. */
static satchel_status ask(char callback) {
  satchel_tool_result* found = NULL;
  satchel_status status = SATCHEL_OK;
  uint64_t number = 0;
  int32_t present = 0;
  check_forget(&error);
  switch (callback) {
    case 'p':
      return persist(TOOL_64("b"), "b");
    case 'l':
      status = satchel_tool_lookup(cache, KEY_A, &found, &error);
      satchel_tool_result_free(&found);
      return status;
    case 'r':
      return satchel_tool_mark_dirty(cache, KEY_A, &error);
    case 'c': /* one that is not known, so that the store is asked */
      return satchel_tool_contains(cache, KEY_C, &present, &error);
    case 'i':
      return satchel_tool_invalidate_upstream(cache, KEY_A, &number, &error);
    case 't':
      return satchel_tool_total_bytes(cache, &number, &error);
    default:
      return satchel_tool_evict_to_cap(cache, 0, &number, &error);
  }
}

static const char letters[] = "plrcite";
static const char* const callbacks[] = {
    "tool_store.persist", "tool_store.lookup",      "tool_store.remove",      "tool_store.contains",
    "tool_store.iterate", "tool_store.total_bytes", "tool_store.evict_to_cap"};

/* Errors of ours, numbers nobody knows, and answers that are none here: there is no built-in. */
static const satchel_status failures[] = {SATCHEL_ERR_IO, SATCHEL_ERR_NO_SPACE, -99, 77,
                                          SATCHEL_MISS,   SATCHEL_NOT_HANDLED};

static void a_callback_that_fails_is_named(void) {
  size_t which = 0;
  for (which = 0; letters[which] != '\0'; ++which) {
    size_t i = 0;
    for (i = 0; i < sizeof failures / sizeof failures[0]; ++i) {
      open_over_the_store();
      CHECK_STATUS(SATCHEL_OK, persist(TOOL_64("a"), "a"));
      memory_interfere(&store, letters[which], failures[i], NULL);
      CHECK_STATUS(SATCHEL_ERR_CALLBACK, ask(letters[which]));
      if (!CHECK(strstr(error.message, callbacks[which]) != NULL &&
                 strstr(error.message, satchel_status_name(failures[i])) != NULL)) {
        fprintf(stderr, "  %s: %s\n", callbacks[which], error.message);
      }
      /* Nothing is broken by it. */
      memory_interfere(&store, 0, SATCHEL_OK, NULL);
      CHECK(ask(letters[which]) >= 0);
      close_over_the_store();
    }
  }
}

/* What was stored is checked by us, not by the store. */
static void bytes_that_are_not_those_that_were_stored_are_not_served(void) {
  satchel_tool_result* found = NULL;
  struct memory_entry* entry = NULL;
  char* meta = NULL;
  int turn = 0;
  open_over_the_store();
  CHECK_STATUS(SATCHEL_OK, persist(TOOL_64("a"), "right"));
  entry = memory_find(&store, TOOL_64("a"));
  CHECK(entry != NULL);
  entry->payload[0] = 'w';
  for (turn = 0; turn < 2; ++turn) {
    CHECK_ERROR(SATCHEL_ERR_INTEGRITY, TOOL_64("a"),
                satchel_tool_lookup(cache, KEY_A, &found, &error));
    CHECK_ERROR(SATCHEL_ERR_INTEGRITY, NULL,
                satchel_tool_lookup_revalidate(cache, KEY_A, &found, &error));
    CHECK_ERROR(SATCHEL_ERR_INTEGRITY, NULL, satchel_tool_verify(cache, KEY_A, &error));
  }
  entry->payload[0] = 'r';
  meta = entry->meta;
  entry->meta_len -= 1;
  CHECK_ERROR(SATCHEL_ERR_META, NULL, satchel_tool_lookup(cache, KEY_A, &found, &error));
  entry->meta_len += 1;
  memcpy(meta, "[", 1);
  CHECK_ERROR(SATCHEL_ERR_META, NULL, satchel_tool_lookup(cache, KEY_A, &found, &error));
  memcpy(meta, "{", 1);
  CHECK(found == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_A, &found, &error));
  CHECK(tool_is(found, "right"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
  close_over_the_store();
}

/* The answers take keys and bytes, and say so where they are given something else. */
static satchel_status stored_nonsense(void* user, const char* key, size_t key_len,
                                      satchel_stored_answer* answer) {
  (void)user;
  (void)key;
  (void)key_len;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_stored_set(answer, NULL, 1, "m", 1));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_stored_set(answer, "p", 1, NULL, 1));
  return SATCHEL_OK;
}

static satchel_status listed_nonsense(void* user, satchel_keys_answer* answer) {
  (void)user;
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_keys_add(answer, "key", 3, "{}", 2));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_keys_add(answer, NULL, 64, "{}", 2));
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT, satchel_keys_add(answer, KEY_A, NULL, 2));
  /* A meta that cannot be read has no roots and no upstreams. */
  CHECK_STATUS(SATCHEL_OK, satchel_keys_add(answer, KEY_A, "{}", 2));
  CHECK_STATUS(SATCHEL_OK, satchel_keys_add(answer, KEY_A, NULL, 0));
  return SATCHEL_OK;
}

static void nonsense_is_refused_where_it_is_said(void) {
  satchel_tool_store table = memory_table(&store);
  satchel_tool_result* found = NULL;
  uint64_t number = 7;
  table.lookup = stored_nonsense;
  table.iterate = listed_nonsense;
  CHECK_STATUS(SATCHEL_OK, tool_open_over(library, directory, &table, &cache, &error));
  CHECK_STATUS(SATCHEL_MISS, satchel_tool_lookup(cache, KEY_A, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_invalidate_upstream(cache, KEY_B, &number, &error));
  CHECK(number == 0 && found == NULL);
  close_over_the_store();
}

/* ------------------------------------------------------------------ calling back in */

static int came_in;
static satchel_tool_lease* lease;
static satchel_tool_writer* writer;

static void use_the_same_cache(void) {
  satchel_tool_cache* const same = cache;
  satchel_tool_lease* const same_lease = lease;
  satchel_tool_writer* const same_writer = writer;
  satchel_tool_result* found = NULL;
  satchel_tool_lease* begun = NULL;
  const satchel_tool_call call = tool_call("read", NULL, 0);
  uint64_t number = 7;
  if (came_in++ != 0) return; /* some calls ask twice */
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_tool_cache",
              satchel_tool_lookup(cache, KEY_B, &found, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_tool_cache",
              satchel_tool_get_or_begin(cache, KEY_D, &call, &found, &begun, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_tool_cache",
              satchel_tool_entry_count(cache, &number, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_tool_cache",
              satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK_ERROR(SATCHEL_ERR_BUSY, "satchel_tool_cache",
              satchel_tool_writer_write(writer, LITERAL("x"), &error));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_ERR_BUSY, satchel_tool_cache_close(&cache));
  CHECK(cache == same && lease == same_lease && writer == same_writer && number == 7);
}

/* Other handles are free to use: another cache, and a result. */
static satchel_tool_result* held;
static void use_other_handles(void) {
  satchel_library* another = NULL;
  satchel_tool_cache* another_cache = NULL;
  satchel_tool_result* found = NULL;
  char* const elsewhere = tool_directory();
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  if (came_in++ == 0) {
    CHECK(tool_is(held, "held"));
    CHECK_STATUS(SATCHEL_OK, satchel_open(NULL, NULL, 0, &another, &error));
    CHECK_STATUS(SATCHEL_OK, tool_open(another, elsewhere, NULL, &another_cache, &error));
    CHECK_STATUS(SATCHEL_OK,
                 satchel_tool_persist(another_cache, KEY_A, LITERAL("x"), &meta, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup_revalidate(another_cache, KEY_A, &found, &error));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&found));
    CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&another_cache));
    CHECK_STATUS(SATCHEL_OK, satchel_close(&another));
  }
  sample_remove_directory(elsewhere);
}

static void call_back_in(char where, void (*inside)(void)) {
  const satchel_tool_call call = tool_call("read", NULL, 0);
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  satchel_tool_result* none = NULL;
  open_over_the_store();
  CHECK_STATUS(SATCHEL_OK, persist(TOOL_64("a"), "held"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_A, &held, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, TOOL_64("e"), 64, &call, &none, &lease, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_tool_writer_new(cache, TOOL_64("f"), 64, &meta, &writer, &error));
  came_in = 0;
  memory_interfere(&store, where, SATCHEL_OK, inside);
  if (!CHECK(ask(where) >= 0 && came_in > 0))
    fprintf(stderr, "  in a callback of kind %c\n", where);
  memory_interfere(&store, 0, SATCHEL_OK, NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&held));
  close_over_the_store();
}

static void what_calls_back_in_gets_a_status(void) {
  size_t i = 0;
  for (i = 0; letters[i] != '\0'; ++i) {
    call_back_in(letters[i], use_the_same_cache);
    call_back_in(letters[i], use_other_handles);
  }
}

/* ------------------------------------------------------------------ how long the table lives */

static void the_table_is_released_when_opening_fails(void) {
  satchel_tool_store table = memory_table(&store);
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_tool_cache* opened = NULL;
  place.host_store = &table;
  CHECK_STATUS(SATCHEL_ERR_HANDLE, tool_open_over(NULL, directory, &table, &opened, &error));
  CHECK(store.releases == 1);
  CHECK_STATUS(SATCHEL_ERR_ARGUMENT,
               satchel_tool_cache_open(library, &place, NULL, 0, NULL, &error));
  CHECK(store.releases == 2);
  CHECK_ERROR(
      SATCHEL_ERR_CONFIG, "no_such_key",
      satchel_tool_cache_open(library, &place, LITERAL("{\"no_such_key\":1}"), &opened, &error));
  CHECK(store.releases == 3);
  table.iterate = NULL;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "host_store",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  CHECK(store.releases == 4);
  /* One of a wrong size cannot be read, its release neither. */
  table.struct_size = 0;
  CHECK_ERROR(SATCHEL_ERR_ARGUMENT, "host_store",
              satchel_tool_cache_open(library, &place, NULL, 0, &opened, &error));
  CHECK(store.releases == 4 && opened == NULL);
}

/* Handles that are still open keep nothing of the host's alive. */
static void what_is_left_open_does_not_hold_the_store(void) {
  const satchel_tool_call call = tool_call("read", NULL, 0);
  const satchel_tool_meta meta = tool_meta("read", NULL, 0);
  satchel_tool_result* none = NULL;
  open_over_the_store();
  CHECK_STATUS(SATCHEL_OK, persist(TOOL_64("a"), "held"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lookup(cache, KEY_A, &held, &error));
  CHECK_STATUS(SATCHEL_LEASED,
               satchel_tool_get_or_begin(cache, KEY_B, &call, &none, &lease, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_new(cache, KEY_C, &meta, &writer, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_write(writer, LITERAL("x"), &error));
  close_over_the_store();
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_writer_commit(writer, &error));
  CHECK_STATUS(SATCHEL_ERR_HANDLE, satchel_tool_lease_commit(lease, LITERAL("x"), NULL, &error));
  CHECK(tool_is(held, "held"));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_lease_free(&lease));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_writer_free(&writer));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_result_free(&held));
  CHECK(store.releases == 1);
}

/* ------------------------------------------------------------------ the log and the clock */

static int lines;
static satchel_tool_cache* shown; /* to callbacks on any thread */

static void log_calls_back_in(void* user, int32_t level, const char* component,
                              size_t component_len, const char* message, size_t message_len) {
  satchel_error own = SATCHEL_ERROR_INIT;
  satchel_tool_result* found = NULL;
  satchel_tool_cache* used = __atomic_load_n(&shown, __ATOMIC_ACQUIRE);
  (void)user;
  (void)level;
  (void)component;
  (void)component_len;
  (void)message;
  (void)message_len;
  __atomic_add_fetch(&lines, 1, __ATOMIC_RELAXED);
  /* Whatever holds what meanwhile: a status, no deadlock. */
  if (used != NULL) {
    CHECK(satchel_tool_lookup(used, KEY_A, &found, &own) == SATCHEL_ERR_BUSY);
    CHECK(satchel_tool_cache_close(&used) == SATCHEL_ERR_BUSY);
  }
}

static satchel_status clock_calls_back_in(void* user, int64_t* ns) {
  (void)ns;
  log_calls_back_in(user, 0, NULL, 0, NULL, 0);
  return SATCHEL_NOT_HANDLED;
}

static void the_log_and_the_clock_may_not_use_the_cache_either(void) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_library* talking = NULL;
  satchel_tool_result* found = NULL;
  const satchel_root root = {{"a.txt", 5}, {"stat:0:0:0", 10}};
  const satchel_tool_meta meta = tool_meta("read", &root, 1);
  host.log = log_calls_back_in;
  host.clock = host.monotonic = clock_calls_back_in;
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(&host, LITERAL("{\"log_level\":\"debug\"}"), &talking, &error));
  CHECK_STATUS(SATCHEL_OK, tool_open(talking, directory, NULL, &cache, &error));
  __atomic_store_n(&shown, cache, __ATOMIC_RELEASE);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_persist(cache, KEY_A, LITERAL("x"), &meta, &error));
  CHECK_STATUS(SATCHEL_INVALIDATED, satchel_tool_lookup_revalidate(cache, KEY_A, &found, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_rebuild(cache, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_flush(cache, 30000, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_tool_evict(cache, NULL, &error));
  CHECK(__atomic_load_n(&lines, __ATOMIC_RELAXED) > 0);
  __atomic_store_n(&shown, NULL, __ATOMIC_RELEASE);
  CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&cache));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&talking));
}

int main(void) {
  satchel_error_init(&error);
  directory = tool_directory();
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  a_callback_that_fails_is_named();
  bytes_that_are_not_those_that_were_stored_are_not_served();
  nonsense_is_refused_where_it_is_said();
  what_calls_back_in_gets_a_status();
  the_table_is_released_when_opening_fails();
  what_is_left_open_does_not_hold_the_store();
  the_log_and_the_clock_may_not_use_the_cache_either();
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  sample_remove_directory(directory);
  return check_summary();
}
