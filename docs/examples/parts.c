/* A host that brings parts of its own: a log, the names of its customers, a tokenizer. */
#include <satchel/satchel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void log_line(void* user, int32_t level, const char* component, size_t component_len,
                     const char* message, size_t message_len) {
  (void)user;
  fprintf(stderr, "%d %.*s: %.*s\n", (int)level, (int)component_len, component, (int)message_len,
          message);
}

/* Two keys of one customer: whatever one of them has created, the other reads. */
static satchel_status name_customer(void* user, const char* api_key, size_t api_key_len,
                                    satchel_principal_answer* answer) {
  (void)user;
  if (api_key_len == 4 && memcmp(api_key, "sk-", 3) == 0) {
    return satchel_principal_set(answer, "anna", 4);
  }
  return SATCHEL_OK; /* nobody known: the request stays uncached */
}

static satchel_status list_versions(void* user, const char* model, size_t model_len,
                                    satchel_versions_answer* answer) {
  (void)user;
  return satchel_versions_add(answer, model, model_len, "words-1", 7, NULL, 0);
}

/* Counts words. A real one asks the tokenizer of the model. */
static satchel_status count_words(void* user, const char* model, size_t model_len,
                                  const satchel_view* segments, size_t segment_count,
                                  satchel_counts_answer* answer) {
  uint32_t* cumulative = malloc((segment_count + 1) * sizeof *cumulative);
  uint32_t words = 0;
  satchel_status status = SATCHEL_ERR_MEMORY;
  size_t i = 0;
  size_t at = 0;
  (void)user;
  (void)model;
  (void)model_len;
  if (cumulative == NULL) return status;
  for (i = 0; i < segment_count; ++i) {
    for (at = 0; at < segments[i].len; ++at) {
      const int begins = at == 0 || segments[i].data[at - 1] == ' ';
      words += begins && segments[i].data[at] != ' ' ? 1 : 0;
    }
    cumulative[i] = words; /* up to and including this segment */
  }
  status = satchel_counts_set(answer, cumulative, segment_count); /* copies them */
  free(cumulative);
  return status;
}

int main(void) {
  static const char config[] =
      "{\"models\": {\"*\": {\"enabled\": true, \"min_prefix_tokens\": 3}}}";
  static const char body[] =
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
      "\"What is the time?\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}";
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_host host = SATCHEL_HOST_INIT;
  satchel_principals principals = SATCHEL_PRINCIPALS_INIT;
  satchel_tokenizer tokenizer = SATCHEL_TOKENIZER_INIT;
  satchel_prompt_parts parts = SATCHEL_PROMPT_PARTS_INIT;
  satchel_request_head who = SATCHEL_REQUEST_HEAD_INIT;
  satchel_outcome_summary found = SATCHEL_OUTCOME_SUMMARY_INIT;
  satchel_library* library = NULL;
  satchel_prompt_cache* cache = NULL;
  satchel_outcome* outcome = NULL;
  satchel_status status = SATCHEL_OK;

  host.log = log_line;
  principals.resolve = name_customer;
  tokenizer.versions = list_versions;
  tokenizer.tokenize = count_words;
  parts.principals = &principals; /* parts.models stays NULL: the table of the configuration */
  parts.tokenizer = &tokenizer;
  status = satchel_open(&host, NULL, 0, &library, &error);
  if (status == SATCHEL_OK) {
    status = satchel_prompt_cache_open(library, &parts, config, sizeof config - 1, &cache, &error);
  }

  /* What a request with this body would read and create, without making one. */
  who.api_key.data = "sk-1";
  who.api_key.len = 4;
  if (status == SATCHEL_OK) {
    status =
        satchel_prompt_classify(cache, &who, "any", 3, body, sizeof body - 1, &outcome, &error);
  }
  if (status == SATCHEL_OK) status = satchel_outcome_summary_get(outcome, &found, &error);
  if (status == SATCHEL_OK) {
    printf("%.*s creates %lu, counted by %.*s\n", (int)found.principal.len, found.principal.data,
           (unsigned long)found.creation_5m, (int)found.tokenizer_version.len,
           found.tokenizer_version.data);
  } else {
    fprintf(stderr, "%s: %s\n", satchel_status_name(status), error.message);
  }
  satchel_outcome_free(&outcome);
  satchel_prompt_cache_close(&cache);
  satchel_close(&library);
  return status == SATCHEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
