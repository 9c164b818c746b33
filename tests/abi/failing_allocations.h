/* Lets every allocation of an operation fail once: the n-th, for n from 1 until the operation needs
 * fewer than n. Include it in one file of a program, and put a CALL around each call; see
 * allocations.h. */
#ifndef SATCHEL_TESTS_ABI_FAILING_ALLOCATIONS_H
#define SATCHEL_TESTS_ABI_FAILING_ALLOCATIONS_H

#include "allocations.h"
#include "check.h"

static int attempt;

/* Whether a call may answer so when an allocation failed in it. The program says. */
static int expected(satchel_status status);

#define CALL(call) note(call, #call, __LINE__)
static int note(satchel_status status, const char* call, int line) {
  const long armed = until_failure;
  until_failure = 0; /* what follows is the test's own */
  if (!expected(status)) {
    check_that(0, call, __FILE__, line);
    fprintf(stderr, "  answered %s when allocation %d failed\n", satchel_status_name(status),
            attempt);
  }
  until_failure = armed;
  return status == SATCHEL_OK;
}

/* Returns how many allocations the operation needs. */
static int fail_each_allocation_of(void (*operation)(void)) {
  for (attempt = 1; attempt < 100000; ++attempt) {
    has_failed = 0;
    until_failure = attempt;
    operation();
    until_failure = 0;
    if (!has_failed) break;
  }
  operation();
  return attempt - 1;
}

static void survives(const char* name, void (*operation)(void)) {
  long before = 0;
  int allocations = 0;
  operation();
  /* Twice: what is made once and kept is there after the first time, so that a single block lost
   * to a single failure shows in the second. */
  fail_each_allocation_of(operation);
  before = alive;
  allocations = fail_each_allocation_of(operation);
  fprintf(stderr, "%s: %d allocations, %ld blocks before, %ld after\n", name, allocations, before,
          alive);
  CHECK(allocations > 0);
  CHECK(alive <= before);
}

#endif
