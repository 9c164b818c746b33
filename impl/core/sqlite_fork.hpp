// A fork while another thread is inside SQLite leaves SQLite's global mutexes locked in the child
// for ever. Taken around the fork, they are free on both sides of it.
#pragma once

namespace satchel::core {

// Once for the process; again does nothing.
void keep_sqlite_usable_after_fork();

}  // namespace satchel::core
