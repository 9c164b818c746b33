#include "core/redis_slots.hpp"

#include <string>
#include <utility>

namespace satchel::core {
namespace {

constexpr std::array<std::uint16_t, 256> crc_table() {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}

// CRC-16/XMODEM.
std::uint16_t crc16(std::string_view bytes) {
  static constexpr std::array<std::uint16_t, 256> kTable = crc_table();
  unsigned crc = 0;
  for (const char c : bytes) {
    crc = ((crc << 8) ^ kTable[((crc >> 8) ^ static_cast<unsigned char>(c)) & 0xff]) & 0xffff;
  }
  return static_cast<std::uint16_t>(crc);
}

Error not_understood() { return {Status::kIo, "a map of the cluster that is none"}; }

bool is_slot(const RedisReply& reply) {
  return reply.kind == RedisReply::Kind::kInteger && reply.integer >= 0 &&
         reply.integer < static_cast<std::int64_t>(kRedisSlots);
}

// [first, last, [host, port, …], replicas…]
Result<RedisSlotRange> read_range(const RedisReply& reply, const RedisUrl& asked) {
  const std::vector<RedisReply>& parts = reply.elements;
  if (parts.size() < 3 || !is_slot(parts[0]) || !is_slot(parts[1])) return not_understood();
  const std::vector<RedisReply>& node = parts[2].elements;
  if (node.size() < 2 || node[1].kind != RedisReply::Kind::kInteger) return not_understood();
  Result<RedisUrl> master =
      redis_url_of_node(node[0].text + ':' + std::to_string(node[1].integer), asked);
  if (!master) return master.take_error();
  return RedisSlotRange{static_cast<std::uint16_t>(parts[0].integer),
                        static_cast<std::uint16_t>(parts[1].integer), std::move(*master)};
}

}  // namespace

std::uint16_t redis_slot(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return crc16(key) % kRedisSlots;
}

Result<std::vector<RedisSlotRange>> read_cluster_slots(const RedisReply& reply,
                                                       const RedisUrl& asked) {
  if (reply.is_error()) return Error{Status::kConfig, reply.text};
  if (reply.kind != RedisReply::Kind::kArray) return not_understood();
  std::vector<RedisSlotRange> ranges;
  for (const RedisReply& part : reply.elements) {
    Result<RedisSlotRange> range = read_range(part, asked);
    if (!range) return range.take_error();
    ranges.push_back(std::move(*range));
  }
  return ranges;
}

std::optional<RedisRedirect> read_redirect(const RedisReply& reply, const RedisUrl& asked) {
  if (!reply.is_error()) return std::nullopt;
  const bool ask = reply.text.starts_with("ASK ");
  if (!ask && !reply.text.starts_with("MOVED ")) return std::nullopt;
  const std::string_view text = reply.text;
  Result<RedisUrl> to = redis_url_of_node(text.substr(text.rfind(' ') + 1), asked);
  if (!to) return std::nullopt;
  return RedisRedirect{ask, std::move(*to)};
}

}  // namespace satchel::core
