#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "satchel/satchel.h"

enum { MOST_CONNECTIONS = 100000 };

static const char help[] =
    "usage: demo-host --upstream URL --library PATH [options]\n"
    "\n"
    "A reverse proxy for language models. It loads libsatchel.so and puts every request\n"
    "through it, so that responses say what a prompt cache read and created.\n"
    "\n"
    "  --upstream URL          where requests go: http[s]://host[:port][/path]\n"
    "  --library PATH          the shared object, loaded from exactly there\n"
    "  --listen HOST:PORT      default 127.0.0.1:8800; port 0 picks a free one\n"
    "  --index memory|DIR      where entries live: in this process, or in a directory that\n"
    "                          several processes may share; overrides the configuration\n"
    "  --config FILE           the prompt cache's configuration, a JSON object\n"
    "  --max-connections N     at once, default 512; more clients wait\n"
    "  --verbose               one line on standard error for every request\n"
    "  --help, --version\n"
    "\n"
    "GET /healthz is answered by the host itself. Ctrl-C finishes what is in flight (at\n"
    "most 30 seconds); the second one ends at once.\n";

static bool read_connections(const char* text, unsigned* connections) {
  char* end = NULL;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < 1 ||
      value > MOST_CONNECTIONS) {
    fprintf(stderr, "demo-host: --max-connections: \"%s\" is no number from 1 to %d\n", text,
            MOST_CONNECTIONS);
    return false;
  }
  *connections = (unsigned)value;
  return true;
}

static bool is_given(const char* value, const char* name) {
  if (value != NULL && *value != '\0') return true;
  fprintf(stderr, "demo-host: %s is missing; --help says more\n", name);
  return false;
}

enum options_verdict options_read(struct options* options, int argc, char** argv) {
  static const struct option known[] = {
      {"listen", required_argument, NULL, 'l'},  {"upstream", required_argument, NULL, 'u'},
      {"library", required_argument, NULL, 'L'}, {"index", required_argument, NULL, 'i'},
      {"config", required_argument, NULL, 'c'},  {"max-connections", required_argument, NULL, 'm'},
      {"verbose", no_argument, NULL, 'v'},       {"help", no_argument, NULL, 'h'},
      {"version", no_argument, NULL, 'V'},       {NULL, 0, NULL, 0}};
  *options = (struct options){"127.0.0.1:8800", NULL, NULL, NULL, NULL, 512, false};
  int choice;
  while ((choice = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (choice) {
      case 'l':
        options->listen = optarg;
        break;
      case 'u':
        options->upstream = optarg;
        break;
      case 'L':
        options->library = optarg;
        break;
      case 'i':
        options->index = optarg;
        break;
      case 'c':
        options->config = optarg;
        break;
      case 'm':
        if (!read_connections(optarg, &options->max_connections)) return OPTIONS_BAD;
        break;
      case 'v':
        options->verbose = true;
        break;
      case 'h':
        fputs(help, stdout);
        return OPTIONS_ANSWERED;
      case 'V':
        printf("demo-host %s, made for satchel ABI %d\n", SATCHEL_VERSION_STRING,
               SATCHEL_ABI_VERSION);
        return OPTIONS_ANSWERED;
      default:
        return OPTIONS_BAD; /* getopt_long named the option */
    }
  }
  if (optind < argc) {
    fprintf(stderr, "demo-host: unexpected argument \"%s\"; --help says more\n", argv[optind]);
    return OPTIONS_BAD;
  }
  if (!is_given(options->upstream, "--upstream") || !is_given(options->library, "--library")) {
    return OPTIONS_BAD;
  }
  if (options->index != NULL && *options->index == '\0') {
    fputs("demo-host: --index is neither \"memory\" nor a directory\n", stderr);
    return OPTIONS_BAD;
  }
  return OPTIONS_RUN;
}
