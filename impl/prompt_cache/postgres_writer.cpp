#include "prompt_cache/postgres_writer.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "prompt_cache/postgres_batch.hpp"
#include "prompt_cache/postgres_key.hpp"
#include "prompt_cache/postgres_values.hpp"

namespace satchel::prompt_cache {
namespace {

using Outcome = IndexBackend::Outcome;
using Steady = PostgresConnection::Steady;

// Nothing of a batch takes that long, unless somebody holds a lock or the server is away.
constexpr auto kPatience = std::chrono::seconds(9);
constexpr auto kStatementTimeout = std::chrono::seconds(8);
constexpr auto kLifetime = std::chrono::minutes(10);
constexpr std::uint64_t kSweepRows = 1'000;  // the statement's LIMIT
// The lock under which the reference sweeps, so that only one of all does.
constexpr std::int64_t kSweepLock = 0x4457504352455445;

constexpr std::array<PostgresStatement, 3> kStatements = {{
    {"satchel_refresh",
     // Rows are locked in the order of the arrays, as the upsert locks them: processes that share
     // entries wait for each other, and never in a circle.
     "WITH locked AS MATERIALIZED ("
     "SELECT r.* FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[])"
     " WITH ORDINALITY"
     " AS r(principal_id, virtual_model, tokenizer_version, prefix_hash, expires_at, place)"
     " JOIN prompt_cache_entries e ON e.principal_id = r.principal_id"
     "  AND e.virtual_model = r.virtual_model AND e.tokenizer_version = r.tokenizer_version"
     "  AND e.prefix_hash = r.prefix_hash"
     " ORDER BY r.place FOR UPDATE OF e) "
     "UPDATE prompt_cache_entries e SET expires_at = l.expires_at FROM locked l "
     "WHERE e.principal_id = l.principal_id AND e.virtual_model = l.virtual_model"
     " AND e.tokenizer_version = l.tokenizer_version AND e.prefix_hash = l.prefix_hash"},
    {"satchel_upsert",
     "INSERT INTO prompt_cache_entries (principal_id, virtual_model, tokenizer_version,"
     " prefix_hash, cumulative_token_count, ttl_tier, expires_at) "
     "SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::int4[],"
     " $6::text[], $7::timestamptz[]) "
     "ON CONFLICT (principal_id, virtual_model, tokenizer_version, prefix_hash) DO UPDATE "
     "SET cumulative_token_count = EXCLUDED.cumulative_token_count,"
     " ttl_tier = EXCLUDED.ttl_tier, expires_at = EXCLUDED.expires_at"},
    // By the key, not by ctid: the table may be partitioned. The limit is no parameter, or the plan
    // would be for far more rows and read the whole table. Rows that somebody is just extending are
    // left to them.
    {"satchel_sweep",
     "WITH expired AS MATERIALIZED ("
     "SELECT principal_id, virtual_model, tokenizer_version, prefix_hash"
     " FROM prompt_cache_entries"
     " WHERE (SELECT pg_try_advisory_xact_lock($1::bigint))"
     "  AND expires_at < now() - $2::bigint * interval '1 millisecond'"
     " ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED) "
     "DELETE FROM prompt_cache_entries e USING expired x "
     "WHERE e.principal_id = x.principal_id AND e.virtual_model = x.virtual_model"
     " AND e.tokenizer_version = x.tokenizer_version AND e.prefix_hash = x.prefix_hash"},
}};

core::Error error_of(const PostgresFailure& failure) {
  return {failure.timeout ? core::Status::kTimeout : core::Status::kIo, failure.message};
}

IndexBackend::Written not_written(Outcome outcome, core::Error why) {
  return {outcome, std::move(why), 0, 0};
}

// Never taken, however often it is tried: values that do not fit, constraints, limits.
bool is_about_the_data(const PostgresFailure& failure) {
  return failure.in_class("22") || failure.in_class("23") || failure.in_class("54");
}

}  // namespace

core::Result<void> PostgresWriter::connect() {
  const bool usable = connection_ != nullptr && connection_->alive() &&
                      Steady::now() - connection_->opened_at() < kLifetime;
  if (usable) return core::Ok{};
  connection_.reset();
  auto opened = server_.connect(kStatements, kStatementTimeout);
  if (!opened) return opened.take_error();
  connection_ = std::move(*opened);
  return core::Ok{};
}

PostgresConnection::Answer PostgresWriter::run(std::span<const PostgresStep> steps) {
  PostgresConnection::Answer answer = connection_->run(steps, Steady::now() + kPatience);
  if (answer.failure.failed && answer.failure.wants_new_connection()) {
    connection_.reset();
    server_.doubt();
  }
  return answer;
}

IndexBackend::Written PostgresWriter::write(std::span<const PendingCommit* const> commits) {
  const bool fit = std::all_of(commits.begin(), commits.end(), [](const PendingCommit* commit) {
    return fits_table(commit->scope);
  });
  if (!fit) {
    return not_written(
        Outcome::kRefused,
        {core::Status::kIo, "the name of a model is too long or no text that PostgreSQL takes"});
  }
  if (core::Result<void> connected = connect(); !connected) {
    return not_written(Outcome::kAgain, connected.take_error());
  }
  const PostgresBatch batch(commits);
  std::vector<PostgresStep> steps;
  if (batch.has_refreshes()) {
    steps.push_back({PostgresStep::Kind::kPrepared, "satchel_refresh", nullptr,
                     batch.refreshes(server_.clock())});
  }
  // Each a transaction of its own, for the same reason; trying either again repairs it.
  if (batch.has_refreshes() && batch.has_upserts()) steps.push_back({PostgresStep::Kind::kCommit});
  if (batch.has_upserts()) {
    steps.push_back(
        {PostgresStep::Kind::kPrepared, "satchel_upsert", nullptr, batch.upserts(server_.clock())});
  }
  const PostgresConnection::Answer answer = run(steps);
  if (answer.failure.failed) {
    const bool never = !answer.failure.lost && is_about_the_data(answer.failure);
    return not_written(never ? Outcome::kRefused : Outcome::kAgain, error_of(answer.failure));
  }
  IndexBackend::Written done;
  done.written = batch.written();
  done.refreshed = batch.refreshed_in_upserts();
  if (batch.has_refreshes()) done.refreshed += answer.rows.front().touched();
  return done;
}

IndexBackend::Swept PostgresWriter::sweep() {
  if (core::Result<void> connected = connect(); !connected) return {connected.take_error(), false};
  const std::array<PostgresStep, 1> steps = {
      PostgresStep{PostgresStep::Kind::kPrepared,
                   "satchel_sweep",
                   nullptr,
                   {postgres_int8(kSweepLock), postgres_int8(keep_expired_ms_)}}};
  const PostgresConnection::Answer answer = run(steps);
  if (answer.failure.failed) return {error_of(answer.failure), false};
  const std::uint64_t rows = answer.rows.front().touched();
  return {rows, rows == kSweepRows};
}

core::Result<void> PostgresWriter::clear() {
  if (core::Result<void> connected = connect(); !connected) return connected.take_error();
  const std::array<PostgresStep, 1> steps = {
      PostgresStep{PostgresStep::Kind::kOnce, "DELETE FROM prompt_cache_entries"}};
  const PostgresConnection::Answer answer = run(steps);
  if (answer.failure.failed) return error_of(answer.failure);
  return core::Ok{};
}

}  // namespace satchel::prompt_cache
