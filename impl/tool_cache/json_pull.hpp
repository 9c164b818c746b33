// A JSON text read from front to back, as serde_json reads it into a struct rather than into a
// Value: what the struct does not name is passed over without a look inside. There a number may be
// beyond every double, a string need not be UTF-8, and nesting has no end; where a value is wanted
// it must be right. A meta file that the reference reads is one that we read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace satchel::tool_cache {

// Each call moves over what it names, white space before it included. False: the text does not go
// on like that; error() says what was expected where, and nothing more may be asked.
class JsonPull {
 public:
  explicit JsonPull(std::string_view text) : text_(text) {}

  // '[' or '{', or 0 for any other value, which is not moved over.
  char open();
  // The next member or element of the container opened by `bracket`: *more is false at its end,
  // which is moved over. `first`: nothing of it has been read yet.
  bool next(char bracket, bool first, bool* more);
  // A member's name with its colon.
  bool name(std::string* out);
  bool string(std::string* out);
  bool unsigned_integer(std::uint64_t* out);
  // Any value; *raw is how it stands there.
  bool skip(std::string_view* raw);
  // Nothing but white space follows.
  bool end();

  bool fail(std::string_view expected);
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char peek_value();
  bool word(std::string_view expected);
  bool skip_string();
  bool skip_escape();
  bool skip_number();
  bool skip_digits();

  std::string_view text_;
  std::size_t at_ = 0;
  std::string error_;
};

}  // namespace satchel::tool_cache
