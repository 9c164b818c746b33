#include "prompt_cache/make_index.hpp"

#include <utility>

#include "prompt_cache/memory_index.hpp"
#if SATCHEL_WITH_POSTGRES
#include "prompt_cache/postgres_backend.hpp"
#endif
#include "prompt_cache/queued_index.hpp"
#ifdef SATCHEL_WITH_REDIS
#include "prompt_cache/redis_backend.hpp"
#endif
#include "prompt_cache/sqlite_index.hpp"

namespace satchel::prompt_cache {

std::shared_ptr<Index> make_index(const Config& config, std::unique_ptr<IndexBackend> host_index,
                                  core::Clock& clock, core::Log& log) {
  const std::int64_t sweep_interval_ns = config.index.sweep_interval_ms * core::kNanosPerMilli;
  const std::int64_t commit_deadline_ns = config.commit_deadline_ms * core::kNanosPerMilli;
  QueuedIndexOptions queue;
  queue.commit_deadline_ns = commit_deadline_ns;
  queue.sweep_interval_ns = sweep_interval_ns;
  if (host_index != nullptr) {
    return make_queued_index(std::move(host_index), queue, clock, log);
  }
  if (config.index.kind == "sqlite") {
    SqliteIndexOptions options;
    options.path = config.index.path;
    options.max_bytes = static_cast<std::uint64_t>(config.index.max_bytes);
    options.sweep_interval_ns = sweep_interval_ns;
    options.commit_deadline_ns = commit_deadline_ns;
    return make_sqlite_index(options, clock, log);
  }
#if SATCHEL_WITH_POSTGRES
  if (config.index.kind == "postgres") {
    return make_queued_index(make_postgres_backend(config.index.postgres, clock, log), queue, clock,
                             log);
  }
#ifdef SATCHEL_WITH_REDIS
  if (config.index.kind == "redis") {
    return make_queued_index(
        make_redis_backend(config.index.redis,
                           make_postgres_backend(config.index.postgres, clock, log), clock, log),
        queue, clock, log);
  }
#endif
#endif
  MemoryIndexOptions options;
  options.max_entries = static_cast<std::size_t>(config.index.max_entries);
  options.sweep_interval_ns = sweep_interval_ns;
  return make_memory_index(options, clock, log);
}

}  // namespace satchel::prompt_cache
