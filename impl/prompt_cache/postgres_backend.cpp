#include "prompt_cache/postgres_backend.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/libpq.hpp"
#include "prompt_cache/postgres_address.hpp"
#include "prompt_cache/postgres_key.hpp"
#include "prompt_cache/postgres_pool.hpp"
#include "prompt_cache/postgres_server.hpp"
#include "prompt_cache/postgres_values.hpp"
#include "prompt_cache/postgres_writer.hpp"
#include "prompt_cache/retry_pause.hpp"

namespace satchel::prompt_cache {
namespace {

using Steady = PostgresConnection::Steady;

constexpr std::chrono::milliseconds kTick{1};  // 0 would be no limit

constexpr std::array<PostgresStatement, 1> kStatements = {
    {{"satchel_lookup",
      "SELECT prefix_hash, cumulative_token_count, ttl_tier, expires_at "
      "FROM prompt_cache_entries "
      "WHERE principal_id = $1::uuid AND virtual_model = $2::text"
      " AND tokenizer_version = $3::text AND prefix_hash = ANY ($4::bytea[])"
      " AND expires_at > $5::timestamptz"}}};

// Nothing that the library did not write so, or could have.
std::optional<Entry> entry_of(const PostgresRows& rows, int row, const PostgresClock& clock) {
  const std::string_view hash = rows.bytes(row, 0);
  const std::optional<std::int32_t> tokens = rows.int4(row, 1);
  const std::optional<Tier> tier = tier_from_name(rows.bytes(row, 2));
  const std::optional<std::int64_t> expires_at = rows.int8(row, 3);
  Entry entry;
  if (hash.size() != entry.hash.size() || !tokens || !tier || !expires_at) return std::nullopt;
  std::memcpy(entry.hash.data(), hash.data(), hash.size());
  entry.cumulative_token_count = static_cast<std::uint32_t>(std::max(*tokens, 0));
  entry.tier = *tier;
  entry.expires_at = clock.unix_ns(*expires_at);
  return entry;
}

// The database has another encoding, which lacks a character of the scope: no row is of it.
bool cannot_spell(const PostgresFailure& failure) {
  return failure.is("22021") || failure.is("22P05");
}

class PostgresBackend final : public IndexBackend {
 public:
  PostgresBackend(const core::LibPq& pq, PostgresAddress address, const PostgresConfig& config,
                  core::Clock& clock, core::Log& log)
      : lookup_timeout_(config.lookup_timeout_ms),
        server_(pq, std::move(address), config, clock, log),
        name_("the index in PostgreSQL at " + server_.address().shown),
        writer_(server_, config.keep_expired_ms),
        pool_(static_cast<std::size_t>(config.pool), std::chrono::milliseconds(config.pool_wait_ms),
              // The server gives up first, so that the connection stays of use.
              [this] { return server_.connect(kStatements, lookup_timeout_ * 4 / 5 + kTick); }) {}

  [[nodiscard]] const std::string& name() const override { return name_; }

  core::Result<std::vector<Entry>> find(const Scope& scope, std::span<const PrefixHash> candidates,
                                        std::int64_t live_after) override {
    const Steady::time_point until = Steady::now() + lookup_timeout_;
    if (!fits_table(scope)) return std::vector<Entry>();  // no row is of such a scope
    for (std::size_t failures = 0;; ++failures) {
      core::Result<PostgresPool::Lease> lease = pool_.borrow(until, failures > 0);
      if (!lease) return lease.take_error();
      const std::array<PostgresStep, 1> steps = {
          lookup_step(scope, candidates, server_.clock().now(live_after))};
      const PostgresConnection::Answer answer = (*lease)->run(steps, until);
      const PostgresFailure& failure = answer.failure;
      if (!failure.failed) return entries_of(answer.rows.front());
      if (cannot_spell(failure)) return std::vector<Entry>();
      const bool another_may_do = failure.wants_new_connection();
      if (another_may_do) {
        lease->drop();
        server_.doubt();
      }
      const Steady::time_point next = Steady::now() + retry_pause(failures);
      if (!another_may_do || failure.timeout || next >= until) return error_of(failure);
      std::this_thread::sleep_until(next);
    }
  }

  Written write(std::span<const PendingCommit* const> commits) override {
    return writer_.write(commits);
  }
  Swept sweep() override { return writer_.sweep(); }
  core::Result<void> clear() override { return writer_.clear(); }

 private:
  static PostgresStep lookup_step(const Scope& scope, std::span<const PrefixHash> candidates,
                                  PostgresClock::ServerTime live_after) {
    const core::Uuid principal = principal_uuid(scope.principal);
    PostgresArray hashes(PostgresType::kBytea);
    for (const PrefixHash& hash : candidates) {
      hashes.add({reinterpret_cast<const char*>(hash.data()), hash.size()});
    }
    return {PostgresStep::Kind::kPrepared,
            "satchel_lookup",
            nullptr,
            {std::string(principal.begin(), principal.end()), scope.model, scope.tokenizer_version,
             hashes.encoded(), postgres_int8(live_after)}};
  }

  std::vector<Entry> entries_of(const PostgresRows& rows) {
    std::vector<Entry> entries;
    for (int row = 0; row < rows.size(); ++row) {
      if (std::optional<Entry> entry = entry_of(rows, row, server_.clock())) {
        entries.push_back(*entry);
      }
    }
    return entries;
  }

  static core::Error error_of(const PostgresFailure& failure) {
    const bool late = failure.timeout || failure.is("57014");
    return {late ? core::Status::kTimeout : core::Status::kIo, failure.message};
  }

  const std::chrono::milliseconds lookup_timeout_;
  PostgresServer server_;
  const std::string name_;
  PostgresWriter writer_;
  PostgresPool pool_;
};

}  // namespace

core::Result<void> check_postgres_config(const PostgresConfig& config) {
  core::Result<const core::LibPq*> pq = core::libpq();
  if (!pq) return pq.take_error();
  core::Result<PostgresAddress> address = read_postgres_address(**pq, config.url);
  if (!address) return address.take_error();
  return core::Ok{};
}

std::unique_ptr<IndexBackend> make_postgres_backend(const PostgresConfig& config,
                                                    core::Clock& clock, core::Log& log) {
  const core::LibPq& pq = *core::libpq().value();
  PostgresAddress address = std::move(read_postgres_address(pq, config.url).value());
  return std::make_unique<PostgresBackend>(pq, std::move(address), config, clock, log);
}

}  // namespace satchel::prompt_cache
