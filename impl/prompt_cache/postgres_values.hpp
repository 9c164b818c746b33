// Parameters and columns in PostgreSQL's binary formats: nothing to quote, nothing to parse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/libpq.hpp"

namespace satchel::prompt_cache {

// The types of array elements, by their numbers in every server's catalogue.
enum class PostgresType : std::uint32_t {
  kBytea = 17,
  kInt4 = 23,
  kText = 25,
  kTimestamptz = 1184,
  kUuid = 2950,
};

std::string postgres_int4(std::int32_t value);
std::string postgres_int8(std::int64_t value);  // and a timestamptz
std::optional<std::int32_t> read_postgres_int4(std::string_view bytes);
std::optional<std::int64_t> read_postgres_int8(std::string_view bytes);

// An array of one dimension.
class PostgresArray {
 public:
  explicit PostgresArray(PostgresType type) : type_(type) {}
  void add(std::string_view element);
  [[nodiscard]] std::string encoded() const;

 private:
  PostgresType type_;
  std::int32_t count_ = 0;
  std::string elements_;
};

// The rows that a statement gave.
class PostgresRows {
 public:
  PostgresRows(const core::LibPq& pq, PGresult* result) : pq_(&pq), result_(result) {}
  PostgresRows(PostgresRows&& other) noexcept : pq_(other.pq_), result_(other.result_) {
    other.result_ = nullptr;
  }
  PostgresRows(const PostgresRows&) = delete;
  PostgresRows& operator=(const PostgresRows&) = delete;
  PostgresRows& operator=(PostgresRows&&) = delete;
  ~PostgresRows() { pq_->clear(result_); }

  [[nodiscard]] int size() const { return pq_->ntuples(result_); }
  // Empty for a null.
  [[nodiscard]] std::string_view bytes(int row, int column) const {
    return {pq_->getvalue(result_, row, column),
            static_cast<std::size_t>(pq_->getlength(result_, row, column))};
  }
  [[nodiscard]] std::optional<std::int32_t> int4(int row, int column) const {
    return read_postgres_int4(bytes(row, column));
  }
  [[nodiscard]] std::optional<std::int64_t> int8(int row, int column) const {
    return read_postgres_int8(bytes(row, column));
  }
  [[nodiscard]] bool boolean(int row, int column) const {
    return bytes(row, column) == std::string_view("\1", 1);
  }
  // How many rows an INSERT, UPDATE or DELETE touched.
  [[nodiscard]] std::uint64_t touched() const;

 private:
  const core::LibPq* pq_;
  PGresult* result_;
};

}  // namespace satchel::prompt_cache
