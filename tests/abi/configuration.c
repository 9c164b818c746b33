/* Configurations that are wrong: the status is ERR_CONFIG, the message names the key by its path,
 * no handle is made, and what the host lent is released. */
#include "cascade_account.h"
#include "check.h"
#include "tool_memory_store.h"
#include "tool_sample.h"

static satchel_error error;
static int releases;

static void count_release(void* user) {
  (void)user;
  ++releases;
}

struct refusal {
  const char* config;
  const char* named;
};

static const struct refusal library_refusals[] = {
    {"{\"log_levle\":\"info\"}", "log_levle"},
    {"{\"log_level\":3}", "log_level"},
    {"{\"log_level\":null}", "log_level"},
    {"{\"log_level\":\"loud\"}", "loud"},
    {"{\"log_level\":\"info\",\"log_level\":\"off\"}", "log_level"},
    {"[]", "object"},
    {"7", "object"},
    {"null", "object"},
    {"{", "JSON"},
    {"{\"log_level\":\"info\"} x", "after"},
    {"{\"\":1}", "unknown key"},
};

static const struct refusal cache_refusals[] = {
    {"{\"indx\":{}}", "indx"},
    {"{\"exact\":1}", "exact"},
    {"{\"exact\":true}", "exact"},
    {"{\"tokenizer\":\"http://localhost\"}", "tokenizer"},
    {"{\"tokenizer\":{}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"localhost:80\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"ftp://localhost\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"http://\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"https:///v1\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"http://localhost/?a\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"http://a:b@localhost\"}}", "tokenizer.url"},
    {"{\"tokenizer\":{\"url\":\"http://a\",\"api_key\":\"a\\n\"}}", "tokenizer.api_key"},
    {"{\"tokenizer\":{\"url\":\"http://a\",\"timeout_ms\":0}}", "tokenizer.timeout_ms"},
    {"{\"tokenizer\":{\"url\":\"http://a\",\"timeout\":1}}", "tokenizer.timeout"},
    {"{\"index\":\"memory\"}", "index"},
    {"{\"index\":{\"kind\":\"etcd\"}}", "index.kind"},
    {"{\"index\":{\"kind\":\"redis\"}}", "index.postgres"},
    {"{\"index\":{\"kind\":\"postgres\",\"postgres\":{}}}", "index.postgres.url"},
    {"{\"index\":{\"kind\":\"redis\",\"postgres\":{\"url\":\"dbname=x\"},\"redis\":{}}}",
     "index.redis.urls"},
    {"{\"index\":{\"kind\":7}}", "index.kind"},
    {"{\"index\":{\"kind\":\"memory\",\"path\":\"/tmp\"}}", "index.path"},
    {"{\"index\":{\"kind\":\"memory\",\"max_entries\":0}}", "index.max_entries"},
    {"{\"index\":{\"kind\":\"memory\",\"max_entries\":1.5}}", "index.max_entries"},
    {"{\"index\":{\"kind\":\"sqlite\"}}", "index.path"},
    {"{\"index\":{\"kind\":\"sqlite\",\"path\":\"/tmp/x\",\"max_bytes\":\"1\"}}",
     "index.max_bytes"},
    {"{\"index\":{\"kind\":\"sqlite\",\"path\":\"/tmp/x\",\"max_entries\":9}}",
     "index.max_entries"},
    {"{\"enabled_ttls\":\"5m\"}", "enabled_ttls"},
    {"{\"enabled_ttls\":[]}", "enabled_ttls"},
    {"{\"enabled_ttls\":[\"2m\"]}", "2m"},
    {"{\"enabled_ttls\":[5]}", "enabled_ttls[0]"},
    {"{\"default_ttl\":\"7m\"}", "default_ttl"},
    {"{\"enabled_ttls\":[\"1h\"],\"default_ttl\":\"5m\"}", "default_ttl"},
    {"{\"telemetry\":[]}", "telemetry"},
    {"{\"telemetry\":{\"prefixes\":\"x\"}}", "telemetry.prefixes"},
    {"{\"telemetry\":{\"prefixes\":[\"x\",1]}}", "telemetry.prefixes[1]"},
    {"{\"telemetry\":{\"strip\":1}}", "telemetry.strip"},
    {"{\"models\":[]}", "models"},
    {"{\"models\":{\"m\":true}}", "models.m"},
    {"{\"models\":{\"m\":{\"enable\":true}}}", "models.m.enable"},
    {"{\"models\":{\"m\":{\"enabled\":\"yes\"}}}", "models.m.enabled"},
    {"{\"models\":{\"m\":{\"min_prefix_tokens\":-1}}}", "models.m.min_prefix_tokens"},
    {"{\"models\":{\"m\":{\"min_prefix_tokens\":1e99}}}", "models.m.min_prefix_tokens"},
    {"{\"models\":{\"m\":{},\"m\":{}}}", "models.m"},
    {"{\"inject\":\"true\"}", "inject"},
    {"{\"scrub\":0}", "scrub"},
    {"{\"max_body_bytes\":0}", "max_body_bytes"},
    {"{\"max_body_bytes\":1e18}", "max_body_bytes"},
    {"{\"max_response_bytes\":-1}", "max_response_bytes"},
    {"{\"max_event_bytes\":0}", "max_event_bytes"},
    {"{\"classify_deadline_ms\":0}", "classify_deadline_ms"},
    {"{\"commit_deadline_ms\":\"30s\"}", "commit_deadline_ms"},
};

static const struct refusal tool_refusals[] = {
    {"{\"max_byte\":1}", "max_byte"},
    {"{\"strict\":1}", "strict"},
    {"{\"max_bytes\":-1}", "max_bytes"},
    {"{\"max_bytes\":1.5}", "max_bytes"},
    {"{\"max_entries\":\"1\"}", "max_entries"},
    {"{\"max_age_s\":1e99}", "max_age_s"},
    {"{\"memory_bytes\":-1}", "memory_bytes"},
    {"{\"compress_min_bytes\":-1}", "compress_min_bytes"},
    {"{\"hash_max_bytes\":null}", "hash_max_bytes"},
    {"{\"hash_threads\":0}", "hash_threads"},
    {"{\"lease_ms\":0}", "lease_ms"},
    {"{\"maintenance_interval_ms\":0}", "maintenance_interval_ms"},
    {"{\"orphan_age_s\":-1}", "orphan_age_s"},
    {"{\"index\":\"memory\"}", "index"},
    {"{\"index\":{\"kind\":\"etcd\"}}", "index.kind"},
    {"{\"index\":{\"path\":\"/tmp\"}}", "index.path"},
    {"{\"stats_path\":[]}", "stats_path"},
    {"[]", "object"},
    {"{", "JSON"},
};

static const struct refusal cascade_refusals[] = {
    {"{\"timeout\":1}", "timeout"},
    {"{\"timeout_ms\":0}", "timeout_ms"},
    {"{\"timeout_ms\":-1}", "timeout_ms"},
    {"{\"timeout_ms\":1.5}", "timeout_ms"},
    {"{\"timeout_ms\":86400001}", "timeout_ms"},
    {"{\"timeout_ms\":\"2s\"}", "timeout_ms"},
    {"{\"timeout_ms\":1,\"timeout_ms\":2}", "timeout_ms"},
    {"{\"cache_duration_s\":-1}", "cache_duration_s"},
    {"{\"cache_duration_s\":1e99}", "cache_duration_s"},
    {"{\"cache\":1}", "cache"},
    {"{\"stale_while_revalidate\":\"yes\"}", "stale_while_revalidate"},
    {"{\"ca_file\":[]}", "ca_file"},
    {"{\"plain_http\":0}", "plain_http"},
    {"{\"api_base_url\":null}", "api_base_url"},
    {"{\"api_base_url\":\"\"}", "api_base_url"},
    {"{\"api_base_url\":\"ftp://example.com\"}", "api_base_url"},
    {"{\"api_base_url\":\"https://\"}", "api_base_url"},
    {"{\"api_base_url\":\"http://example.com\"}", "api_base_url"},
    {"{\"api_base_url\":\"http://127.0.0.1.example.com\"}", "api_base_url"},
    {"{\"api_base_url\":\"http://127.0.0.1@example.com\"}", "api_base_url"},
    {"{\"transcripts\":true}", "transcripts"},
    {"{\"transcripts\":{\"enabled\":\"no\"}}", "transcripts.enabled"},
    {"{\"transcripts\":{\"dedup\":\"last\"}}", "transcripts.dedup"},
    {"{\"transcripts\":{\"dedup\":1}}", "transcripts.dedup"},
    {"{\"transcripts\":{\"depth\":0}}", "transcripts.depth"},
    {"{\"transcripts\":{\"depth\":65}}", "transcripts.depth"},
    {"{\"transcripts\":{\"depth\":\"one\"}}", "transcripts.depth"},
    {"{\"transcripts\":{\"depth\":true}}", "transcripts.depth"},
    {"{\"transcripts\":{\"owner\":\"root\"}}", "transcripts.owner"},
    {"{\"transcripts\":{\"remember\":2}}", "transcripts.remember"},
    {"{\"transcripts\":{\"threads\":65}}", "transcripts.threads"},
    {"{\"transcripts\":{\"max_line_bytes\":1}}", "transcripts.max_line_bytes"},
    {"{\"transcripts\":{\"deduplicate\":\"first\"}}", "transcripts.deduplicate"},
    {"[]", "object"},
    {"{", "JSON"},
};

static void the_library_refuses(const struct refusal* refusal) {
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_library* opened = (satchel_library*)&host;
  host.release = count_release;
  releases = 0;
  if (!CHECK_ERROR(
          SATCHEL_ERR_CONFIG, refusal->named,
          satchel_open(&host, refusal->config, strlen(refusal->config), &opened, &error))) {
    fprintf(stderr, "  configuration: %s\n", refusal->config);
  }
  CHECK(opened == NULL && releases == 1);
}

static void the_cache_refuses(satchel_library* library, const struct refusal* refusal) {
  satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
  satchel_models models = SATCHEL_MODELS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_prompt_cache* opened = (satchel_prompt_cache*)&parts;
  principals.release = count_release;
  models.release = count_release;
  tokenizer.release = count_release;
  parts.principals = &principals;
  parts.models = &models;
  parts.tokenizer = &tokenizer;
  releases = 0;
  if (!CHECK_ERROR(SATCHEL_ERR_CONFIG, refusal->named,
                   satchel_prompt_cache_open(library, &parts, refusal->config,
                                             strlen(refusal->config), &opened, &error))) {
    fprintf(stderr, "  configuration: %s\n", refusal->config);
  }
  CHECK(opened == NULL && releases == 3);
}

static void the_tool_cache_refuses(satchel_library* library, const struct refusal* refusal) {
  static struct memory_store store;
  const satchel_tool_store table = memory_table(&store);
  satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
  satchel_tool_cache* opened = (satchel_tool_cache*)&place;
  place.host_store = &table;
  if (!CHECK_ERROR(SATCHEL_ERR_CONFIG, refusal->named,
                   satchel_tool_cache_open(library, &place, refusal->config,
                                           strlen(refusal->config), &opened, &error))) {
    fprintf(stderr, "  configuration: %s\n", refusal->config);
  }
  CHECK(opened == NULL && store.releases == 1);
}

static void the_cascade_refuses(satchel_library* library, const struct refusal* refusal) {
  static struct account account;
  satchel_cascade* opened = (satchel_cascade*)&account;
  account_reset(&account);
  if (!CHECK_ERROR(SATCHEL_ERR_CONFIG, refusal->named,
                   account_open(&account, library, refusal->config, &opened, &error))) {
    fprintf(stderr, "  configuration: %s\n", refusal->config);
  }
  CHECK(opened == NULL && account.part_releases == 3);
}

static void the_cascade_takes(satchel_library* library) {
  static const char* const good[] = {
      "",
      "{}",
      "{\"timeout_ms\":1,\"cache_duration_s\":0,\"cache\":false}",
      "{\"timeout_ms\":86400000,\"stale_while_revalidate\":true,\"ca_file\":\"/nowhere\"}",
      "{\"api_base_url\":\"https://example.com/base/\"}",
      "{\"api_base_url\":\"http://localhost:8080\"}",
      "{\"api_base_url\":\"http://127.0.0.1:1\"}",
      "{\"api_base_url\":\"http://[::1]:1\"}",
      "{\"api_base_url\":\"http://example.com\",\"plain_http\":true}",
      "{\"transcripts\":{}}",
      "{\"transcripts\":{\"dedup\":\"first\",\"depth\":1,\"owner\":\"any\"}}",
      "{\"transcripts\":{\"dedup\":\"complete\",\"depth\":\"all\",\"owner\":\"mine\"}}",
      "{\"transcripts\":{\"enabled\":false,\"remember\":false,\"threads\":1,"
      "\"max_line_bytes\":1024}}",
  };
  static struct account account;
  size_t i = 0;
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    satchel_cascade* opened = NULL;
    account_reset(&account);
    if (!CHECK_STATUS(SATCHEL_OK, account_open(&account, library, good[i], &opened, &error))) {
      fprintf(stderr, "  configuration: %s\n  %s\n", good[i], error.message);
    }
    CHECK_STATUS(SATCHEL_OK, satchel_cascade_close(&opened));
  }
}

