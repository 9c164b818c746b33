// Marks the threads that the library runs itself. A host that closes a handle from a callback on
// such a thread would make the thread wait for its own end; the ABI refuses that.
#pragma once

#include <csignal>

namespace satchel::core {

// While one lives, threads that are started take no signals: those are the host's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// Put one on the stack of the thread's function.
class LibraryThread {
 public:
  LibraryThread() { flag() = true; }
  LibraryThread(const LibraryThread&) = delete;
  LibraryThread& operator=(const LibraryThread&) = delete;
  ~LibraryThread() { flag() = false; }

  static bool here() { return flag(); }

 private:
  static bool& flag() {
    static thread_local bool library_thread = false;
    return library_thread;
  }
};

}  // namespace satchel::core
