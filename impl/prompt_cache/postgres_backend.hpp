// The index in PostgreSQL, shared by any number of hosts.
#pragma once

#include <memory>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/index_backend.hpp"

namespace satchel::prompt_cache {

// kConfig: the connection string cannot be used. kIo: libpq cannot be loaded.
core::Result<void> check_postgres_config(const PostgresConfig& config);

// Connects by itself, and again when the server was away. `config` has been checked, `clock` and
// `log` must outlive it.
std::unique_ptr<IndexBackend> make_postgres_backend(const PostgresConfig& config,
                                                    core::Clock& clock, core::Log& log);

}  // namespace satchel::prompt_cache
