#include "prompt_cache/redis_health.hpp"

namespace satchel::prompt_cache {
namespace {

constexpr std::int64_t kQuietRounds = 2;

}  // namespace

void RedisHealth::failed(const std::string& message) {
  quiet_rounds_ = 0;
  worked_ = false;
  complaint_.say(message);
}

void RedisHealth::settle(const std::string& message) {
  if (!worked_) return;
  if (++quiet_rounds_ >= kQuietRounds) complaint_.over(message);
}

}  // namespace satchel::prompt_cache
