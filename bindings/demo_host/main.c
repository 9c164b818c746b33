/* demo-host: a reverse proxy that carries libsatchel.so in its own process.
 *
 * Reading order for someone who wants to do the same elsewhere: library.c loads the shared object,
 * prompt_cache.c opens it, cached_request.c has every call of a request's life, relay.c shows when
 * each is made. The rest is what any proxy has. */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host.h"
#include "listener.h"
#include "log.h"
#include "options.h"
#include "proxy.h"

enum {
  EXIT_BAD_OPTIONS = 2,
  FINISH_SECONDS = 30,
  FDS_PER_CONNECTION = 6, /* client, upstream, epoll, and what curl uses to be woken */
  FDS_BESIDES = 64
};

/* As many connections as there are file descriptors for. */
static unsigned fit_connections(unsigned wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  rlim_t needed = (rlim_t)wanted * FDS_PER_CONNECTION + FDS_BESIDES;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur =
        limit.rlim_max == RLIM_INFINITY || limit.rlim_max > needed ? needed : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  rlim_t fitting = limit.rlim_cur > FDS_BESIDES + FDS_PER_CONNECTION
                       ? (limit.rlim_cur - FDS_BESIDES) / FDS_PER_CONNECTION
                       : 1;
  log_line("warn %llu file descriptors are enough for %llu connections, not for %u",
           (unsigned long long)limit.rlim_cur, (unsigned long long)fitting, wanted);
  return (unsigned)fitting;
}

/* Blocked before any thread exists, so that only the main thread takes them, where it chooses. */
static void block_signals(sigset_t* ends) {
  signal(SIGPIPE, SIG_IGN); /* a client that left is an error of write, nothing more */
  sigemptyset(ends);
  sigaddset(ends, SIGINT);
  sigaddset(ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, ends, NULL);
}

static void wait_for_signal(const sigset_t* ends) {
  int number = 0;
  sigwait(ends, &number);
  /* The next one kills, as if we had never asked. */
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, ends, NULL);
}

/* Nothing new; what is in flight ends by itself, or is ended after a while. */
static void finish(struct host* host, int ending_fd) {
  acceptor_stop(&host->acceptor);
  if (!tally_stop(&host->tally, FINISH_SECONDS)) {
    log_line("warn not everything was finished within %d seconds", FINISH_SECONDS);
  }
  uint64_t one = 1;
  if (write(ending_fd, &one, sizeof one) != (ssize_t)sizeof one) {
    log_line("error eventfd: %s", strerror(errno));
  }
}

static int serve(struct host* host, const char* address, int ending_fd, const sigset_t* ends) {
  int exit_code = 1;
  struct MHD_Daemon* daemon = proxy_start(host);
  if (daemon == NULL || !acceptor_start(&host->acceptor, daemon)) {
    fputs("demo-host: the server does not start\n", stderr);
  } else {
    printf("demo-host listening on http://%s\n", address);
    fflush(stdout);
    wait_for_signal(ends);
    finish(host, ending_fd);
    exit_code = 0;
  }
  if (daemon != NULL) MHD_stop_daemon(daemon);
  return exit_code;
}

static int listen_and_serve(struct host* host, const struct options* options, int ending_fd,
                            const sigset_t* ends) {
  struct bytes address = {NULL, 0, 0};
  struct bytes complaint = {NULL, 0, 0};
  int exit_code = EXIT_BAD_OPTIONS;
  int listen_fd = listener_open(options->listen, &address, &complaint);
  if (listen_fd < 0) {
    fprintf(stderr, "demo-host: --listen %s: %s\n", options->listen, complaint.data);
  } else {
    acceptor_prepare(&host->acceptor, listen_fd, fit_connections(options->max_connections));
    exit_code = serve(host, address.data, ending_fd, ends);
    acceptor_free(&host->acceptor);
  }
  bytes_free(&address);
  bytes_free(&complaint);
  return exit_code;
}

static int run(const struct options* options, int ending_fd, const sigset_t* ends) {
  struct host host;
  struct bytes complaint = {NULL, 0, 0};
  int exit_code = EXIT_BAD_OPTIONS;
  tally_start(&host.tally);
  host.upstream = upstream_new(options->upstream, ending_fd, &complaint);
  if (host.upstream == NULL) {
    fprintf(stderr, "demo-host: --upstream %s: %s\n", options->upstream, complaint.data);
  } else if (!prompt_cache_start(&host.prompt_cache, options, &complaint)) {
    fprintf(stderr, "demo-host: %s\n", complaint.data);
  } else {
    exit_code = listen_and_serve(&host, options, ending_fd, ends);
    prompt_cache_stop(&host.prompt_cache);
  }
  upstream_free(host.upstream);
  tally_free(&host.tally);
  bytes_free(&complaint);
  return exit_code;
}

int main(int argc, char** argv) {
  struct options options;
  switch (options_read(&options, argc, argv)) {
    case OPTIONS_RUN:
      break;
    case OPTIONS_ANSWERED:
      return 0;
    case OPTIONS_BAD:
      return EXIT_BAD_OPTIONS;
  }
  log_set_verbose(options.verbose);
  sigset_t ends;
  block_signals(&ends);
  int ending_fd = eventfd(0, EFD_CLOEXEC);
  if (ending_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    fprintf(stderr, "demo-host: the system gives no event descriptor, or curl does not start\n");
    return 1;
  }
  int exit_code = run(&options, ending_fd, &ends);
  curl_global_cleanup();
  close(ending_fd);
  return exit_code;
}
