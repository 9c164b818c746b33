#include "core/sqlite_fork.hpp"

#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>

#include <array>
#include <cstddef>
#include <mutex>

namespace satchel::core {
namespace {

constexpr std::array kStaticMutexes = {
    SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_MEM,  SQLITE_MUTEX_STATIC_OPEN,
    SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM,
    SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_VFS2, SQLITE_MUTEX_STATIC_VFS3};

std::array<sqlite3_mutex*, kStaticMutexes.size()> mutexes{};

void release_first(std::size_t count) {
  while (count > 0) sqlite3_mutex_leave(mutexes[--count]);
}

// SQLite's own order among them is its affair: whoever finds one taken lets go of all and begins
// again, so that no order can close a circle.
void before_fork() {
  for (std::size_t taken = 0; taken < mutexes.size();) {
    if (sqlite3_mutex_try(mutexes[taken]) == SQLITE_OK) {
      ++taken;
    } else {
      release_first(taken);
      taken = 0;
      sched_yield();
    }
  }
}

void after_fork() { release_first(mutexes.size()); }

}  // namespace

void keep_sqlite_usable_after_fork() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (sqlite3_threadsafe() == 0) return;
    for (std::size_t i = 0; i < mutexes.size(); ++i) {
      mutexes[i] = sqlite3_mutex_alloc(kStaticMutexes[i]);
      if (mutexes[i] == nullptr) return;
    }
    pthread_atfork(before_fork, after_fork, after_fork);
  });
}

}  // namespace satchel::core
