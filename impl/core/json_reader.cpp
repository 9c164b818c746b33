#include <simdjson.h>

#include <array>
#include <bit>

#include "core/json_block.hpp"
#include "core/json_number.hpp"
#include "core/json_string.hpp"
#include "core/json_tape.hpp"

namespace satchel::core {
namespace {

// Whether \uXXXX is how canonical JSON spells this character: a control without a short escape, in
// lowercase digits.
bool canonical_unicode_escape(int unit, const char* digits) {
  if (unit >= 0x20 || unit == '\b' || unit == '\t' || unit == '\n' || unit == '\f' ||
      unit == '\r') {
    return false;
  }
  return digits[3] < 'A' || digits[3] > 'F';
}

// simdjson chooses its implementation at the first use, and where there is no memory for that it
// ends the process: done when the library is loaded, not inside a request.
[[maybe_unused]] const bool simdjson_is_ready = simdjson::validate_utf8("", 0);

}  // namespace

// One pass over the text. Fails by setting `error_` and returning false; the place is `at_`.
class JsonReader {
 public:
  JsonReader(JsonTape& tape, std::string_view source)
      : tokens_(tape.tokens_),
        shrinks_(tape.shrinks_),
        begin_(source.data()),
        at_(begin_),
        end_(begin_ + source.size()) {}

  bool document() {
    skip_space();
    if (!value()) return false;
    while (depth_ > 0) {
      if (!child()) return false;
    }
    skip_space();
    if (at_ != end_) return fail("text after the document");
    // One check for the whole text: most bodies are ASCII and never come here.
    if (not_ascii_ && !simdjson::validate_utf8(begin_, static_cast<std::size_t>(end_ - begin_))) {
      return fail("invalid UTF-8");
    }
    return true;
  }

  [[nodiscard]] const char* error() const { return error_; }
  [[nodiscard]] std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }

