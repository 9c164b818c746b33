/* The command line. */
#ifndef DEMO_HOST_OPTIONS_H
#define DEMO_HOST_OPTIONS_H

#include <stdbool.h>

struct options {
  const char* listen;   /* HOST:PORT */
  const char* upstream; /* http://host[:port][/path] */
  const char* library;  /* path of libsatchel.so */
  const char* index;    /* "memory", a directory, or NULL: what the configuration says */
  const char* config;   /* path of the prompt cache's configuration, or NULL */
  unsigned max_connections;
  bool verbose;
};

enum options_verdict { OPTIONS_RUN, OPTIONS_ANSWERED, OPTIONS_BAD };

/* OPTIONS_ANSWERED: --help or --version has been printed. OPTIONS_BAD: what is wrong was printed.
 */
enum options_verdict options_read(struct options* options, int argc, char** argv);

#endif
