#include "prompt_cache/postgres_server.hpp"

#include <array>
#include <utility>
#include <vector>

namespace satchel::prompt_cache {
namespace {

constexpr auto kTableTime = std::chrono::seconds(10);

std::string set_statement_timeout(std::chrono::milliseconds limit) {
  return "SET statement_timeout = " + std::to_string(limit.count());
}

core::Error error_of(const PostgresFailure& failure) {
  return {failure.timeout ? core::Status::kTimeout : core::Status::kIo, failure.message};
}

}  // namespace

core::Result<std::unique_ptr<PostgresConnection>> PostgresServer::connect(
    std::span<const PostgresStatement> statements, std::chrono::milliseconds statement_timeout) {
  std::size_t first = first_host_;
  auto opened = connect(address_.beginning_with(first), statements, statement_timeout);
  const bool silent = !opened && opened.error().status == core::Status::kTimeout;
  // Unless another thread, which had the same to say, has moved on already.
  if (silent) first_host_.compare_exchange_strong(first, first + 1);
  return opened;
}

core::Result<std::unique_ptr<PostgresConnection>> PostgresServer::connect(
    const PostgresOrder& order, std::span<const PostgresStatement> statements,
    std::chrono::milliseconds statement_timeout) {
  auto opened = PostgresConnection::open(pq_, conninfo_, Steady::now() + patience_, log_, order);
  if (!opened) return opened;
  PostgresConnection& connection = **opened;

  // The server gives up first, so that it says what it was that took so long.
  const std::string for_table = set_statement_timeout(kTableTime * 4 / 5);
  const std::array<PostgresStep, 1> first = {
      PostgresStep{PostgresStep::Kind::kOnce, for_table.c_str()}};
  PostgresConnection::Answer answer = connection.run(first, Steady::now() + patience_);
  if (answer.failure.failed) return error_of(answer.failure);
  if (core::Result<void> ready = table_.prepare(connection, kTableTime); !ready) {
    return ready.take_error();
  }
  if (clock_.due()) {
    if (core::Result<void> measured = measure_clock(connection); !measured) {
      return measured.take_error();
    }
  }
  const std::string for_use = set_statement_timeout(statement_timeout);
  std::vector<PostgresStep> steps = {
      {PostgresStep::Kind::kOnce, for_use.c_str()},
      {PostgresStep::Kind::kOnce, "SET default_transaction_isolation = 'read committed'"}};
  for (const PostgresStatement& statement : statements) {
    steps.push_back({PostgresStep::Kind::kPrepare, statement.sql, statement.name});
  }
  answer = connection.run(steps, Steady::now() + patience_);
  if (answer.failure.failed) return error_of(answer.failure);
  return opened;
}

core::Result<void> PostgresServer::measure_clock(PostgresConnection& connection) {
  const std::array<PostgresStep, 1> ask = {
      PostgresStep{PostgresStep::Kind::kOnce, "SELECT clock_timestamp()"}};
  const std::int64_t before = clock_.now_ns();
  const PostgresConnection::Answer answer = connection.run(ask, Steady::now() + patience_);
  const std::int64_t after = clock_.now_ns();
  if (answer.failure.failed) return error_of(answer.failure);
  const std::optional<std::int64_t> there = answer.rows[0].int8(0, 0);
  if (!there) return core::Error{core::Status::kIo, "the server has another form of timestamps"};
  clock_.measured(before, *there, after);
  return core::Ok{};
}

}  // namespace satchel::prompt_cache
