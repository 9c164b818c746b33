// A JSON text as a tape: one 8-byte token a value, in document order, each knowing where it stands
// in the source.
//
// Why not a DOM: what we do with a body is to hash its canonical form and to edit a few bytes of
// it in place. Both need the place of every value, the text of every number as the client wrote it
// (serde_json's doubles are not the nearest ones), and whether a string is already canonical, so
// that it can be hashed where it lies. A DOM has thrown all three away. The tape costs 8 bytes a
// value and is reused from call to call.
//
// Accepts exactly what serde_json 1.0.149 accepts for a Value: nesting to 127, UTF-8 without lone
// surrogates, numbers that are finite as serde_json reads them, nothing after the document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace satchel::core {

enum class JsonKind : std::uint8_t {
  kNull = 0,
  kTrue,
  kFalse,
  kInteger,      // fits u64 or i64, is not -0: canonical as it stands
  kNumber,       // any other number: read as a double
  kPlain,        // string without escapes: canonical, and its own text
  kEscaped,      // string with escapes, canonical as it stands
  kUncanonical,  // string with escapes spelled otherwise
  kArray,
  kObject,
  kEnd,  // closes an array or object
};

struct JsonToken {
  std::uint32_t at;    // offset in the source: first byte, for kEnd the bracket
  std::uint32_t bits;  // kind << 28 | length of a scalar, or distance to the kEnd of a container
  static constexpr std::uint32_t kLengthMask = 0x0fffffff;

  [[nodiscard]] JsonKind kind() const { return static_cast<JsonKind>(bits >> 28); }
  [[nodiscard]] std::uint32_t length() const { return bits & kLengthMask; }
};

// A value: an index into a tape. Cheap to copy; the tape must outlive it.
class JsonTape;

class JsonValue {
 public:
  JsonValue() = default;
  JsonValue(const JsonTape* tape, std::uint32_t index) : tape_(tape), index_(index) {}

  // False for a value that was not found; all else may be asked only of values that exist.
  [[nodiscard]] bool exists() const { return tape_ != nullptr; }
  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] const JsonTape& tape() const { return *tape_; }
  [[nodiscard]] JsonKind kind() const;
  [[nodiscard]] bool is_object() const { return exists() && kind() == JsonKind::kObject; }
  [[nodiscard]] bool is_array() const { return exists() && kind() == JsonKind::kArray; }
  [[nodiscard]] bool is_string() const;
  [[nodiscard]] bool is_null() const { return exists() && kind() == JsonKind::kNull; }
  [[nodiscard]] bool is_true() const { return exists() && kind() == JsonKind::kTrue; }
  // Where the value stands in the source: [begin, end).
  [[nodiscard]] std::size_t begin() const;
  [[nodiscard]] std::size_t end() const;
  // The value as written in the source.
  [[nodiscard]] std::string_view raw() const;
  // A string's text; `storage` is used when escapes must be resolved.
  std::string_view text(std::string& storage) const;
  // The length of that text.
  [[nodiscard]] std::size_t text_length() const;
  [[nodiscard]] bool text_equals(std::string_view expected) const;
  // An integer written without sign, point or exponent that fits 64 bits; as serde's as_u64.
  bool as_u64(std::uint64_t* value) const;
  // The last member of this name (as serde_json keeps it); not found for what is no object.
  [[nodiscard]] JsonValue member(std::string_view name) const;

 private:
  friend class JsonCursor;
  const JsonTape* tape_ = nullptr;
  std::uint32_t index_ = 0;
};

// for (auto c = JsonCursor(array); c.valid(); c.next()) use(c.value());
// for (auto c = JsonCursor(object); c.valid(); c.next()) use(c.key(), c.value());
class JsonCursor {
 public:
  explicit JsonCursor(JsonValue container);
  [[nodiscard]] bool valid() const;
  void next();
  [[nodiscard]] JsonValue key() const;  // a string; only of an object's cursor
  [[nodiscard]] JsonValue value() const;

 private:
  const JsonTape* tape_;
  std::uint32_t index_;
  bool object_;
};

class JsonTape {
 public:
  // Reads `source`, which must outlive the tape's use and be shorter than 2^28 bytes. On error the
  // message names the offset, and the tape is empty. Keeps its memory from call to call.
  Result<void> read(std::string_view source);

  [[nodiscard]] JsonValue root() const { return {this, 0}; }
  [[nodiscard]] std::string_view source() const { return source_; }
  [[nodiscard]] const std::vector<JsonToken>& tokens() const { return tokens_; }
  // Gives memory beyond `bytes` back; for pools.
  void shrink(std::size_t bytes);

 private:
  friend class JsonReader;
  friend class JsonValue;
  // How much shorter a string's text is than its source, for strings with escapes.
  struct Shrink {
    std::uint32_t token;
    std::uint32_t bytes;
  };
  std::string_view source_;
  std::vector<JsonToken> tokens_;
  std::vector<Shrink> shrinks_;  // ascending by token
};

// The longest text a tape can describe.
constexpr std::size_t kJsonMaxBytes = (std::size_t{1} << 28) - 1;
constexpr int kJsonMaxDepth = 127;

// Asked once or more for every value of a body, hence inline.

inline JsonKind JsonValue::kind() const { return tape_->tokens()[index_].kind(); }

inline bool JsonValue::is_string() const {
  if (!exists()) return false;
  const JsonKind k = kind();
  return k == JsonKind::kPlain || k == JsonKind::kEscaped || k == JsonKind::kUncanonical;
}

inline std::size_t JsonValue::begin() const { return tape_->tokens()[index_].at; }

inline JsonCursor::JsonCursor(JsonValue container)
    : tape_(container.tape_), index_(container.index_ + 1), object_(container.is_object()) {}

inline bool JsonCursor::valid() const { return tape_->tokens()[index_].kind() != JsonKind::kEnd; }

inline JsonValue JsonCursor::key() const { return {tape_, index_}; }

inline JsonValue JsonCursor::value() const { return {tape_, object_ ? index_ + 1 : index_}; }

inline void JsonCursor::next() {
  const std::uint32_t value = object_ ? index_ + 1 : index_;
  const JsonToken& token = tape_->tokens()[value];
  const bool container = token.kind() == JsonKind::kArray || token.kind() == JsonKind::kObject;
  index_ = value + (container ? token.length() + 1 : 1);
}

}  // namespace satchel::core
