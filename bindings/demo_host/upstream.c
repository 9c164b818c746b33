#include "upstream.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "transfer.h"

static char* part_of(CURLU* url, CURLUPart part) {
  char* text = NULL;
  return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static const char* read_url(struct upstream* upstream, CURLU* url, const char* text) {
  CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
  if (code != CURLUE_OK) return curl_url_strerror(code);
  char* scheme = part_of(url, CURLUPART_SCHEME);
  bool is_http =
      scheme != NULL && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
  curl_free(scheme);
  if (!is_http) return "it begins neither with http:// nor with https://";
  static const CURLUPart refused[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
    char* part = part_of(url, refused[i]);
    bool present = part != NULL;
    curl_free(part);
    if (present) return "it may have a host, a port and a path, nothing else";
  }
  upstream->path = part_of(url, CURLUPART_PATH);
  curl_url_set(url, CURLUPART_PATH, "/", 0);
  upstream->url = part_of(url, CURLUPART_URL);
  if (upstream->path == NULL || upstream->url == NULL) return "out of memory";
  size_t len = strlen(upstream->path);
  while (len > 0 && upstream->path[len - 1] == '/') upstream->path[--len] = '\0';
  return NULL;
}

struct upstream* upstream_new(const char* url, int ending_fd, struct bytes* complaint) {
  struct upstream* upstream = calloc(1, sizeof *upstream);
  CURLU* parsed = curl_url();
  const char* wrong = "out of memory";
  if (upstream != NULL) {
    upstream->ending_fd = ending_fd;
    pthread_mutex_init(&upstream->mutex, NULL);
    if (parsed != NULL) wrong = read_url(upstream, parsed, url);
  }
  curl_url_cleanup(parsed);
  if (wrong == NULL) return upstream;
  bytes_print(complaint, "%s", wrong);
  upstream_free(upstream);
  return NULL;
}

void upstream_free(struct upstream* upstream) {
  if (upstream == NULL) return;
  transfer_free_idle(upstream);
  pthread_mutex_destroy(&upstream->mutex);
  curl_free(upstream->url);
  curl_free(upstream->path);
  free(upstream);
}
