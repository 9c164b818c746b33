#include "core/json_tape.hpp"

#include <algorithm>
#include <cstring>

#include "core/json_string.hpp"

namespace satchel::core {

std::size_t JsonValue::end() const {
  const JsonToken& token = tape_->tokens()[index_];
  switch (token.kind()) {
    case JsonKind::kArray:
    case JsonKind::kObject:
      return tape_->tokens()[index_ + token.length()].at + std::size_t{1};
    case JsonKind::kPlain:
    case JsonKind::kEscaped:
    case JsonKind::kUncanonical:
      return std::size_t{token.at} + token.length() + 2;
    default:
      return std::size_t{token.at} + token.length();
  }
}

std::string_view JsonValue::raw() const { return tape_->source().substr(begin(), end() - begin()); }

std::string_view JsonValue::text(std::string& storage) const {
  const JsonToken& token = tape_->tokens()[index_];
  const std::string_view inside = tape_->source().substr(token.at + std::size_t{1}, token.length());
  if (token.kind() == JsonKind::kPlain) return inside;
  storage.clear();
  json_unescape(inside, storage);
  return storage;
}

std::size_t JsonValue::text_length() const {
  const std::size_t inside = tape_->tokens()[index_].length();
  if (kind() == JsonKind::kPlain) return inside;
  const auto& shrinks = tape_->shrinks_;
  const auto found = std::lower_bound(
      shrinks.begin(), shrinks.end(), index_,
      [](const auto& shrink, std::uint32_t token) { return shrink.token < token; });
  return inside - found->bytes;
}

bool JsonValue::text_equals(std::string_view expected) const {
  if (!is_string()) return false;
  const JsonToken& token = tape_->tokens()[index_];
  if (token.kind() == JsonKind::kPlain) {
    return std::string_view(tape_->source().data() + token.at + 1, token.length()) == expected;
  }
  std::string storage;
  return text(storage) == expected;
}

bool JsonValue::as_u64(std::uint64_t* value) const {
  if (!exists() || kind() != JsonKind::kInteger || raw().front() == '-') return false;
  std::uint64_t sum = 0;
  for (const char digit : raw()) sum = sum * 10 + static_cast<std::uint64_t>(digit - '0');
  *value = sum;
  return true;
}

JsonValue JsonValue::member(std::string_view name) const {
  JsonValue found;
  if (!is_object()) return found;
  for (JsonCursor cursor(*this); cursor.valid(); cursor.next()) {
    if (cursor.key().text_equals(name)) found = cursor.value();
  }
  return found;
}

}  // namespace satchel::core
