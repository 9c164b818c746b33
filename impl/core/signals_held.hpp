// While one lives, the calling thread takes no signal, threads that are started take none, and a
// SIGPIPE from a connection that the other side closed is taken away: the host never sees it.
// For pieces of work that do not wait; signals come late by as long as one lives.
#pragma once

#include <csignal>
#include <ctime>

namespace satchel::core {

class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigfillset(&held);
    // Faults go to the host's handler of crashes at once.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
      sigdelset(&held, fault);
    }
    pthread_sigmask(SIG_BLOCK, &held, &before_);
    already_pending_ = pipe_pending();
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() {
    if (!already_pending_ && pipe_pending()) {
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      const timespec at_once{};
      sigtimedwait(&pipe, nullptr, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  static bool pipe_pending() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
  }

  sigset_t before_{};
  bool already_pending_ = false;
};

}  // namespace satchel::core
