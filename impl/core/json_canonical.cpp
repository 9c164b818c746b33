#include "core/json_canonical.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/json_number.hpp"
#include "core/json_string.hpp"

namespace satchel::core {
namespace {

class StringSink {
 public:
  explicit StringSink(std::string& out) : out_(out) {}
  void put(char c) { out_.push_back(c); }
  void put(std::string_view bytes) { out_.append(bytes); }

 private:
  std::string& out_;
};

// Gathers small pieces, so that the hash is called once a page and not once a token; what is long
// already goes in from where it lies.
class HashSink {
 public:
  explicit HashSink(Sha256& hash) : hash_(hash) {}

  void put(char c) {
    page_[used_++] = c;
    if (used_ >= kPage) flush();
  }
  void put(std::string_view bytes) {
    if (bytes.size() >= kLong) {
      flush();
      hash_.update(bytes);
      length_ += bytes.size();
      return;
    }
    std::memcpy(page_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    if (used_ >= kPage) flush();
  }
  // To be called at the end; returns how much went in.
  std::size_t finish() {
    flush();
    return length_;
  }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kLong = 512;

  void flush() {
    hash_.update({page_.data(), used_});
    length_ += used_;
    used_ = 0;
  }

  Sha256& hash_;
  std::size_t length_ = 0;
  std::size_t used_ = 0;
  std::array<char, kPage + kLong> page_;  // never full: a short piece always fits behind kPage
};

std::uint64_t name_prefix(std::string_view source, const JsonToken& key) {
  const std::size_t from = key.at + std::size_t{1};
  const std::size_t length = key.length();
  std::uint64_t bytes = 0;
  if (from + 8 <= source.size()) {
    std::memcpy(&bytes, source.data() + from, 8);
    if constexpr (std::endian::native == std::endian::little) bytes = __builtin_bswap64(bytes);
    if (length < 8) bytes &= length == 0 ? 0 : ~std::uint64_t{0} << (8 * (8 - length));
    return bytes;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    bytes = bytes << 8 | (i < length ? static_cast<unsigned char>(source[from + i]) : 0U);
  }
  return bytes;
}

}  // namespace

void JsonCanonical::append(JsonValue value, std::string& out, std::string_view skip) {
  StringSink sink(out);
  write(value, sink, skip);
}

std::size_t JsonCanonical::hash(JsonValue value, Sha256& hash, std::string_view skip) {
  HashSink sink(hash);
  write(value, sink, skip);
  return sink.finish();
}

void JsonCanonical::shrink(std::size_t bytes) {
  if (members_.capacity() * sizeof(Member) + text_.capacity() + other_text_.capacity() <= bytes) {
    return;
  }
  // Not `= {}`: that assigns an empty list and keeps the memory.
  members_ = std::vector<Member>();
  text_ = std::string();
  other_text_ = std::string();
}

// Depth is bounded by the tape, so recursion is.
template <class Sink>
void JsonCanonical::write(JsonValue value, Sink& sink, std::string_view skip) {
  const JsonToken token = value.tape().tokens()[value.index()];
  const std::string_view source = value.tape().source();
  switch (token.kind()) {
    case JsonKind::kPlain:
    case JsonKind::kEscaped:
      sink.put({source.data() + token.at, token.length() + std::size_t{2}});
      break;
    case JsonKind::kNull:
    case JsonKind::kTrue:
    case JsonKind::kFalse:
    case JsonKind::kInteger:
      sink.put({source.data() + token.at, token.length()});
      break;
    case JsonKind::kNumber: {
      const std::string_view raw = value.raw();
      const char* at = raw.data();
      JsonNumber number;
      read_json_number(at, at + raw.size(), number);
      text_.clear();
      append_json_double(text_, number.value);
      sink.put(text_);
      break;
    }
    case JsonKind::kUncanonical:
      write_string(value, sink);
      break;
    case JsonKind::kArray: {
      sink.put('[');
      bool first = true;
      for (JsonCursor cursor(value); cursor.valid(); cursor.next()) {
        if (!first) sink.put(',');
        first = false;
        write(cursor.value(), sink, {});
      }
      sink.put(']');
      break;
    }
    case JsonKind::kObject:
      write_object(value, sink, skip);
      break;
    case JsonKind::kEnd:
      break;
  }
}

template <class Sink>
void JsonCanonical::write_string(JsonValue string, Sink& sink) {
  text_.clear();
  json_append_string(text_, string.text(other_text_));
  sink.put(text_);
}

template <class Sink>
void JsonCanonical::write_object(JsonValue object, Sink& sink, std::string_view skip) {
  const std::size_t from = members_.size();
  const JsonTape& tape = object.tape();
  if (!collect(object, skip)) sort(tape, from);
  const std::size_t to = members_.size();
  sink.put('{');
  for (std::size_t i = from; i < to; ++i) {
    const Member member = members_[i];  // a copy: nested objects grow the vector
    if (i != from) sink.put(',');
    write(JsonValue(&tape, member.key), sink, {});
    sink.put(':');
    write(JsonValue(&tape, member.value), sink, {});
  }
  sink.put('}');
  members_.resize(from);
}

// Adds the members of `object`. True where their names are ascending already, as they stand.
bool JsonCanonical::collect(JsonValue object, std::string_view skip) {
  bool ascending = true;
  const JsonTape& tape = object.tape();
  const std::size_t from = members_.size();
  for (JsonCursor cursor(object); cursor.valid(); cursor.next()) {
    const JsonValue key = cursor.key();
    if (!skip.empty() && key.text_equals(skip)) continue;
    const JsonToken& token = tape.tokens()[key.index()];
    // A name with escapes is compared by its text: prefix 0 and "not ascending" send it to sort().
    const bool plain = token.kind() == JsonKind::kPlain;
    const std::uint64_t prefix = plain ? name_prefix(tape.source(), token) : 0;
    if (!plain || (members_.size() > from && members_.back().prefix >= prefix)) ascending = false;
    members_.push_back({prefix, key.index(), cursor.value().index()});
  }
  return ascending;
}

// Sorts the members from `from` on by name and keeps the last of equal ones.
void JsonCanonical::sort(const JsonTape& tape, std::size_t from) {
  for (std::size_t i = from; i < members_.size(); ++i) {
    const JsonValue key(&tape, members_[i].key);
    if (key.kind() == JsonKind::kPlain) continue;
    const std::string_view text = key.text(text_);
    std::uint64_t prefix = 0;
    for (std::size_t b = 0; b < 8; ++b) {
      prefix = prefix << 8 | (b < text.size() ? static_cast<unsigned char>(text[b]) : 0U);
    }
    members_[i].prefix = prefix;
  }
  // Equal prefixes are compared in full: a name may be longer, or hold NUL bytes.
  const auto compare = [&](const Member& a, const Member& b) -> int {
    if (a.prefix != b.prefix) return a.prefix < b.prefix ? -1 : 1;
    const std::string_view left = JsonValue(&tape, a.key).text(text_);
    const std::string_view right = JsonValue(&tape, b.key).text(other_text_);
    return left.compare(right);
  };
  const auto begin = members_.begin() + static_cast<std::ptrdiff_t>(from);
  std::sort(begin, members_.end(), [&](const Member& a, const Member& b) {
    const int order = compare(a, b);
    return order != 0 ? order < 0 : a.key < b.key;
  });
  auto kept = begin;
  for (auto it = begin; it != members_.end(); ++it) {
    const auto next = it + 1;
    if (next != members_.end() && compare(*it, *next) == 0) continue;
    *kept++ = *it;
  }
  members_.erase(kept, members_.end());
}

}  // namespace satchel::core
