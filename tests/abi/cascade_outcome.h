/* A cascade over an account that a test bends before and after it is opened, and what comes of
 * asking it. Include it in one file of a program. */
#ifndef SATCHEL_TESTS_ABI_CASCADE_OUTCOME_H
#define SATCHEL_TESTS_ABI_CASCADE_OUTCOME_H

#include "cascade_account.h"
#include "check.h"

/* Where nobody listens: what the built-in transport finds when the host does not handle it. */
#define NOWHERE "\"api_base_url\":\"http://127.0.0.1:1/\""

static satchel_error error;
static struct account account;
static char* directory; /* for the built-in parts: empty, unless a test writes into it */
static satchel_view config_dir;
static satchel_library* library;
static satchel_cascade* cascade;

/* A new account, to be bent before it is opened. */
static void begin(void) {
  account_reset(&account);
  account.parts.config_dirs = &config_dir;
  account.parts.config_dir_count = 1;
}

static void open_with(const char* config) {
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&account, library, config, &cascade, &error));
}

static void open_it(void) { open_with("{" NOWHERE ",\"timeout_ms\":5000}"); }

static void close_it(void) {
  __atomic_store_n(&account.where, 0, __ATOMIC_RELAXED); /* the library's thread may look */
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK(account.part_releases == 3 && account.host_releases == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(account.part_releases == 3 && account.host_releases == 1);
  CHECK(account.secrets_told == 0);
}

/* What came of a resolve: a source, or 0, and an error that goes with it. */
struct outcome {
  int32_t source;
  int32_t why;
};

static struct outcome ask(void) {
  struct outcome outcome = {0, 0};
  satchel_usage* usage = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_status status = SATCHEL_OK;
  check_forget(&error);
  status = satchel_cascade_resolve(cascade, &usage, &error);
  if (status == SATCHEL_OK) {
    CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, NULL));
    CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
    outcome.source = summary.source;
    outcome.why = summary.error;
  } else {
    const char* name = satchel_usage_error_name(error.reason);
    CHECK_STATUS(SATCHEL_ERR_UNAVAILABLE, status);
    CHECK(usage == NULL && strncmp(error.message, name, strlen(name)) == 0);
    outcome.why = error.reason;
  }
  return outcome;
}

#define CHECK_OUTCOME(expected_source, expected_why) \
  check_outcome(expected_source, expected_why, __FILE__, __LINE__)
static void check_outcome(int32_t source, int32_t why, const char* file, int line) {
  const struct outcome got = ask();
  if (check_that(got.source == source && got.why == why, "the outcome", file, line)) return;
  fprintf(stderr, "  source %d (%s), expected %d (%s)\n", (int)got.source,
          satchel_usage_error_name(got.why), (int)source, satchel_usage_error_name(why));
}

#endif
