// What a Redis server answers, and the reader that makes it of bytes: hiredis parses, sizes and
// nesting are bounded here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace satchel::core {

struct RedisReply {
  enum class Kind : std::uint8_t { kNil, kText, kStatus, kError, kInteger, kArray };
  Kind kind = Kind::kNil;
  std::string text;  // of kText, kStatus and kError
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;

  [[nodiscard]] bool is_error() const { return kind == Kind::kError; }
};

class RedisReplyReader {
 public:
  // `max_bytes`: of all replies between two calls of reset().
  explicit RedisReplyReader(std::size_t max_bytes);
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;
  ~RedisReplyReader();

  // Before the answers to another pipeline.
  void reset();
  // True: `bytes` were taken. Else they are no reply, or too much of one, and the reader is done.
  Result<void> feed(std::string_view bytes);
  // The next whole reply is in `out`, or false: more bytes are needed.
  Result<bool> next(RedisReply& out);
  // Bytes that belong to no reply taken by next().
  [[nodiscard]] bool has_rest() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace satchel::core
