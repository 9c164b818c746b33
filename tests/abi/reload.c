/* Loads the library by path, uses it and unloads it, a thousand times: nothing grows. Then two
 * copies of it in one process, each working by itself. Nothing of it is linked.
 *   abi_reload PATH_OF_LIBSATCHEL */
#include <dirent.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* The sanitizers bring their own allocator, and report leaks themselves. */
#define MEMORY_IS_COUNTED 0
static long alive;
static long alive_bytes;
#else
#define MEMORY_IS_COUNTED 1
#include "allocations.h"
#endif

#include "cascade_account.h"
#include "check.h"
#include "tool_sample.h"

#define FUNCTIONS(X)            \
  X(satchel_open)               \
  X(satchel_close)              \
  X(satchel_prompt_cache_open)  \
  X(satchel_prompt_cache_close) \
  X(satchel_request_new)        \
  X(satchel_request_body)       \
  X(satchel_request_response)   \
  X(satchel_request_write)      \
  X(satchel_request_end)        \
  X(satchel_request_free)       \
  X(satchel_tool_cache_open)    \
  X(satchel_tool_cache_close)   \
  X(satchel_tool_get_or_begin)  \
  X(satchel_tool_lease_commit)  \
  X(satchel_tool_lease_free)    \
  X(satchel_tool_result_free)   \
  X(satchel_cascade_open)       \
  X(satchel_cascade_close)      \
  X(satchel_cascade_resolve)    \
  X(satchel_usage_free)

struct copy {
  void* file;
#define MEMBER(name) __typeof__(&(name)) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
};

