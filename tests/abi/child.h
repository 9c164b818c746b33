/* A child process of a test program. */
#ifndef SATCHEL_TESTS_ABI_CHILD_H
#define SATCHEL_TESTS_ABI_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Runs `child` in a child process; it went well when it ends with a clean summary. */
static void in_child(void (*child)(void)) {
  int status = -1;
  pid_t pid = 0;
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    check_failures = 0;
    alarm(120); /* a child that hangs is a failure, not a hanging test */
    child();
    _exit(check_failures == 0 ? 0 : 1);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  if (!CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    fprintf(stderr, "  the child ended with wait status 0x%x\n", (unsigned)status);
  }
}

/* How often to fork while other threads are at work. The sanitizers' allocators do not free their
 * locks in a child: one that another thread held at the moment of the fork stays held there, and
 * the child waits for it for ever. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FORKS_BESIDE_THREADS(count) 0
#else
#define FORKS_BESIDE_THREADS(count) (count)
#endif

#endif
