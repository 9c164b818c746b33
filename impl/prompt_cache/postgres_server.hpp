// Where connections come from that are ready for use: the table is there and of the right shape,
// statements are prepared, the server's clock is known.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/postgres_address.hpp"
#include "prompt_cache/postgres_clock.hpp"
#include "prompt_cache/postgres_connection.hpp"
#include "prompt_cache/postgres_schema.hpp"

namespace satchel::prompt_cache {

struct PostgresStatement {
  const char* name;
  const char* sql;
};

// Any thread.
class PostgresServer {
 public:
  using Steady = PostgresConnection::Steady;

  PostgresServer(const core::LibPq& pq, PostgresAddress address, const PostgresConfig& config,
                 core::Clock& clock, core::Log& log)
      : pq_(pq),
        address_(std::move(address)),
        conninfo_(config.url),
        patience_(std::chrono::milliseconds(config.connect_timeout_ms) *
                  static_cast<int>(address_.hosts)),
        clock_(clock),
        table_(log),
        log_(log) {}

  // Bounded by the connect timeout, but for the look-up of a host's name and the first look at a
  // table that must be made. The server ends what takes longer than `statement_timeout`.
  core::Result<std::unique_ptr<PostgresConnection>> connect(
      std::span<const PostgresStatement> statements, std::chrono::milliseconds statement_timeout);

  PostgresClock& clock() { return clock_; }
  // A connection was of no use: who answers next may be another server, and those that were passed
  // over for their silence may be back.
  void doubt() {
    clock_.expire();
    first_host_ = 0;
  }
  [[nodiscard]] const PostgresAddress& address() const { return address_; }

 private:
  core::Result<std::unique_ptr<PostgresConnection>> connect(
      const PostgresOrder& order, std::span<const PostgresStatement> statements,
      std::chrono::milliseconds statement_timeout);
  core::Result<void> measure_clock(PostgresConnection& connection);

  const core::LibPq& pq_;
  const PostgresAddress address_;
  const std::string conninfo_;
  const std::chrono::milliseconds patience_;
  std::atomic<std::size_t> first_host_{0};  // of the list, to be tried first; counts up
  PostgresClock clock_;
  PostgresTable table_;
  core::Log& log_;
};

}  // namespace satchel::prompt_cache