static struct copy load(const char* path) {
  struct copy copy;
  void* found = NULL;
  copy.file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (copy.file == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
  }
#define FIND(name)                 \
  found = dlsym(copy.file, #name); \
  if (found == NULL) exit(3);      \
  memcpy(&copy.name, &found, sizeof found);
  FUNCTIONS(FIND)
#undef FIND
  return copy;
}

/* One request over a cache of its own; the second finds what the first wrote. */
static void use(const struct copy* copy, const char* config) {
  const satchel_request_head head = sample_head("p");
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  int turn = 0;
  CHECK(copy->satchel_open(NULL, NULL, 0, &library, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_prompt_cache_open(library, NULL, config, strlen(config), &cache, NULL) ==
        SATCHEL_OK);
  for (turn = 0; turn < 2; ++turn) {
    satchel_request* request = NULL;
    satchel_forward forward = SATCHEL_FORWARD_INIT;
    satchel_view out = {NULL, 0};
    int32_t plan = 0;
    CHECK(copy->satchel_request_new(cache, &head, &request, NULL) == SATCHEL_OK);
    CHECK(copy->satchel_request_body(request, LITERAL(SAMPLE_BODY), &forward, NULL) == SATCHEL_OK);
    CHECK(copy->satchel_request_response(request, 200, NULL, 0, NULL, 0, &plan, NULL) ==
          SATCHEL_OK);
    CHECK(copy->satchel_request_write(request, LITERAL(SAMPLE_ANSWER), &out, NULL) == SATCHEL_OK);
    CHECK(copy->satchel_request_end(request, &out, NULL) == SATCHEL_OK);
    CHECK(sample_holds(out.data, out.len,
                       turn == 0 ? "\"cached_tokens\":0" : "\"cached_tokens\":32"));
    CHECK(copy->satchel_request_free(&request) == SATCHEL_OK);
  }
  CHECK(copy->satchel_prompt_cache_close(&cache) == SATCHEL_OK);
  CHECK(copy->satchel_close(&library) == SATCHEL_OK);
}

/* One call computed and then served, and dropped again by not being there the next time. */
static void use_the_tools(const struct copy* copy, const char* directory, int number) {
  const satchel_root root = {{"a.txt", 5}, {NULL, 0}};
  const satchel_tool_call call = tool_call("read", &root, 1);
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_library* library = NULL;
  satchel_tool_cache* cache = NULL;
  satchel_tool_result* result = NULL;
  satchel_tool_lease* lease = NULL;
  char store[256];
  char workspace[256];
  snprintf(store, sizeof store, "%s/tools-%d", directory, number);
  snprintf(workspace, sizeof workspace, "%s/workspace", directory);
  place.store = sample_view(store);
  place.workspace = sample_view(workspace);
  CHECK(copy->satchel_open(NULL, NULL, 0, &library, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_tool_cache_open(library, &place, NULL, 0, &cache, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, NULL) ==
        SATCHEL_LEASED);
  CHECK(copy->satchel_tool_lease_commit(lease, LITERAL("x"), NULL, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_tool_lease_free(&lease) == SATCHEL_OK);
  CHECK(copy->satchel_tool_get_or_begin(cache, KEY_A, &call, &result, &lease, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_tool_result_free(&result) == SATCHEL_OK);
  CHECK(copy->satchel_tool_cache_close(&cache) == SATCHEL_OK);
  CHECK(copy->satchel_close(&library) == SATCHEL_OK);
}

/* Unknown, and asked by the library itself of a port where nobody listens. */
static void use_the_cascade(const struct copy* copy, const char* directory, int number) {
  static const char line[] = "{\"claudeAiOauth\":{\"accessToken\":\"" ACCOUNT_TOKEN "\"}}";
  static const char config[] = "{\"api_base_url\":\"http://127.0.0.1:1\"}";
  satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
  satchel_library* library = NULL;
  satchel_cascade* cascade = NULL;
  satchel_usage* usage = NULL;
  satchel_view config_dir;
  char cache[256];
  char path[256];
  FILE* file = NULL;
  snprintf(cache, sizeof cache, "%s/usage-%d", directory, number);
  snprintf(path, sizeof path, "%s/.credentials.json", directory);
  file = fopen(path, "w");
  CHECK(file != NULL && fputs(line, file) >= 0 && fclose(file) == 0);
  config_dir = sample_view(directory);
  parts.cache_dir = sample_view(cache);
  parts.config_dirs = &config_dir;
  parts.config_dir_count = 1;
  CHECK(copy->satchel_open(NULL, NULL, 0, &library, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_cascade_open(library, &parts, LITERAL(config), &cascade, NULL) == SATCHEL_OK);
  CHECK(copy->satchel_cascade_resolve(cascade, &usage, NULL) == SATCHEL_ERR_UNAVAILABLE);
  CHECK(usage == NULL && copy->satchel_usage_free(&usage) == SATCHEL_OK);
  CHECK(copy->satchel_cascade_close(&cascade) == SATCHEL_OK);
  CHECK(copy->satchel_close(&library) == SATCHEL_OK);
}

static int entries_of(const char* directory) {
  DIR* const open = opendir(directory);
  int count = 0;
  while (open != NULL && readdir(open) != NULL) ++count;
  if (open != NULL) closedir(open);
  return count;
}

static long resident_kib(void) {
  FILE* const file = fopen("/proc/self/statm", "r");
  long pages = 0;
  if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file != NULL) fclose(file);
  return pages * 4;
}

static void a_thousand_times(const char* path) {
  char* directory = tool_directory();
  char sqlite[256];
  int files = 0;
  int threads = 0;
  long blocks = 0;
  long bytes = 0;
  long resident = 0;
  int i = 0;
  for (i = 0; i < 1000; ++i) {
    struct copy copy = load(path);
    use(&copy, SAMPLE_CONFIG);
    if (i % 10 == 0) { /* a directory of its own each time: the first request must miss */
      snprintf(sqlite, sizeof sqlite,
               "{\"index\":{\"kind\":\"sqlite\",\"path\":\"%s/%d\"}," SAMPLE_MODELS "}", directory,
               i);
      use(&copy, sqlite);
      use_the_tools(&copy, directory, i);
      use_the_cascade(&copy, directory, i);
    }
    CHECK(dlclose(copy.file) == 0);
    if (i == 100) { /* what is made once has been made */
      files = entries_of("/proc/self/fd");
      threads = entries_of("/proc/self/task");
      blocks = alive;
      bytes = alive_bytes;
      resident = resident_kib();
    }
  }
  CHECK(entries_of("/proc/self/fd") == files);
  CHECK(entries_of("/proc/self/task") == threads);
  if (MEMORY_IS_COUNTED) {
    const long resident_now = resident_kib();
    fprintf(stderr, "blocks %ld -> %ld, bytes %ld -> %ld, resident %ld -> %ld KiB\n", blocks, alive,
            bytes, alive_bytes, resident, resident_now);
    CHECK(blocks > 0 && alive == blocks);
    /* The same blocks may come in larger pieces of the heap. */
    CHECK(alive_bytes < bytes + 4096);
    CHECK(resident_now < resident + 4096);
  }
  sample_remove_directory(directory);
}

/* Both keep SQLite in order around a fork, and there is one SQLite for both. */
static void fork_with_both(const struct copy* first, const struct copy* second,
                           const char* directory) {
  int status = -1;
  pid_t child = 0;
  alarm(60);
  child = fork();
  if (child == 0) {
    alarm(60);
    use_the_tools(first, directory, 3);
    use_the_tools(second, directory, 4);
    _exit(check_failures != 0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  alarm(0);
}

static void two_copies_at_once(const char* path) {
  char* directory = tool_directory();
  char other_path[256];
  char command[1024];
  struct copy first;
  struct copy second;
  satchel_library* library = NULL;
  snprintf(other_path, sizeof other_path, "%s/copy.so", directory);
  snprintf(command, sizeof command, "cp -L '%s' '%s'", path, other_path);
  CHECK(system(command) == 0);
  first = load(path);
  second = load(other_path);
  CHECK(first.satchel_open != second.satchel_open);
  use(&first, SAMPLE_CONFIG);
  use(&second, SAMPLE_CONFIG);
  /* A handle of one means nothing to the other: refused, or closed for what it is there, never a
   * crash. */
  CHECK(first.satchel_open(NULL, NULL, 0, &library, NULL) == SATCHEL_OK);
  CHECK(second.satchel_close(&library) == SATCHEL_ERR_HANDLE);
  CHECK(first.satchel_close(&library) == SATCHEL_OK);
  use_the_tools(&first, directory, 1);
  use_the_tools(&second, directory, 2);
  fork_with_both(&first, &second, directory);
  CHECK(dlclose(second.file) == 0);
  use(&first, SAMPLE_CONFIG);
  CHECK(dlclose(first.file) == 0);
  sample_remove_directory(directory);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: abi_reload PATH_OF_LIBSATCHEL\n");
    return 2;
  }
  a_thousand_times(argv[1]);
  two_copies_at_once(argv[1]);
  return check_summary();
}
