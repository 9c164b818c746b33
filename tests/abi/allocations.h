/* Stands before the C library's allocator: counts what is alive, and lets one allocation fail.
 * Include it in one file of a program. Not with sanitizers, whose allocators stand there already.
 */
#ifndef SATCHEL_TESTS_ABI_ALLOCATIONS_H
#define SATCHEL_TESTS_ABI_ALLOCATIONS_H

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);

static long alive;         /* blocks */
static long alive_bytes;   /* as malloc_usable_size has them */
static long until_failure; /* 0: none fails; n: the nth from now does */
static int has_failed;

static inline int fails_now(void) {
  if (__atomic_load_n(&until_failure, __ATOMIC_RELAXED) == 0) return 0;
  if (__atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) != 0) return 0;
  __atomic_store_n(&has_failed, 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return 1;
}

static inline void* born(void* block) {
  if (block != NULL) {
    __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&alive_bytes, (long)malloc_usable_size(block), __ATOMIC_RELAXED);
  }
  return block;
}

static inline void died(void* block) {
  if (block == NULL) return;
  __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&alive_bytes, (long)malloc_usable_size(block), __ATOMIC_RELAXED);
}

/* The library must find these, whatever the program is compiled with. */
#pragma GCC visibility push(default)

void* malloc(size_t size) { return fails_now() ? NULL : born(__libc_malloc(size)); }

void* calloc(size_t count, size_t size) {
  return fails_now() ? NULL : born(__libc_calloc(count, size));
}

void* realloc(void* block, size_t size) {
  void* moved = NULL;
  if (fails_now()) return NULL;
  if (block == NULL) return born(__libc_realloc(NULL, size));
  died(block);
  moved = __libc_realloc(block, size);
  if (moved == NULL && size != 0) {
    born(block); /* it is still there */
    return NULL;
  }
  return born(moved);
}

void* memalign(size_t alignment, size_t size) {
  return fails_now() ? NULL : born(__libc_memalign(alignment, size));
}

void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** block, size_t alignment, size_t size) {
  void* const made = memalign(alignment, size);
  if (made == NULL) return ENOMEM;
  *block = made;
  return 0;
}

void free(void* block) {
  died(block);
  __libc_free(block);
}

#pragma GCC visibility pop

#endif
