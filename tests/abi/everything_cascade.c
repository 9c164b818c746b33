/* The cascade's part of everything.c: with all parts the host's, an answer of each source, in the
 * order in which a host meets them; then the built-in parts over a directory. */
#include <sys/stat.h>

#include "cascade_account.h"
#include "check.h"

int use_the_cascade(void);

static satchel_error error;
static struct account account;
static satchel_library* library;
static satchel_cascade* cascade;

static int holds(const satchel_buffer* buffer, const char* part) {
  return sample_holds(buffer->data, buffer->len, part);
}

static int same_tokens(satchel_tokens left, satchel_tokens right) {
  return left.input == right.input && left.output == right.output &&
         left.cache_creation == right.cache_creation && left.cache_read == right.cache_read;
}

/* Asks, and says what the answer looks like from both sides: the summary, and the JSON. */
static satchel_usage_summary ask(const char* source) {
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_usage* usage = NULL;
  satchel_buffer json = SATCHEL_BUFFER_INIT;
  char member[64];
  snprintf(member, sizeof member, "{\"source\":\"%s\",", source);
  if (!CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &usage, &error))) return summary;
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(usage, &summary, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_usage_json(usage, &json, &error));
  if (!CHECK(holds(&json, member) && json.data[json.len - 1] == '}')) {
    fprintf(stderr, "  %.*s\n", (int)json.len, json.data);
  }
  if (summary.error != SATCHEL_USAGE_ERROR_NONE) {
    CHECK(holds(&json, satchel_usage_error_name(summary.error)));
  } else {
    CHECK(holds(&json, "\"error\":null"));
  }
  satchel_buffer_free(&json);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&usage));
  CHECK(usage == NULL);
  return summary;
}

static void no_tokens(const satchel_usage_summary* summary) {
  static const satchel_tokens none = {0, 0, 0, 0};
  CHECK(same_tokens(summary->five_hour_tokens, none));
  CHECK(same_tokens(summary->seven_day_tokens, none) && summary->block_start == 0);
}

static void from_the_endpoint_and_from_the_cache(void) {
  satchel_usage_summary summary = ask("endpoint");
  CHECK(summary.source == SATCHEL_USAGE_ENDPOINT && summary.error == SATCHEL_USAGE_ERROR_NONE);
  CHECK(summary.age == 0);
  CHECK(summary.five_hour_utilization == 22.5);
  CHECK(summary.five_hour_resets_at == (ACCOUNT_HOUR_S + 3600) * ACCOUNT_SECOND);
  CHECK(summary.seven_day_utilization == 33 && summary.seven_day_resets_at != 0);
  no_tokens(&summary);
  CHECK(account.calls.http == 1 && account.calls.token == 1 && account.calls.windows == 0);
  CHECK(account.files[SATCHEL_FILE_USAGE].present && account.files[SATCHEL_FILE_LOCK].present);
  CHECK(sample_holds(account.files[SATCHEL_FILE_USAGE].data, account.files[SATCHEL_FILE_USAGE].len,
                     "\"schema_version\": 1"));

  account_pass_time(&account, 60);
  summary = ask("cache");
  CHECK(summary.source == SATCHEL_USAGE_CACHE && summary.error == SATCHEL_USAGE_ERROR_NONE);
  CHECK(summary.age == 60 * ACCOUNT_SECOND && summary.five_hour_utilization == 22.5);
  CHECK(account.calls.http == 1 && account.calls.token == 1);
}

/* The endpoint is in trouble, and is left in peace for a while. */
static void what_was_known_last(void) {
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  int again = 0;
  account_pass_time(&account, 300);
  account.http_status = 500;
  for (again = 0; again < 2; ++again) {
    summary = ask("stale");
    CHECK(summary.source == SATCHEL_USAGE_STALE);
    CHECK(summary.error == SATCHEL_USAGE_ERROR_NETWORK_ERROR);
    CHECK(summary.age == 360 * ACCOUNT_SECOND && summary.five_hour_utilization == 22.5);
    CHECK(account.calls.http == 2);
  }
}

static void from_the_headers_of_an_answer(void) {
  char reset[32];
  satchel_http_header headers[5];
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  snprintf(reset, sizeof reset, "%lld", (long long)(ACCOUNT_NOW_S + 7200));
  headers[0].name = sample_view("content-type");
  headers[0].value = sample_view("application/json");
  headers[1].name = sample_view("Anthropic-RateLimit-Unified-5h-Utilization");
  headers[1].value = sample_view("0.5");
  headers[2].name = sample_view("anthropic-ratelimit-unified-5h-reset");
  headers[2].value = sample_view(reset);
  headers[3].name = sample_view("anthropic-ratelimit-unified-7d-utilization");
  headers[3].value = sample_view("0.75");
  headers[4].name = sample_view("anthropic-ratelimit-unified-7d-reset");
  headers[4].value = sample_view(reset);
  CHECK_ERROR(SATCHEL_UNCHANGED, NULL, satchel_cascade_observe(cascade, NULL, 0, &error));
  CHECK_STATUS(SATCHEL_UNCHANGED, satchel_cascade_observe(cascade, headers, 1, &error));
  CHECK(!account.files[SATCHEL_FILE_OBSERVED].present);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_observe(cascade, headers, 5, &error));
  CHECK(account.files[SATCHEL_FILE_OBSERVED].present);

  summary = ask("headers");
  CHECK(summary.source == SATCHEL_USAGE_HEADERS && summary.error == SATCHEL_USAGE_ERROR_NONE);
  CHECK(summary.age == 0);
  CHECK(summary.five_hour_utilization == 50 && summary.seven_day_utilization == 75);
  CHECK(summary.five_hour_resets_at == (ACCOUNT_NOW_S + 7200) * ACCOUNT_SECOND);
  no_tokens(&summary);
  CHECK(account.calls.http == 2);
}

