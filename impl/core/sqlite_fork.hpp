// A fork while another thread is inside SQLite leaves SQLite's global mutexes locked in the child
// for ever. Taken around the fork, they are free on both sides of it.
#pragma once

namespace satchel::core {

// From now on. Again does nothing.
void keep_sqlite_usable_after_fork();

// Around a fork, under making_mutex(): by process_wide.cpp alone.
void hold_sqlite();
void release_sqlite();

}  // namespace satchel::core