static void the_tool_cache_takes(satchel_library* library) {
  static const char* const good[] = {
      "",
      "{}",
      "{\"index\":{}}",
      "{\"index\":{\"kind\":\"memory\"},\"strict\":true}",
      "{\"max_bytes\":1000000,\"max_entries\":10,\"max_age_s\":60}",
      "{\"memory_bytes\":0,\"compress_min_bytes\":1,\"hash_max_bytes\":1,\"hash_threads\":1}",
      "{\"lease_ms\":1,\"maintenance_interval_ms\":50,\"orphan_age_s\":0}",
  };
  char* const directory = tool_directory();
  size_t i = 0;
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    satchel_tool_cache* opened = NULL;
    if (!CHECK_STATUS(SATCHEL_OK, tool_open(library, directory, good[i], &opened, &error))) {
      fprintf(stderr, "  configuration: %s\n  %s\n", good[i], error.message);
    }
    CHECK_STATUS(SATCHEL_OK, satchel_tool_cache_close(&opened));
  }
  sample_remove_directory(directory);
}

/* Bytes that are no text at all, and nesting without end. */
static void garbage_is_refused(satchel_library* library) {
  static char nested[200000];
  satchel_prompt_cache* opened = NULL;
  size_t i = 0;
  CHECK_ERROR(SATCHEL_ERR_CONFIG, NULL,
              satchel_prompt_cache_open(library, NULL, LITERAL("{\"\xff\":1}"), &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_CONFIG, NULL,
              satchel_prompt_cache_open(library, NULL, LITERAL("{\"a\0b\":1}"), &opened, &error));
  CHECK_ERROR(SATCHEL_ERR_CONFIG, NULL,
              satchel_prompt_cache_open(library, NULL, LITERAL("\0"), &opened, &error));
  for (i = 0; i < sizeof nested; ++i) nested[i] = i % 5 == 0 ? '{' : "\"a\":"[i % 5 - 1];
  CHECK_ERROR(SATCHEL_ERR_CONFIG, NULL,
              satchel_prompt_cache_open(library, NULL, nested, sizeof nested, &opened, &error));
  CHECK(opened == NULL);
}

static void these_are_taken(satchel_library* library) {
  static const char* const good[] = {
      "",
      " \n{ } ",
      "{\"index\":{}}",
      "{\"index\":{\"kind\":\"memory\",\"max_entries\":10,\"sweep_interval_ms\":100}}",
      "{\"enabled_ttls\":[\"1h\"]}",
      "{\"enabled_ttls\":[\"5m\",\"24h\"],\"default_ttl\":\"24h\"}",
      "{\"models\":{}}",
      "{\"models\":{\"a/b\":{\"enabled\":false},\"*\":{\"min_prefix_tokens\":0}}}",
      "{\"inject\":false,\"scrub\":false,\"max_body_bytes\":1,\"max_event_bytes\":1}",
      "{\"telemetry\":{\"prefixes\":[\"x-\"],\"strip\":true}}",
  };
  size_t i = 0;
  for (i = 0; i < sizeof good / sizeof good[0]; ++i) {
    satchel_prompt_cache* opened = NULL;
    if (!CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_open(library, NULL, good[i], strlen(good[i]),
                                                            &opened, &error))) {
      fprintf(stderr, "  configuration: %s\n  %s\n", good[i], error.message);
    }
    CHECK_STATUS(SATCHEL_OK, satchel_prompt_cache_close(&opened));
  }
}

int main(void) {
  satchel_library* library = NULL;
  size_t i = 0;
  satchel_error_init(&error);
  for (i = 0; i < sizeof library_refusals / sizeof library_refusals[0]; ++i) {
    the_library_refuses(&library_refusals[i]);
  }
  CHECK_STATUS(SATCHEL_OK,
               satchel_open(NULL, LITERAL("{\"log_level\":\"off\"}"), &library, &error));
  for (i = 0; i < sizeof cache_refusals / sizeof cache_refusals[0]; ++i) {
    the_cache_refuses(library, &cache_refusals[i]);
  }
  for (i = 0; i < sizeof tool_refusals / sizeof tool_refusals[0]; ++i) {
    the_tool_cache_refuses(library, &tool_refusals[i]);
  }
  the_tool_cache_takes(library);
  for (i = 0; i < sizeof cascade_refusals / sizeof cascade_refusals[0]; ++i) {
    the_cascade_refuses(library, &cascade_refusals[i]);
  }
  the_cascade_takes(library);
  garbage_is_refused(library);
  these_are_taken(library);
  CHECK_STATUS(SATCHEL_OK, satchel_close(&library));
  return check_summary();
}
