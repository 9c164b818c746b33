#include "core/process_wide.hpp"

#include <pthread.h>

#include "core/sqlite_fork.hpp"

namespace satchel::core {
namespace {

constinit std::mutex making;

// In this order: what is being made may be on the point of asking for SQLite's mutexes.
void before_fork() {
  making.lock();
  hold_sqlite();
}

void after_fork() {
  release_sqlite();
  making.unlock();
}

// While the library is loaded: later, a fork could fall between the lock and the registration.
[[maybe_unused]] const int registered = pthread_atfork(before_fork, after_fork, after_fork);

}  // namespace

std::mutex& making_mutex() { return making; }

}  // namespace satchel::core
