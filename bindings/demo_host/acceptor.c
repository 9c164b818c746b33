#include "acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

void acceptor_prepare(struct acceptor* acceptor, int listen_fd, unsigned limit) {
  memset(acceptor, 0, sizeof *acceptor);
  acceptor->listen_fd = listen_fd;
  acceptor->limit = limit;
  pthread_mutex_init(&acceptor->mutex, NULL);
  pthread_cond_init(&acceptor->changed, NULL);
}

/* Waits until there is room, and takes it. False when the host stops. */
static bool take_room(struct acceptor* acceptor) {
  pthread_mutex_lock(&acceptor->mutex);
  while (acceptor->open >= acceptor->limit && !acceptor->stopping) {
    pthread_cond_wait(&acceptor->changed, &acceptor->mutex);
  }
  bool taken = !acceptor->stopping;
  if (taken) ++acceptor->open;
  pthread_mutex_unlock(&acceptor->mutex);
  return taken;
}

/* Without descriptors or memory, accept fails until somebody else gives some back. */
static void wait_for_resources(int error) {
  log_line("warn accept: %s", strerror(error));
  const struct timespec pause = {0, 100 * 1000 * 1000};
  nanosleep(&pause, NULL);
}

static void* accept_clients(void* context) {
  struct acceptor* acceptor = context;
  while (take_room(acceptor)) {
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(acceptor->listen_fd, (struct sockaddr*)&address, &len, SOCK_CLOEXEC);
    if (fd < 0) {
      int error = errno;
      acceptor_release(acceptor);
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        wait_for_resources(error);
      }
    } else if (MHD_add_connection(acceptor->daemon, fd, (struct sockaddr*)&address, len) !=
               MHD_YES) {
      acceptor_release(acceptor); /* libmicrohttpd has closed it */
    }
  }
  return NULL;
}

bool acceptor_start(struct acceptor* acceptor, struct MHD_Daemon* daemon) {
  acceptor->daemon = daemon;
  if (pthread_create(&acceptor->thread, NULL, accept_clients, acceptor) == 0) return true;
  acceptor->daemon = NULL;
  return false;
}

void acceptor_release(struct acceptor* acceptor) {
  pthread_mutex_lock(&acceptor->mutex);
  --acceptor->open;
  pthread_cond_signal(&acceptor->changed);
  pthread_mutex_unlock(&acceptor->mutex);
}

void acceptor_stop(struct acceptor* acceptor) {
  if (acceptor->daemon == NULL) return;
  pthread_mutex_lock(&acceptor->mutex);
  acceptor->stopping = true;
  pthread_cond_signal(&acceptor->changed);
  pthread_mutex_unlock(&acceptor->mutex);
  shutdown(acceptor->listen_fd, SHUT_RDWR); /* accept returns */
  pthread_join(acceptor->thread, NULL);
  acceptor->daemon = NULL;
}

void acceptor_free(struct acceptor* acceptor) {
  close(acceptor->listen_fd);
  pthread_cond_destroy(&acceptor->changed);
  pthread_mutex_destroy(&acceptor->mutex);
}
