#include "core/sqlite_fork.hpp"

#include <sched.h>
#include <sqlite3.h>

#include <array>
#include <cstddef>

#include "core/process_wide.hpp"

namespace satchel::core {
namespace {

constexpr std::array kStaticMutexes = {
    SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_MEM,  SQLITE_MUTEX_STATIC_OPEN,
    SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM,
    SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_VFS2, SQLITE_MUTEX_STATIC_VFS3};

std::array<sqlite3_mutex*, kStaticMutexes.size()> mutexes{};
std::size_t held_around_fork = 0;  // all of them or none; under making_mutex()

// SQLite is one for all copies of this library in a process, and none of its mutexes can be taken
// twice: the first copy takes them for all, and leaves a VFS of this name for the others to find.
bool first_of_all_copies() {
  constexpr const char* kMark = "satchel holds SQLite around fork";
  static constinit sqlite3_vfs mark{};
  const sqlite3_vfs* base = sqlite3_vfs_find("unix");
  sqlite3_mutex* mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP3);
  if (base == nullptr || mutex == nullptr) return false;
  sqlite3_mutex_enter(mutex);
  bool first = sqlite3_vfs_find(kMark) == nullptr;
  if (first) {
    mark = *base;
    mark.pNext = nullptr;
    mark.zName = kMark;
    first = sqlite3_vfs_register(&mark, 0) == SQLITE_OK;
  }
  sqlite3_mutex_leave(mutex);
  return first;
}

constinit ProcessWide<bool> kept([] {
  if (sqlite3_threadsafe() == 0 || !first_of_all_copies()) return false;
  for (std::size_t i = 0; i < kStaticMutexes.size(); ++i) {
    mutexes[i] = sqlite3_mutex_alloc(kStaticMutexes[i]);
    if (mutexes[i] == nullptr) return false;
  }
  held_around_fork = mutexes.size();
  return true;
});

void release_first(std::size_t count) {
  while (count > 0) sqlite3_mutex_leave(mutexes[--count]);
}

}  // namespace

void keep_sqlite_usable_after_fork() { kept.get(); }

// SQLite's own order among them is its affair: whoever finds one taken lets go of all and begins
// again, so that no order can close a circle.
void hold_sqlite() {
  for (std::size_t taken = 0; taken < held_around_fork;) {
    if (sqlite3_mutex_try(mutexes[taken]) == SQLITE_OK) {
      ++taken;
    } else {
      release_first(taken);
      taken = 0;
      sched_yield();
    }
  }
}

void release_sqlite() { release_first(held_around_fork); }

}  // namespace satchel::core
