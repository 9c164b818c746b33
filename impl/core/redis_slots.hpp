// Which server of a cluster has which keys.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/redis_reply.hpp"
#include "core/redis_url.hpp"
#include "core/result.hpp"

namespace satchel::core {

constexpr std::size_t kRedisSlots = 16'384;

// Of the part of the key between the first { and the next }, if there is something; else of all.
std::uint16_t redis_slot(std::string_view key);

struct RedisSlotRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  RedisUrl master;
};

// What a server, reached at `asked`, answers to CLUSTER SLOTS.
Result<std::vector<RedisSlotRange>> read_cluster_slots(const RedisReply& reply,
                                                       const RedisUrl& asked);

// "MOVED 3999 127.0.0.1:6381" and "ASK …", answered by the server at `asked`.
struct RedisRedirect {
  bool ask = false;
  RedisUrl to;
};
std::optional<RedisRedirect> read_redirect(const RedisReply& reply, const RedisUrl& asked);

}  // namespace satchel::core