/* The login is over: what was known is forgotten, and the transcripts answer. */
static void from_the_transcripts(void) {
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_usage* usage = (satchel_usage*)&account;
  account_pass_time(&account, 300);
  account.http_status = 401;
  summary = ask("jsonl");
  CHECK(summary.source == SATCHEL_USAGE_JSONL);
  CHECK(summary.error == SATCHEL_USAGE_ERROR_UNAUTHORIZED);
  CHECK(summary.five_hour_utilization == -1 && summary.seven_day_utilization == -1);
  CHECK(summary.five_hour_resets_at == 0 && summary.seven_day_resets_at == 0);
  CHECK(same_tokens(summary.five_hour_tokens, account.five_hour));
  CHECK(same_tokens(summary.seven_day_tokens, account.seven_day));
  CHECK(summary.block_start == ACCOUNT_HOUR_S * ACCOUNT_SECOND);
  CHECK(account.calls.http == 3 && account.calls.remove == 1);
  CHECK(!account.files[SATCHEL_FILE_USAGE].present);

  account.has_block = 0;
  summary = ask("jsonl");
  CHECK(summary.block_start == 0 && summary.five_hour_tokens.input == 0);
  CHECK(same_tokens(summary.seven_day_tokens, account.seven_day));

  account.has_entries = 0;
  CHECK_ERROR(SATCHEL_ERR_UNAVAILABLE, "Unauthorized",
              satchel_cascade_resolve(cascade, &usage, &error));
  CHECK(usage == NULL && error.reason == SATCHEL_USAGE_ERROR_UNAUTHORIZED);
  CHECK(strncmp(error.message, "Unauthorized", 12) == 0);
  account_pass_time(&account, 300);
  account.token_error = SATCHEL_USAGE_ERROR_MISSING_FIELD;
  CHECK_ERROR(SATCHEL_ERR_UNAVAILABLE, "MissingField",
              satchel_cascade_resolve(cascade, &usage, &error));
  CHECK(usage == NULL && error.reason == SATCHEL_USAGE_ERROR_MISSING_FIELD);
  account.token_error = 0;
  account.token = NULL;
  CHECK(account.calls.http == 3);
}

static void without_waiting(void) {
  struct account_news news;
  news_init(&news);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK(news_await(&news, 1) && news.status == SATCHEL_ERR_UNAVAILABLE);
  CHECK(news.reason == SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  account.token = ACCOUNT_TOKEN;
  account.http_status = 200;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve_start(cascade, news_arrive, &news, &error));
  CHECK(news_await(&news, 2) && news.status == SATCHEL_OK);
  CHECK(news.source == SATCHEL_USAGE_ENDPOINT && account.calls.http == 4);
}

static void what_it_tells_of_itself(void) {
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  CHECK_ERROR(SATCHEL_NOT_HANDLED, "host", satchel_cascade_report(cascade, NULL, &out, &error));
  CHECK(out.data == NULL);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_metrics(cascade, &out, &error));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"endpoint\"} 2\n"));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"cache\"} 1\n"));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"stale\"} 2\n"));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"headers\"} 1\n"));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"jsonl\"} 2\n"));
  CHECK(holds(&out, "satchel_cascade_resolves_total{source=\"none\"} 3\n"));
  CHECK(holds(&out, "satchel_cascade_observations_total 1\n"));
  satchel_buffer_free(&out);
}

static void with_the_parts_of_the_host(void) {
  satchel_usage* kept = NULL;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &error));
  CHECK_STATUS(SATCHEL_OK, account_open(&account, library, NULL, &cascade, &error));
  CHECK(account.calls.read + account.calls.token + account.calls.http == 0);
  from_the_endpoint_and_from_the_cache();
  what_was_known_last();
  from_the_headers_of_an_answer();
  from_the_transcripts();
  without_waiting();
  what_it_tells_of_itself();

  /* A usage is its holder's, whatever becomes of the cascade and the library. */
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_resolve(cascade, &kept, &error));
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK(cascade == NULL && account.part_releases == 3 && account.host_releases == 0);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(account.host_releases == 1 && account.part_releases == 3);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_summary_get(kept, &summary, &error));
  CHECK(summary.source == SATCHEL_USAGE_CACHE);
  CHECK_STATUS(SATCHEL_OK, satchel_usage_free(&kept));
  CHECK(account.calls.clock > 0 && account.calls.log > 0 && account.secrets_told == 0);
}

