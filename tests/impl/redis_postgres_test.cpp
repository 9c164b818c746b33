// Redis in front of PostgreSQL, both real: the conformance suite, and each of the two away.
#include "index_conformance.hpp"
#include "postgres_server.hpp"
#include "prompt_cache/make_index.hpp"
#include "redis_server.hpp"

namespace satchel::prompt_cache {
namespace {

Config configuration(const core::RedisServer& redis, int database) {
  core::RealPostgres& postgres = core::RealPostgres::shared();
  Config config;
  config.index.kind = "redis";
  config.index.postgres.url = postgres.url(postgres.new_database());
  config.index.postgres.pool = 4;
  config.index.postgres.lookup_timeout_ms = 10'000;
  config.index.postgres.connect_timeout_ms = 10'000;
  config.index.postgres.pool_wait_ms = 10'000;
  config.index.redis.urls = {redis.url() + '/' + std::to_string(database)};
  config.index.redis.timeout_ms = 10'000;
  return config;
}

struct RedisAndPostgres {
  static constexpr std::uint32_t kMostTokens = 2'147'483'647;  // int4
  static constexpr bool kTextOnly = true;

  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    static core::RedisServer server({"--databases", "100"});
    static int database = 0;
    return make_index(configuration(server, ++database), nullptr, clock, log);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(RedisAndPostgres, IndexConformance, RedisAndPostgres);

class RedisAndPostgresFaultTest : public testing::Test {
 protected:
  // By the real clock: PostgreSQL sweeps and Redis expires by theirs.
  static std::int64_t now() { return core::system_clock().unix_ns(); }
  static Entry entry(std::uint64_t n) { return entry_number(n, now() + 300 * kSecond); }
  // An error is no answer.
  bool finds(std::uint64_t n) {
    const auto found = index_->lookup(some_scope(), std::vector{hash_number(n)}, now());
    return found && *found && (**found).cumulative_token_count == 1000 + n;
  }

  CapturedLog log_;
  core::RealPostgres& postgres_ = core::RealPostgres::shared();
  core::RedisServer redis_;
  const Config config_ = configuration(redis_, 0);
  std::shared_ptr<Index> index_ = make_index(config_, nullptr, core::system_clock(), log_);
};

TEST_F(RedisAndPostgresFaultTest, EitherAnswersWithoutTheOther) {
  ASSERT_TRUE(index_->commit(writing({entry(1)})));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  postgres_.kill();
  EXPECT_TRUE(finds(1)) << "Redis has it";
  ASSERT_TRUE(index_->commit(writing({entry(2)})));
  postgres_.start();
  ASSERT_TRUE(index_->flush(60 * kSecond));
  redis_.kill();
  EXPECT_TRUE(eventually([&] { return finds(1) && finds(2); })) << "PostgreSQL has them";
  ASSERT_TRUE(index_->commit(writing({entry(3)})));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  EXPECT_TRUE(finds(3));
  redis_.start();
  EXPECT_TRUE(eventually(
      [&] { return finds(1) && finds(2) && finds(3) && redis_.ask({"DBSIZE"}).integer == 3; }));
  EXPECT_EQ(index_->counts().entries_dropped, 0U);
}

TEST_F(RedisAndPostgresFaultTest, RefreshesReachPostgresWhenTheIndexIsClosed) {
  ASSERT_TRUE(index_->commit(writing({entry(1)})));
  ASSERT_TRUE(index_->flush(60 * kSecond));
  const std::int64_t later = now() + 3000 * kSecond;
  ASSERT_TRUE(index_->commit(refreshing(hash_number(1), later)));
  index_.reset();
  redis_.ask({"FLUSHALL"});
  index_ = make_index(config_, nullptr, core::system_clock(), log_);
  const auto found = index_->lookup(some_scope(), std::vector{hash_number(1)}, later - kSecond);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((**found).cumulative_token_count, 1001U);
}

}  // namespace
}  // namespace satchel::prompt_cache
