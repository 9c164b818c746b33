#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Cuts "HOST:PORT" in two, in place. */
static bool split(char* text, char** host, char** port) {
  char* colon = strrchr(text, ':');
  if (colon == NULL || colon == text || colon[1] == '\0') return false;
  if (colon[1 + strspn(colon + 1, "0123456789")] != '\0' || strlen(colon + 1) > 5 ||
      atoi(colon + 1) > 65535) {
    return false;
  }
  *colon = '\0';
  *port = colon + 1;
  *host = text;
  if (**host == '[') {
    if (colon[-1] != ']') return false;
    colon[-1] = '\0';
    ++*host;
  } else if (strchr(*host, ':') != NULL) {
    return false; /* an IPv6 address without brackets */
  }
  return **host != '\0';
}

static int listen_at(const struct addrinfo* address) {
  int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static void name_address(int fd, struct bytes* address) {
  struct sockaddr_storage taken = {0};
  socklen_t len = sizeof taken;
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getsockname(fd, (struct sockaddr*)&taken, &len) != 0 ||
      getnameinfo((struct sockaddr*)&taken, len, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  bytes_print(address, taken.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int listener_open(const char* host_port, struct bytes* address, struct bytes* complaint) {
  char* text = strdup(host_port);
  char* host = NULL;
  char* port = NULL;
  if (text == NULL || !split(text, &host, &port)) {
    bytes_print(complaint, "it has not the form HOST:PORT");
    free(text);
    return -1;
  }
  struct addrinfo wish = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo* found = NULL;
  int fd = -1;
  int failure = getaddrinfo(host, port, &wish, &found);
  if (failure != 0) {
    bytes_print(complaint, "%s", gai_strerror(failure));
  } else {
    for (struct addrinfo* a = found; a != NULL && fd < 0; a = a->ai_next) fd = listen_at(a);
    if (fd < 0) bytes_print(complaint, "%s", strerror(errno));
    freeaddrinfo(found);
  }
  free(text);
  if (fd >= 0) name_address(fd, address);
  return fd;
}
