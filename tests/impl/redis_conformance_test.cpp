// The conformance suite on Redis, one server and a cluster.
#include "index_conformance.hpp"
#include "memory_backend.hpp"
#include "prompt_cache/queued_index.hpp"
#include "prompt_cache/redis_backend.hpp"
#include "redis_server.hpp"

namespace satchel::prompt_cache {
namespace {

std::unique_ptr<core::Redis> redis_at(std::vector<std::string> urls, bool cluster) {
  core::RedisOptions options;
  options.urls = std::move(urls);
  options.cluster = cluster;
  options.limits.timeout_ns = 20 * kSecond;  // however slow the machine is
  auto redis = core::Redis::make(options);
  if (!redis) throw std::runtime_error(redis.error().message);
  return std::move(*redis);
}

std::shared_ptr<Index> index_of(std::unique_ptr<core::Redis> redis,
                                std::unique_ptr<IndexBackend> behind, core::Clock& clock,
                                core::Log& log) {
  return make_queued_index(make_redis_backend(std::move(redis), std::move(behind), {}, clock, log),
                           {}, clock, log);
}

// Two indexes of a test are of two databases.
struct OneServerBeforeMemory {
  static constexpr std::uint32_t kMostTokens = 2'147'483'647;  // as PostgreSQL, which is behind

  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    static const core::RedisServer server;
    static int database = 0;
    database = (database + 1) % 16;
    auto redis = redis_at({server.url() + '/' + std::to_string(database)}, false);
    EXPECT_TRUE(redis->run("", std::vector<core::RedisCommand>{{"FLUSHDB"}}).ok());
    return index_of(std::move(redis),
                    std::make_unique<MemoryBackend>(std::make_shared<MemoryTable>()), clock, log);
  }
};

// Two indexes of a test are of two clusters.
struct ClusterBeforeMemory {
  static constexpr std::uint32_t kMostTokens = 2'147'483'647;

  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    static core::RedisCluster clusters[2];
    static int next = 0;
    core::RedisCluster& cluster = clusters[next++ % 2];
    auto redis = redis_at(cluster.urls(), true);
    EXPECT_TRUE(redis->remove_matching("*", 30 * kSecond).ok());
    return index_of(std::move(redis),
                    std::make_unique<MemoryBackend>(std::make_shared<MemoryTable>()), clock, log);
  }
};

using RedisMakers = testing::Types<OneServerBeforeMemory, ClusterBeforeMemory>;
INSTANTIATE_TYPED_TEST_SUITE_P(Redis, IndexConformance, RedisMakers);

}  // namespace
}  // namespace satchel::prompt_cache
