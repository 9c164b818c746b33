/* Checks for test programs in C: a failed one is printed with its place and counted, the program
 * goes on, and main() ends with `return check_summary();`. Any thread. */
#ifndef SATCHEL_TESTS_ABI_CHECK_H
#define SATCHEL_TESTS_ABI_CHECK_H

#include <satchel/satchel.h>
#include <stdio.h>
#include <string.h>

static int check_failures;
static int check_count;

/* The condition's value, so that a test can stop where going on makes no sense. */
#define CHECK(condition) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

/* The call returns this status. */
#define CHECK_STATUS(expected, call) \
  check_status(expected, call, NULL, NULL, #call, __FILE__, __LINE__)

/* The call, which is given `&error`, returns this status and says why: the message holds `word`. */
#define CHECK_ERROR(expected, word, call) \
  (check_forget(&error), check_status(expected, call, &error, word, #call, __FILE__, __LINE__))

static inline int check_that(int holds, const char* what, const char* file, int line) {
  __atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
  if (!holds) {
    __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  }
  return holds;
}

static inline void check_forget(satchel_error* error) {
  satchel_error_init(error);
  error->status = 12345;
}

static inline int check_utf8(const char* text) {
  const unsigned char* at = (const unsigned char*)text;
  while (*at != 0) {
    int more = *at < 0x80 ? 0 : *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : *at >= 0xC2 ? 1 : -1;
    if (more < 0 || *at > 0xF4) return 0;
    for (++at; more > 0; --more, ++at) {
      if ((*at & 0xC0) != 0x80) return 0;
    }
  }
  return 1;
}

static inline int check_status(satchel_status expected, satchel_status got,
                               const satchel_error* error, const char* word, const char* call,
                               const char* file, int line) {
  const int stated = error == NULL || (error->status == got && error->message[0] != '\0' &&
                                       check_utf8(error->message) &&
                                       (word == NULL || strstr(error->message, word) != NULL));
  __atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
  if (got == expected && stated) return 1;
  __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);
  fprintf(stderr, "%s:%d: failed: %s\n  returned %d (%s), expected %d (%s)\n", file, line, call,
          (int)got, satchel_status_name(got), (int)expected, satchel_status_name(expected));
  if (error != NULL) {
    fprintf(stderr, "  error: status %d, message \"%s\", which should name \"%s\"\n",
            (int)error->status, error->message, word == NULL ? "" : word);
  }
  return 0;
}

static inline int check_summary(void) {
  fprintf(stderr, "%d checks, %d failed\n", check_count, check_failures);
  return check_failures == 0 ? 0 : 1;
}

#endif
