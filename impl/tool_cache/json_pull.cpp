#include "tool_cache/json_pull.hpp"

#include <simdjson.h>

#include "core/json_string.hpp"

namespace satchel::tool_cache {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether each \u of the inside of a string, whose escapes are well-formed, stands for a character:
// surrogates come in pairs, high before low.
bool surrogates_are_paired(std::string_view inside) {
  const char* const end = inside.data() + inside.size();
  bool after_high = false;  // the escape just before was a high surrogate without its low one
  for (std::size_t i = 0; i < inside.size(); ++i) {
    const bool is_unit = inside[i] == '\\' && inside[i + 1] == 'u';
    const int unit = is_unit ? core::json_code_unit(inside.data() + i + 2, end) : 0;
    if (after_high != core::is_low_surrogate(unit)) return false;
    after_high = core::is_high_surrogate(unit);
    if (inside[i] == '\\') i += is_unit ? 5 : 1;
  }
  return !after_high;
}

}  // namespace

bool JsonPull::fail(std::string_view expected) {
  if (error_.empty()) {
    error_.append("expected ").append(expected).append(" at byte ").append(std::to_string(at_));
    if (at_ >= text_.size()) error_ += ", where the text ends";
  }
  return false;
}

// The first byte of what comes next, or 0 at the end.
char JsonPull::peek_value() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
    ++at_;
  }
  return peek();
}

char JsonPull::open() {
  const char c = peek_value();
  if (c != '[' && c != '{') return 0;
  ++at_;
  return c;
}

bool JsonPull::next(char bracket, bool first, bool* more) {
  const char closing = bracket == '[' ? ']' : '}';
  const char c = peek_value();
  *more = c != closing;
  if (c == closing) {
    ++at_;
    return true;
  }
  if (first) return true;
  if (c != ',') return fail(bracket == '[' ? "',' or ']'" : "',' or '}'");
  ++at_;
  return peek_value() != closing || fail("a value after ','");
}

bool JsonPull::name(std::string* out) {
  if (!string(out)) return false;
  if (peek_value() != ':') return fail("':'");
  ++at_;
  return true;
}

bool JsonPull::string(std::string* out) {
  if (peek_value() != '"') return fail("a string");
  const std::size_t from = at_ + 1;
  if (!skip_string()) return false;
  const std::string_view inside = text_.substr(from, at_ - 1 - from);
  if (!simdjson::validate_utf8(inside.data(), inside.size())) return fail("UTF-8 before the end");
  out->clear();
  if (inside.find('\\') == std::string_view::npos) {
    out->assign(inside);
    return true;
  }
  if (!surrogates_are_paired(inside)) return fail("paired surrogates before the end");
  core::json_unescape(inside, *out);
  return true;
}

bool JsonPull::unsigned_integer(std::uint64_t* out) {
  if (!is_digit(peek_value())) return fail("an integer");
  const bool zero = peek() == '0';
  std::uint64_t value = 0;
  for (std::size_t from = at_; is_digit(peek()); ++at_) {
    const auto digit = static_cast<std::uint64_t>(peek() - '0');
    if ((zero && at_ > from) || __builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      return fail("an integer of 64 bits");
    }
  }
  if (peek() == '.' || peek() == 'e' || peek() == 'E') return fail("an integer");
  *out = value;
  return true;
}

bool JsonPull::end() { return peek_value() == 0 && at_ >= text_.size() ? true : fail("the end"); }

bool JsonPull::word(std::string_view expected) {
  if (text_.substr(at_, expected.size()) != expected) return fail("a value");
  at_ += expected.size();
  return true;
}

bool JsonPull::skip_escape() {
  ++at_;
  switch (peek()) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      ++at_;
      return true;
    case 'u':
      if (core::json_code_unit(text_.data() + at_ + 1, text_.data() + text_.size()) < 0) break;
      at_ += 5;
      return true;
    default:
      break;
  }
  return fail("an escape");
}

// From its quote on. Says nothing of UTF-8 and surrogates.
bool JsonPull::skip_string() {
  for (++at_; at_ < text_.size();) {
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c == '\\') {
      if (!skip_escape()) return false;
      continue;
    }
    if (c < 0x20) return fail("no control character");
    ++at_;
    if (c == '"') return true;
  }
  return fail("the end of a string");
}

bool JsonPull::skip_digits() {
  if (!is_digit(peek())) return fail("a digit");
  while (is_digit(peek())) ++at_;
  return true;
}

bool JsonPull::skip_number() {
  if (peek() == '-') ++at_;
  if (peek() == '0') {
    ++at_;
    if (is_digit(peek())) return fail("no digit after a leading 0");
  } else if (!skip_digits()) {
    return false;
  }
  if (peek() == '.') {
    ++at_;
    if (!skip_digits()) return false;
  }
  if (peek() != 'e' && peek() != 'E') return true;
  ++at_;
  if (peek() == '+' || peek() == '-') ++at_;
  return skip_digits();
}

bool JsonPull::skip(std::string_view* raw) {
  peek_value();
  const std::size_t from = at_;
  std::string open_brackets;  // on the heap, not the stack: nesting has no end
  bool first = false;         // of the innermost container
  do {
    if (!open_brackets.empty()) {
      bool more = false;
      if (!next(open_brackets.back(), first, &more)) return false;
      first = false;
      if (!more) {
        open_brackets.pop_back();
        continue;
      }
      if (open_brackets.back() == '{') {
        if (peek_value() != '"') return fail("a name");
        if (!skip_string()) return false;
        if (peek_value() != ':') return fail("':'");
        ++at_;
      }
    }
    const char c = peek_value();
    if (const char bracket = open(); bracket != 0) {
      open_brackets.push_back(bracket);
      first = true;
    } else if (c == '"') {
      if (!skip_string()) return false;
    } else if (c == '-' || is_digit(c)) {
      if (!skip_number()) return false;
    } else if (!word(c == 'n' ? "null" : c == 't' ? "true" : "false")) {
      return false;
    }
  } while (!open_brackets.empty());
  *raw = text_.substr(from, at_ - from);
  return true;
}

}  // namespace satchel::tool_cache
