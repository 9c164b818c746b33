#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* POSIX guarantees that a function's address fits the void* that dlsym returns; ISO C has no cast
 * for it, so the bytes are copied. */
static bool find(void* handle, const char* symbol, void* function, struct bytes* complaint) {
  void* address = dlsym(handle, symbol);
  if (address == NULL) {
    bytes_print(complaint, "it has no function %s", symbol);
    return false;
  }
  memcpy(function, &address, sizeof address);
  return true;
}

static bool find_all(struct library* library, struct bytes* complaint) {
#define LIBRARY_FIND(name) \
  if (!find(library->handle, "satchel_" #name, &library->name, complaint)) return false;
  LIBRARY_FUNCTIONS(LIBRARY_FIND)
#undef LIBRARY_FIND
  return true;
}

bool library_open(struct library* library, const char* path, struct bytes* complaint) {
  memset(library, 0, sizeof *library);
  /* dlopen searches the system for a name without a slash: an absolute path does not leave that
   * open. */
  char* absolute = realpath(path, NULL);
  if (absolute == NULL) {
    bytes_print(complaint, "%s", strerror(errno));
    return false;
  }
  library->handle = dlopen(absolute, RTLD_NOW | RTLD_LOCAL);
  free(absolute);
  if (library->handle == NULL) {
    bytes_print(complaint, "%s", dlerror());
    return false;
  }
  bool usable = find_all(library, complaint);
  if (usable && library->abi_version() < SATCHEL_ABI_VERSION) {
    bytes_print(complaint, "its ABI is %u (version %s), this program needs %d or later",
                (unsigned)library->abi_version(), library->version(), SATCHEL_ABI_VERSION);
    usable = false;
  }
  if (!usable) library_close(library);
  return usable;
}

void library_close(struct library* library) {
  if (library->handle != NULL) dlclose(library->handle);
  memset(library, 0, sizeof *library);
}
