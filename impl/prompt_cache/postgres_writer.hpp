// What the index writes into the table, on a connection of its own: commits, batch by batch, and
// the sweep.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/result.hpp"
#include "prompt_cache/index_backend.hpp"
#include "prompt_cache/postgres_server.hpp"

namespace satchel::prompt_cache {

// One thread.
class PostgresWriter {
 public:
  PostgresWriter(PostgresServer& server, std::int64_t keep_expired_ms)
      : server_(server), keep_expired_ms_(keep_expired_ms) {}

  IndexBackend::Written write(std::span<const PendingCommit* const> commits);
  IndexBackend::Swept sweep();
  core::Result<void> clear();

 private:
  core::Result<void> connect();
  PostgresConnection::Answer run(std::span<const PostgresStep> steps);

  PostgresServer& server_;
  const std::int64_t keep_expired_ms_;
  std::unique_ptr<PostgresConnection> connection_;
};

}  // namespace satchel::prompt_cache
