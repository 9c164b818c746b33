// Redis servers of the test's own before a table in memory that stands for PostgreSQL.
#pragma once

#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "index_fixture.hpp"
#include "memory_backend.hpp"
#include "prompt_cache/redis_backend.hpp"
#include "prompt_cache/redis_value.hpp"
#include "redis_server.hpp"

namespace satchel::prompt_cache {

inline core::RedisOptions redis_options(std::vector<std::string> urls, bool cluster = false) {
  core::RedisOptions options;
  options.urls = std::move(urls);
  options.cluster = cluster;
  options.limits.timeout_ns = 20 * kSecond;  // however slow the machine is
  return options;
}

class RedisBackendTest : public testing::Test {
 protected:
  std::unique_ptr<IndexBackend> open(const core::RedisOptions& redis, core::Clock& clock,
                                     const RedisBackendOptions& options = {}) {
    auto client = core::Redis::make(redis);
    if (!client) throw std::runtime_error(client.error().message);
    return make_redis_backend(std::move(*client), std::make_unique<MemoryBackend>(table_), options,
                              clock, log_);
  }

  // What QueuedIndex does with one commit.
  static IndexBackend::Written write(IndexBackend& backend, Commit commit) {
    PendingCommit pending;
    pending.scope_id = scope_id(commit.scope);
    pending.scope = std::move(commit.scope);
    pending.writes = std::move(commit.writes);
    pending.refresh = commit.refresh;
    const PendingCommit* const one = &pending;
    return backend.write({&one, 1});
  }
  static bool done(const IndexBackend::Written& written) {
    return written.outcome == IndexBackend::Outcome::kDone;
  }

  // The deepest live one, as QueuedIndex chooses it.
  std::optional<Entry> look(IndexBackend& backend, const std::vector<PrefixHash>& candidates,
                            core::Clock* clock = nullptr, const Scope& scope = some_scope()) {
    const std::int64_t now = (clock != nullptr ? *clock : clock_).unix_ns();
    auto found = backend.find(scope, candidates, now);
    if (!found) {
      ADD_FAILURE() << found.error().message;
      return std::nullopt;
    }
    for (const PrefixHash& hash : candidates) {
      for (const Entry& entry : *found) {
        if (entry.hash == hash && now < entry.expires_at) return entry;
      }
    }
    return std::nullopt;
  }

  // True: the answer came without asking behind.
  bool redis_alone_finds(IndexBackend& backend, const PrefixHash& hash) {
    const int before = table_->finds;
    const bool found = look(backend, {hash}).has_value();
    return found && table_->finds == before;
  }

  [[nodiscard]] static std::string key_of(const PrefixHash& hash,
                                          const Scope& scope = some_scope()) {
    return redis_key(scope_id(scope), hash);
  }

  // Lets the log say that what was wrong is over.
  static void settle_some(IndexBackend& backend) {
    for (int i = 0; i < 3; ++i) backend.settle(false);
  }

  ManualClock clock_;
  CapturedLog log_;
  std::shared_ptr<MemoryTable> table_ = std::make_shared<MemoryTable>();
};

}  // namespace satchel::prompt_cache
