// A prepared statement of the store while it is used: bind, then run() or next() until it is false.
#pragma once

#include <cstdint>
#include <string_view>

#include "cascade/transcript_store.hpp"

namespace satchel::cascade {

class TranscriptStore::Row {
 public:
  // `sql` must be a literal: its address is the statement's key.
  Row(TranscriptStore& store, const char* sql);
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;
  ~Row() {
    if (statement_ != nullptr) statement_->reset();
  }

  Row& bind(int at, std::int64_t value) {
    if (statement_ != nullptr) statement_->bind(at, value);
    return *this;
  }
  Row& bind(int at, std::uint64_t value) { return bind(at, static_cast<std::int64_t>(value)); }
  // Bytes are not copied: they must live until the row goes.
  Row& bind(int at, std::string_view bytes);

  bool next();
  void run() { next(); }

  [[nodiscard]] std::int64_t number(int column) const { return statement_->integer(column); }
  [[nodiscard]] bool is_null(int column) const { return statement_->is_null(column); }
  // Until the next row.
  [[nodiscard]] std::string_view bytes(int column) const {
    const std::span<const std::uint8_t> bytes = statement_->bytes(column);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  TranscriptStore& store_;
  const char* sql_;
  core::SqliteStatement* statement_;
};

}  // namespace satchel::cascade