/* ------------------------------------------------------------------ over a directory */

static void make_directory(const char* directory, const char* name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (mkdir(path, 0700) != 0) abort();
}

static void write_file(const char* directory, const char* name, const char* text) {
  char path[512];
  FILE* file = NULL;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

static void a_report(void) {
  satchel_report_range range;
  satchel_buffer out = SATCHEL_BUFFER_INIT;
  satchel_report_range_init(&range);
  CHECK(range.struct_size == sizeof range);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_report(cascade, NULL, &out, &error));
  CHECK(out.len > 2 && out.data[0] == '{' && holds(&out, "claude-opus-4"));
  range.from = (ACCOUNT_NOW_S - 86400) * ACCOUNT_SECOND;
  range.to = ACCOUNT_NOW_S * ACCOUNT_SECOND;
  range.utc_offset_s = 2 * 3600;
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_report(cascade, &range, &out, &error));
  CHECK(holds(&out, "claude-opus-4"));
  satchel_buffer_free(&out);
}

/* The token, the transcripts and the three files are where Claude Code and linesmith have them. */
static void with_the_built_in_parts(void) {
  static const char line[] =
      "{\"timestamp\":\"2026-04-19T04:10:00Z\",\"message\":{\"id\":\"m1\","
      "\"model\":\"claude-opus-4\",\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}}\n";
  satchel_cascade_parts parts;
  satchel_usage_files files;
  satchel_credentials credentials;
  satchel_transcripts transcripts;
  char* const directory = sample_directory();
  char cache[256];
  char written[512];
  struct stat seen;
  satchel_view config_dir;
  satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
  satchel_usage_files_init(&files);
  satchel_credentials_init(&credentials);
  satchel_transcripts_init(&transcripts);
  satchel_cascade_parts_init(&parts);
  CHECK(files.struct_size == sizeof files && credentials.struct_size == sizeof credentials);
  CHECK(transcripts.struct_size == sizeof transcripts && parts.struct_size == sizeof parts);

  make_directory(directory, "projects");
  make_directory(directory, "projects/work");
  write_file(directory, "projects/work/session.jsonl", line);
  snprintf(cache, sizeof cache, "%s/cache", directory);
  config_dir = sample_view(directory);
  parts.cache_dir = sample_view(cache);
  parts.config_dirs = &config_dir;
  parts.config_dir_count = 1;
  account_reset(&account);
  CHECK_STATUS(SATCHEL_OK, account_open_library(&account, &library, &error));
  CHECK_STATUS(SATCHEL_OK,
               satchel_cascade_open(library, &parts, LITERAL("{\"cache_duration_s\":60}"), &cascade,
                                    &error));
  CHECK(stat(cache, &seen) != 0);

  summary = ask("jsonl");
  CHECK(summary.error == SATCHEL_USAGE_ERROR_NO_CREDENTIALS);
  CHECK(summary.five_hour_tokens.input == 100 && summary.seven_day_tokens.output == 20);
  CHECK(summary.block_start == ACCOUNT_HOUR_S * ACCOUNT_SECOND);
  a_report();
  write_file(directory, ".credentials.json",
             "{\"claudeAiOauth\":{\"accessToken\":\"" ACCOUNT_TOKEN "\"}}");
  summary = ask("endpoint");
  CHECK(summary.five_hour_utilization == 22.5 && account.calls.http == 1);
  summary = ask("cache");
  snprintf(written, sizeof written, "%s/usage.json", cache);
  CHECK(stat(written, &seen) == 0 && (seen.st_mode & 0777) == 0600);
  snprintf(written, sizeof written, "%s/usage.lock", cache);
  CHECK(stat(written, &seen) == 0 && (seen.st_mode & 0777) == 0600);
  CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&cascade));
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  CHECK(account.secrets_told == 0);
  sample_remove_directory(directory);
}

static void names_of_errors(void) {
  static const char* const names[] = {"",
                                      "NoCredentials",
                                      "SubprocessFailed",
                                      "IoError",
                                      "ParseError",
                                      "MissingField",
                                      "EmptyToken",
                                      "Timeout",
                                      "RateLimited",
                                      "NetworkError",
                                      "Unauthorized",
                                      "Forbidden",
                                      "NoEntries",
                                      "DirectoryMissing"};
  int32_t number = 0;
  for (number = 0; number < (int32_t)(sizeof names / sizeof names[0]); ++number) {
    CHECK(strcmp(satchel_usage_error_name(number), names[number]) == 0);
  }
  CHECK(strcmp(satchel_usage_error_name(14), "UNKNOWN") == 0);
  CHECK(strcmp(satchel_usage_error_name(-1), "UNKNOWN") == 0);
  CHECK(SATCHEL_USAGE_ERROR_DIRECTORY_MISSING == 13 && SATCHEL_USAGE_ERROR_NONE == 0);
}

int use_the_cascade(void) {
  satchel_error_init(&error);
  with_the_parts_of_the_host();
  with_the_built_in_parts();
  names_of_errors();
  return check_summary();
}
