// Redis in front of another backend, PostgreSQL as a rule, which keeps the truth.
//
// Lookups ask Redis; the deepest live match that it has is the answer. Without one the backend
// behind is asked, and what it has is put into Redis. So a match may be shallower than the one
// behind, where Redis has lost the deeper one to eviction or where somebody wrote past Redis: that
// costs tokens counted as created again, never tokens counted as read that were not. Asking behind
// for the deeper candidates as well would ask it on nearly every request, since a conversation that
// grows has always some that nobody has seen.
//
// Writes go behind first, then to Redis: Redis never has what was refused behind. Refreshes go to
// Redis at once and behind later, merged.
//
// Where Redis could not be told of a change, this process does not believe it in what concerns that
// entry, until it was told; after too many of those it believes nothing that Redis has from before.
// Values carry the time of their writing, and an older one never replaces a newer one. What
// remains, for other processes and after a failover to a server that had missed the last changes,
// is an older value of the same prefix under the same tokenizer version: it was true once, counts
// the same tokens, and ends at its own expiry. An entry that was forgotten may come back to other
// processes that way, for as long as it had to live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/redis.hpp"
#include "core/result.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/index_backend.hpp"

namespace satchel::prompt_cache {

struct RedisBackendOptions {
  std::int64_t refresh_interval_ns = 3 * core::kNanosPerSecond;
  std::size_t max_refreshes = 100'000;  // that wait; then writing waits for the backend behind
  std::size_t max_debts = 50'000;       // entries that Redis could not be told of
};

// kConfig: a URL that cannot be used; the message quotes no secret.
core::Result<void> check_redis_config(const RedisConfig& config);

// Connects by itself, and again when the server was away. `config` has been checked.
std::unique_ptr<IndexBackend> make_redis_backend(const RedisConfig& config,
                                                 std::unique_ptr<IndexBackend> behind,
                                                 core::Clock& clock, core::Log& log);

// `clock` and `log` must outlive it.
std::unique_ptr<IndexBackend> make_redis_backend(std::unique_ptr<core::Redis> redis,
                                                 std::unique_ptr<IndexBackend> behind,
                                                 const RedisBackendOptions& options,
                                                 core::Clock& clock, core::Log& log);

}  // namespace satchel::prompt_cache
