/* A tool whose results are remembered. It counts the words of a file; a count is served again for
 * as long as the file is what it was. */
#include <satchel/satchel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static satchel_view view(const char* text) {
  satchel_view made;
  made.data = text;
  made.len = strlen(text);
  return made;
}

static void write_file(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) exit(EXIT_FAILURE);
}

/* The tool: whatever takes time. */
static void count_words(const char* path, char* answer, size_t size) {
  FILE* file = fopen(path, "r");
  char word[64];
  int words = 0;
  if (file == NULL) exit(EXIT_FAILURE);
  while (fscanf(file, "%63s", word) == 1) ++words;
  fclose(file);
  snprintf(answer, size, "%d words", words);
}

static void run_tool(satchel_tool_cache* cache, const char* path) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_call call = SATCHEL_TOOL_CALL_INIT;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  satchel_view payload = {NULL, 0};
  satchel_root root = {{NULL, 0}, {NULL, 0}};
  satchel_status status = SATCHEL_OK;
  char input[256];
  char answer[64];
  char key[65];

  /* Everything that the result depends on, but for files: the same call gives the same key. */
  snprintf(input, sizeof input, "count_words|%s", path);
  status = satchel_tool_key(input, strlen(input), key, &error);

  root.path = view(path); /* by its content; "dir:" or "stat:" in expected_hash for other forms */
  call.kind = view("count_words");
  call.args_summary = view(path);
  call.roots = &root;
  call.root_count = 1;
  call.wait_ms = 10000; /* somebody else may be at it */
  if (status == SATCHEL_OK) {
    status = satchel_tool_get_or_begin(cache, key, 64, &call, &result, &lease, &error);
  }
  if (status == SATCHEL_OK) status = satchel_tool_result_payload(result, &payload, &error);
  if (status == SATCHEL_OK) {
    printf("%.*s, from the cache\n", (int)payload.len, payload.data);
  } else {
    /* LEASED: ours to compute. WAIT, or an error: the tool runs without the cache. */
    if (status < 0) fprintf(stderr, "%s: %s\n", satchel_status_name(status), error.message);
    count_words(path, answer, sizeof answer);
    printf("%s, counted\n", answer);
    if (status == SATCHEL_LEASED) {
      status = satchel_tool_lease_commit(lease, answer, strlen(answer), NULL, &error);
      /* NOT_STORED: the file changed while we counted. The answer was right when it was made. */
      if (status != SATCHEL_OK) fprintf(stderr, "not kept: %s\n", error.message);
    }
  }
  satchel_tool_lease_free(&lease);
  satchel_tool_result_free(&result);
}

int main(void) {
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_library* library = NULL;
  satchel_tool_cache* cache = NULL;
  satchel_status status = satchel_open(NULL, NULL, 0, &library, &error);
  uint64_t matches = 0;

  place.store = view("tool-store"); /* the workspace: the working directory */
  if (status == SATCHEL_OK) {
    status = satchel_tool_cache_open(library, &place, NULL, 0, &cache, &error);
  }

  write_file("notes.txt", "three short words");
  if (status == SATCHEL_OK) {
    /* From whoever edits files; here so that the second run of this program begins anew. */
    status = satchel_tool_invalidate_path(cache, "notes.txt", 9, NULL, &error);
  }
  if (status == SATCHEL_OK) {
    run_tool(cache, "notes.txt");
    run_tool(cache, "notes.txt");
    write_file("notes.txt", "and now there are six words");
    run_tool(cache, "notes.txt");
    status = satchel_tool_invalidate_path(cache, "notes.txt", 9, &matches, &error);
  }
  if (status == SATCHEL_OK) printf("%d dropped\n", (int)matches);
  if (status != SATCHEL_OK) {
    fprintf(stderr, "%s: %s\n", satchel_status_name(status), error.message);
  }
  satchel_tool_cache_close(&cache);
  satchel_close(&library);
  return status == SATCHEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
