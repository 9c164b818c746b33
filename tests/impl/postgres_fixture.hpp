// What the tests of the index in PostgreSQL share: a place of their own on the shared server.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/libpq.hpp"
#include "index_fixture.hpp"
#include "postgres_server.hpp"
#include "prompt_cache/postgres_backend.hpp"
#include "prompt_cache/postgres_connection.hpp"
#include "prompt_cache/queued_index.hpp"

namespace satchel::prompt_cache {

inline PostgresConfig postgres_at(const std::string& url) {
  PostgresConfig config;
  config.url = url;
  config.pool = 4;
  config.lookup_timeout_ms = 10'000;  // tests that are about it set it
  config.connect_timeout_ms = 10'000;
  config.pool_wait_ms = 10'000;
  return config;
}

inline std::shared_ptr<Index> postgres_index(const PostgresConfig& config, core::Clock& clock,
                                             core::Log& log,
                                             const QueuedIndexOptions& options = {}) {
  return make_queued_index(make_postgres_backend(config, clock, log), options, clock, log);
}

// Somebody else's session: what it locks stays locked as long as it lives.
class OtherSession {
 public:
  OtherSession(const std::string& url, core::Log& log) {
    auto opened = PostgresConnection::open(*core::libpq().value(), url, soon(), log);
    if (opened) connection_ = std::move(*opened);
  }
  [[nodiscard]] bool open() const { return connection_ != nullptr; }
  bool run(const std::vector<const char*>& statements) {
    std::vector<PostgresStep> steps;
    for (const char* sql : statements) steps.push_back({PostgresStep::Kind::kOnce, sql});
    return open() && !connection_->run(steps, soon()).failure.failed;
  }

 private:
  static PostgresConnection::Steady::time_point soon() {
    return PostgresConnection::Steady::now() + std::chrono::seconds(60);
  }
  std::unique_ptr<PostgresConnection> connection_;
};

class PostgresTest : public testing::Test {
 protected:
  [[nodiscard]] std::shared_ptr<Index> open() { return postgres_index(config_, clock_, log_); }
  [[nodiscard]] std::string sql(const std::string& statements) const {
    return server_.sql(place_, statements);
  }
  // For what is set for a whole database.
  void move_to_own_database() {
    place_ = server_.new_database();
    config_.url = server_.url(place_);
  }
  static bool flush(Index& index) { return index.flush(60 * kSecond); }
  [[nodiscard]] std::int64_t now() { return clock_.unix_ns(); }
  [[nodiscard]] Entry live_entry(std::uint64_t n) { return entry_number(n, now() + 300 * kSecond); }
  // Whether the index can say, and says that the entry is there.
  bool finds(Index& index, std::uint64_t n, const Scope& scope = some_scope()) {
    const PrefixHash hash = hash_number(n);
    const auto found = index.lookup(scope, {&hash, 1}, now());
    return found.ok() && *found;
  }
  static bool answers(Index& index) {
    const PrefixHash hash = hash_number(0);
    return index.lookup(some_scope(), {&hash, 1}, 0).ok();
  }

  core::RealPostgres& server_ = core::RealPostgres::shared();
  std::string place_ = server_.new_schema();
  core::Clock& clock_ = core::system_clock();
  CapturedLog log_;
  PostgresConfig config_ = postgres_at(server_.url(place_));
};

}  // namespace satchel::prompt_cache
