#include "prompt_cache/postgres_values.hpp"

#include "core/text.hpp"

namespace satchel::prompt_cache {
namespace {

template <class Unsigned>
std::string big_endian(Unsigned value) {
  std::string bytes(sizeof value, '\0');
  for (std::size_t i = sizeof value; i-- > 0; value = static_cast<Unsigned>(value >> 8U)) {
    bytes[i] = static_cast<char>(value & 0xffU);
  }
  return bytes;
}

template <class Unsigned>
std::optional<Unsigned> read_big_endian(std::string_view bytes) {
  if (bytes.size() != sizeof(Unsigned)) return std::nullopt;
  Unsigned value = 0;
  for (const char byte : bytes) {
    value = static_cast<Unsigned>(value << 8U | static_cast<unsigned char>(byte));
  }
  return value;
}

}  // namespace

std::string postgres_int4(std::int32_t value) {
  return big_endian(static_cast<std::uint32_t>(value));
}

std::string postgres_int8(std::int64_t value) {
  return big_endian(static_cast<std::uint64_t>(value));
}

std::optional<std::int32_t> read_postgres_int4(std::string_view bytes) {
  const auto value = read_big_endian<std::uint32_t>(bytes);
  if (!value) return std::nullopt;
  return static_cast<std::int32_t>(*value);
}

std::optional<std::int64_t> read_postgres_int8(std::string_view bytes) {
  const auto value = read_big_endian<std::uint64_t>(bytes);
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

void PostgresArray::add(std::string_view element) {
  ++count_;
  elements_ += postgres_int4(static_cast<std::int32_t>(element.size()));
  elements_ += element;
}

std::string PostgresArray::encoded() const {
  const std::int32_t dimensions = count_ > 0 ? 1 : 0;
  std::string text = postgres_int4(dimensions) + postgres_int4(0) +  // no nulls
                     postgres_int4(static_cast<std::int32_t>(type_));
  if (dimensions == 0) return text;
  return text + postgres_int4(count_) + postgres_int4(1) + elements_;  // counted from 1
}

std::uint64_t PostgresRows::touched() const {
  return core::parse_rust_u64(pq_->cmd_tuples(result_)).value_or(0);
}

}  // namespace satchel::prompt_cache