 private:
  bool fail(const char* what) {
    error_ = what;
    return false;
  }

  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }

  void push(JsonKind kind, const char* from, std::size_t length) {
    tokens_.push_back(
        {static_cast<std::uint32_t>(from - begin_),
         static_cast<std::uint32_t>(kind) << 28 | static_cast<std::uint32_t>(length)});
  }

  // The next child of the innermost container, or its end.
  bool child() {
    skip_space();
    if (at_ == end_) return fail("the text ends inside an array or object");
    const bool object = tokens_[open_[depth_ - 1]].kind() == JsonKind::kObject;
    if (*at_ == (object ? '}' : ']')) {
      if (after_comma_) return fail("a comma before the end of an array or object");
      close();
      return true;
    }
    if (!fresh_ && !after_comma_) {
      if (*at_ != ',') return fail("expected a comma or the end of an array or object");
      ++at_;
      after_comma_ = true;
      return true;
    }
    after_comma_ = false;
    fresh_ = false;
    if (object) {
      if (*at_ != '"') return fail("expected a member name");
      if (!string()) return false;
      skip_space();
      if (at_ == end_ || *at_ != ':') return fail("expected a colon");
      ++at_;
      skip_space();
    }
    return value();
  }

  bool value() {
    if (at_ == end_) return fail("expected a value");
    switch (*at_) {
      case '"':
        return string();
      case '{':
        return open(JsonKind::kObject);
      case '[':
        return open(JsonKind::kArray);
      case 't':
        return literal("true", JsonKind::kTrue);
      case 'f':
        return literal("false", JsonKind::kFalse);
      case 'n':
        return literal("null", JsonKind::kNull);
      default:
        return number();
    }
  }

  bool open(JsonKind kind) {
    if (depth_ == kJsonMaxDepth) return fail("nested too deeply");
    open_[depth_++] = static_cast<std::uint32_t>(tokens_.size());
    push(kind, at_, 0);
    ++at_;
    fresh_ = true;
    return true;
  }

  void close() {
    const std::uint32_t opener = open_[--depth_];
    tokens_[opener].bits |= static_cast<std::uint32_t>(tokens_.size()) - opener;
    push(JsonKind::kEnd, at_, 1);
    ++at_;
    fresh_ = false;
  }

  bool literal(std::string_view word, JsonKind kind) {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, word.size()) !=
        word) {
      return fail("expected a value");
    }
    push(kind, at_, word.size());
    at_ += word.size();
    return true;
  }

  bool number() {
    const char* from = at_;
    if (*at_ != '-' && (*at_ < '0' || *at_ > '9')) return fail("expected a value");
    JsonNumber number;
    if (const char* error = read_json_number(at_, end_, number)) return fail(error);
    push(number.integer ? JsonKind::kInteger : JsonKind::kNumber, from,
         static_cast<std::size_t>(at_ - from));
    return true;
  }

  bool string() {
    const char* quote = at_++;
    JsonKind kind = JsonKind::kPlain;
    shrink_ = 0;
    if (end_ - at_ >= kProbe) {  // names and short values end here
      const unsigned stop = probe(at_);
      if (stop != 0 && at_[std::countr_zero(stop)] == '"') {
        return end_string(quote, at_ + std::countr_zero(stop), kind);
      }
    }
    while (end_ - at_ >= kBlock) {
      const BlockMasks masks = classify_block(at_);
      std::uint64_t stop = masks.quote | masks.control;
      bool crosses = false;
      if (masks.backslash != 0) {
        const std::uint64_t escaped = escaped_bytes(masks.backslash, crosses);
        stop = (masks.quote & ~escaped) | masks.control;
        const std::uint64_t inside = stop == 0 ? ~std::uint64_t{0} : (stop & -stop) - 1;
        const std::uint64_t rare = escaped & inside & ~short_escapes(at_);
        if (rare != 0) {  // \u, \/ or what is no escape: one at a time
          const std::uint64_t before = (rare & -rare) - 1;
          shrink_ += static_cast<std::uint32_t>(std::popcount(escaped & before));
          if (kind == JsonKind::kPlain) kind = JsonKind::kEscaped;
          not_ascii_ |= masks.high;
          at_ += std::countr_zero(rare) - 1;
          if (!escape(kind)) return false;
          continue;
        }
        if ((masks.backslash & inside) != 0 && kind == JsonKind::kPlain) kind = JsonKind::kEscaped;
        shrink_ += static_cast<std::uint32_t>(std::popcount(escaped & inside));
      }
      if (stop == 0) {
        not_ascii_ |= masks.high;
        // An escape that crosses the block is looked at again with its backslash.
        at_ += crosses ? kBlock - 1 : kBlock;
        continue;
      }
      not_ascii_ |= masks.high & ((stop & -stop) - 1);
      at_ += std::countr_zero(stop);
      if (*at_ != '"') return fail("control character in a string");
      return end_string(quote, at_, kind);
    }
    return string_tail(quote, kind);
  }

  // The last bytes of the text, where no whole block is left to look at.
  bool string_tail(const char* quote, JsonKind kind) {
    for (;;) {
      while (at_ < end_ && *at_ != '"' && *at_ != '\\' &&
             static_cast<unsigned char>(*at_) >= 0x20) {
        not_ascii_ |= static_cast<unsigned char>(*at_) & 0x80U;
        ++at_;
      }
      if (at_ == end_) return fail("the text ends inside a string");
      if (*at_ == '"') return end_string(quote, at_, kind);
      if (!escape(kind)) return false;
    }
  }

  bool end_string(const char* quote, const char* end, JsonKind kind) {
    if (kind != JsonKind::kPlain) {
      shrinks_.push_back({static_cast<std::uint32_t>(tokens_.size()), shrink_});
    }
    push(kind, quote, static_cast<std::size_t>(end - quote - 1));
    at_ = end + 1;
    return true;
  }

  // A backslash or a control character, and what follows it.
  bool escape(JsonKind& kind) {
    if (*at_ != '\\') return fail("control character in a string");
    if (kind == JsonKind::kPlain) kind = JsonKind::kEscaped;
    if (end_ - at_ < 2) return fail("the text ends inside a string");
    switch (at_[1]) {
      case '"':
      case '\\':
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        at_ += 2;
        ++shrink_;
        return true;
      case '/':
        kind = JsonKind::kUncanonical;
        at_ += 2;
        ++shrink_;
        return true;
      case 'u':
        return unicode_escape(kind);
      default:
        return fail("invalid escape");
    }
  }

  bool unicode_escape(JsonKind& kind) {
    const int unit = json_code_unit(at_ + 2, end_);
    if (unit < 0) return fail("invalid escape");
    if (!canonical_unicode_escape(unit, at_ + 2)) kind = JsonKind::kUncanonical;
    if (is_low_surrogate(unit)) return fail("lone surrogate");
    if (is_high_surrogate(unit)) {
      const bool pair = end_ - at_ >= 12 && at_[6] == '\\' && at_[7] == 'u' &&
                        is_low_surrogate(json_code_unit(at_ + 8, end_));
      if (!pair) return fail("lone surrogate");
      at_ += 12;
      shrink_ += 8;  // a pair is four bytes of UTF-8
      return true;
    }
    at_ += 6;
    shrink_ += unit < 0x80 ? 5 : unit < 0x800 ? 4 : 3;
    return true;
  }

  std::vector<JsonToken>& tokens_;
  std::vector<JsonTape::Shrink>& shrinks_;
  const char* begin_;
  const char* at_;
  const char* end_;
  const char* error_ = nullptr;
  std::uint64_t not_ascii_ = 0;
  std::uint32_t shrink_ = 0;  // of the string at hand
  bool fresh_ = false;        // nothing of the innermost container was read yet
  bool after_comma_ = false;  // a comma was read, its value was not
  int depth_ = 0;
  std::array<std::uint32_t, kJsonMaxDepth> open_{};
};

Result<void> JsonTape::read(std::string_view source) {
  tokens_.clear();
  shrinks_.clear();
  source_ = source;
  if (source.size() > kJsonMaxBytes) {
    return Error{Status::kLimit, "JSON text of " + std::to_string(source.size()) +
                                     " bytes is longer than " + std::to_string(kJsonMaxBytes)};
  }
  JsonReader reader(*this, source);
  if (reader.document()) return Ok{};
  tokens_.clear();
  return Error{Status::kJson,
               std::string(reader.error()) + " at byte " + std::to_string(reader.offset())};
}

void JsonTape::shrink(std::size_t bytes) {
  if (tokens_.capacity() * sizeof(JsonToken) + shrinks_.capacity() * sizeof(Shrink) <= bytes)
    return;
  source_ = {};
  // Not `= {}`: that assigns an empty list and keeps the memory.
  tokens_ = std::vector<JsonToken>();
  shrinks_ = std::vector<Shrink>();
}

}  // namespace satchel::core
