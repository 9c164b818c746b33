#include "cascade/transcript_line.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "cascade/transcript_string.hpp"
#include "core/json_block.hpp"
#include "core/json_string.hpp"
#include "core/lowercase.hpp"

namespace satchel::cascade {
namespace {

// The line feed that ends the line fits nowhere in JSON as it is read here: no look at one byte
// goes beyond it, and no bound needs to be checked.

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether what stands between the quotes of a string, right for serde's eyes that ignore it, is
// text: no half of a surrogate pair alone.
bool surrogates_paired(std::string_view inside) {
  const char* const end = inside.data() + inside.size();
  for (const char* at = inside.data(); at < end; ++at) {
    if (*at != '\\') continue;
    ++at;
    if (*at != 'u') continue;
    const int unit = core::json_code_unit(at + 1, end);
    at += 4;
    if (core::is_low_surrogate(unit)) return false;
    if (!core::is_high_surrogate(unit)) continue;
    const bool pair = end - at > 6 && at[1] == '\\' && at[2] == 'u' &&
                      core::is_low_surrogate(core::json_code_unit(at + 3, end));
    if (!pair) return false;
    at += 6;
  }
  return true;
}

bool is_plain(std::string_view inside) {
  for (const char c : inside) {
    if (c == '\\' || static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

}  // namespace

const TranscriptLine* TranscriptLineReader::read(const char*& at, const char* end) {
  at_ = at;
  line_ = {};
  const bool counts = document();
  // From where reading stopped, which is before the line feed, or behind it never.
  const auto* feed =
      static_cast<const char*>(std::memchr(at_, '\n', static_cast<std::size_t>(end - at_)));
  at = feed == nullptr ? end : feed + 1;
  return counts ? &line_ : nullptr;
}

bool TranscriptLineReader::document() {
  skip_space();
  if (!record()) return false;
  skip_space();
  return *at_ == '\n';
}

void TranscriptLineReader::skip_space() {
  while (*at_ == ' ' || *at_ == '\t' || *at_ == '\r') ++at_;
}

// The members of an object that serde reads, one after the other.
template <class Member>
bool TranscriptLineReader::object(Member member) {
  ++at_;
  skip_space();
  if (*at_ == '}') {
    ++at_;
    return true;
  }
  for (;;) {
    std::string_view key;
    if (!text(key, name_)) return false;
    skip_space();
    if (*at_ != ':') return false;
    ++at_;
    skip_space();
    if (!member(key)) return false;
    skip_space();
    if (*at_ == '}') {
      ++at_;
      return true;
    }
    if (*at_ != ',') return false;
    ++at_;
    skip_space();
  }
}

// As many elements as there are, `element` being told which one it is.
template <class Element>
bool TranscriptLineReader::array(Element element) {
  ++at_;
  skip_space();
  if (*at_ == ']') {
    ++at_;
    return true;
  }
  for (unsigned i = 0;; ++i) {
    if (!element(i)) return false;
    skip_space();
    if (*at_ == ']') {
      ++at_;
      return true;
    }
    if (*at_ != ',') return false;
    ++at_;
    skip_space();
  }
}

bool TranscriptLineReader::record() {
  bool has_time = false;
  bool has_message = false;
  bool has_reset = false;
  const auto once = [](bool& seen) { return !std::exchange(seen, true); };
  const auto time = [&] { return once(has_time) && timestamp(line_.time); };
  const auto the_message = [&] { return once(has_message) && message(); };
  const auto reset = [&] { return once(has_reset) && optional_timestamp(); };
  bool right = false;
  if (*at_ == '{') {
    right = object([&](std::string_view key) {
      if (key == "message") return the_message();
      if (key == "timestamp") return time();
      if (key == "requestId") return request_id();
      if (key == "usageLimitResetTime") return reset();
      return ignored();
    });
  } else if (*at_ == '[') {
    right = array([&](unsigned i) {
      return i == 0 ? time() : i == 1 ? the_message() : i == 2 ? reset() : false;
    });
  }
  return right && has_time && has_message;
}

bool TranscriptLineReader::message() {
  bool has_usage = false;
  bool has_model = false;
  bool has_id = false;
  const auto once = [](bool& seen) { return !std::exchange(seen, true); };
  const auto the_usage = [&] { return once(has_usage) && usage(); };
  const auto model = [&] { return once(has_model) && optional_text(line_.model, model_); };
  const auto id = [&] { return once(has_id) && optional_text(line_.id, id_); };
  if (*at_ == '{') {
    return object([&](std::string_view key) {
      if (key == "usage") return the_usage();
      if (key == "model") return model();
      if (key == "id") return id();
      return ignored();
    });
  }
  if (*at_ == '[') {
    return array([&](unsigned i) {
      return i == 0 ? the_usage() : i == 1 ? model() : i == 2 ? id() : false;
    });
  }
  return false;
}

bool TranscriptLineReader::usage() {
  if (*at_ == 'n') return literal("null");
  MessageTokens tokens;
  const std::array<std::uint64_t*, 4> counts = {&tokens.input, &tokens.output,
                                                &tokens.cache_creation, &tokens.cache_read};
  unsigned seen = 0;
  const auto counted = [&](unsigned i) {
    if ((seen >> i & 1U) != 0) return false;
    seen |= 1U << i;
    return count(*counts[i]);
  };
  bool right = false;
  if (*at_ == '{') {
    right = object([&](std::string_view key) {
      if (key == "input_tokens") return counted(0);
      if (key == "output_tokens") return counted(1);
      if (key == "cache_creation_input_tokens") return counted(2);
      if (key == "cache_read_input_tokens") return counted(3);
      if (key == "cache_creation") return cache_creation(tokens.cache_creation_1h);
      return ignored();
    });
  } else if (*at_ == '[') {
    right = array([&](unsigned i) { return i < counts.size() && counted(i); });
  }
  line_.usage = tokens;
  return right;
}

bool TranscriptLineReader::timestamp(core::Timestamp& out) {
  std::string_view written;
  if (!text(written, time_)) return false;
  const std::optional<core::Timestamp> time = core::parse_timestamp(written);
  if (time) out = *time;
  return time.has_value();
}

bool TranscriptLineReader::optional_timestamp() {
  if (*at_ == 'n') return literal("null");
  core::Timestamp unused;
  return timestamp(unused);
}

bool TranscriptLineReader::optional_text(std::optional<std::string_view>& out,
                                         std::string& storage) {
  if (*at_ == 'n') return literal("null");
  std::string_view written;
  if (!text(written, storage)) return false;
  out = written;
  return true;
}

bool TranscriptLineReader::request_id() {
  line_.request_id.reset();
  if (*at_ != '"') return ignored();
  std::string_view inside;
  bool plain = false;
  if (!string(inside, plain)) return false;
  if (!plain) {
    request_id_.clear();
    const std::string lossy = core::utf8_lossy(inside);
    if (surrogates_paired(lossy)) {
      core::json_unescape(lossy, request_id_);
    } else {
      request_id_ = lossy;  // no text: a value of its own all the same
    }
    inside = request_id_;
  }
  line_.request_id = inside;
  return true;
}

// {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}, in any shape.
bool TranscriptLineReader::cache_creation(std::uint64_t& one_hour) {
  one_hour = 0;
  const char* const from = at_;
  if (!ignored()) return false;
  if (*from != '{') return true;
  const char* const behind = at_;
  at_ = from + 1;
  skip_space();
  while (*at_ != '}') {
    std::string_view key;
    bool plain = false;
    string(key, plain);
    skip_space();
    ++at_;  // the colon
    skip_space();
    const char* const value = at_;
    ignored();
    if (key == "ephemeral_1h_input_tokens") {
      std::uint64_t number = 0;
      const std::from_chars_result read = std::from_chars(value, at_, number);
      one_hour = read.ec == std::errc() && read.ptr == at_ ? number : 0;
    }
    skip_space();
    if (*at_ == ',') ++at_;
    skip_space();
  }
  at_ = behind;
  return true;
}

// As serde reads a u64: no sign, no fraction, no exponent.
bool TranscriptLineReader::count(std::uint64_t& out) {
  if (!is_digit(*at_)) return false;
  if (*at_ == '0') {
    ++at_;
    out = 0;
  } else {
    std::uint64_t value = 0;
    for (; is_digit(*at_); ++at_) {
      const auto digit = static_cast<std::uint64_t>(*at_ - '0');
      if (__builtin_mul_overflow(value, std::uint64_t{10}, &value)) return false;
      if (__builtin_add_overflow(value, digit, &value)) return false;
    }
    out = value;
  }
  return !is_digit(*at_) && *at_ != '.' && *at_ != 'e' && *at_ != 'E';
}

// A string that serde reads, its escapes resolved and what is no UTF-8 in it replaced.
bool TranscriptLineReader::text(std::string_view& out, std::string& storage) {
  if (*at_ != '"') return false;
  bool plain = false;
  if (!string(out, plain)) return false;
  if (plain) return true;
  const std::string lossy = core::utf8_lossy(out);
  if (!surrogates_paired(lossy)) return false;
  storage.clear();
  core::json_unescape(lossy, storage);
  out = storage;
  return true;
}

// `plain`: without escapes, in ASCII.
bool TranscriptLineReader::string(std::string_view& raw, bool& plain) {
  const char* const from = ++at_;
  const unsigned soon = core::probe(from);
  if (soon != 0 && from[std::countr_zero(soon)] == '"') {
    at_ += std::countr_zero(soon) + 1;
    plain = true;
    raw = {from, static_cast<std::size_t>(at_ - 1 - from)};
    return true;
  }
  if (!ignored_string()) return false;
  raw = {from, static_cast<std::size_t>(at_ - 1 - from)};
  plain = is_plain(raw);
  return true;
}

bool TranscriptLineReader::literal(std::string_view word) {
  // Byte by byte: the padding makes the look harmless, and a line feed is in no word.
  if (std::memcmp(at_, word.data(), word.size()) != 0) return false;
  at_ += word.size();
  return true;
}

void TranscriptLineReader::open(bool object) {
  if (depth_ != 0 && depth_ % 64 == 0) outer_.push_back(open_);
  open_ = open_ << 1 | static_cast<std::uint64_t>(object);
  ++depth_;
}

void TranscriptLineReader::close() {
  open_ >>= 1;
  --depth_;
  if (depth_ != 0 && depth_ % 64 == 0) {
    open_ = outer_.back();
    outer_.pop_back();
  }
}

// A value that serde ignores: its grammar is checked and nothing else.
bool TranscriptLineReader::ignored() {
  depth_ = 0;
  outer_.clear();
  for (;;) {
    bool closed = true;  // a whole value was read
    switch (*at_) {
      case '"':
        ++at_;
        if (!ignored_string()) return false;
        break;
      case '{':
      case '[': {
        const bool object = *at_ == '{';
        ++at_;
        skip_space();
        if (*at_ == (object ? '}' : ']')) {
          ++at_;
          break;
        }
        open(object);
        closed = false;
        break;
      }
      case 't':
        if (!literal("true")) return false;
        break;
      case 'f':
        if (!literal("false")) return false;
        break;
      case 'n':
        if (!literal("null")) return false;
        break;
      default:
        if (!ignored_number()) return false;
        break;
    }
    // Behind a value come ends of what is open, then a comma.
    while (closed) {
      if (depth_ == 0) return true;
      skip_space();
      const char c = *at_;
      if (c == ',') {
        ++at_;
        skip_space();
        break;
      }
      if (c != ((open_ & 1) != 0 ? '}' : ']')) return false;
      ++at_;
      close();
    }
    if ((open_ & 1) != 0) {  // a name comes first
      if (*at_ != '"') return false;
      ++at_;
      if (!ignored_string()) return false;
      skip_space();
      if (*at_ != ':') return false;
      ++at_;
      skip_space();
    }
  }
}

// From behind the first quote to behind the second.
bool TranscriptLineReader::ignored_string() {
  const unsigned soon = core::probe(at_);
  if (soon != 0 && at_[std::countr_zero(soon)] == '"') {
    at_ += std::countr_zero(soon) + 1;
    return true;
  }
  const char* const behind = behind_string(at_);
  if (behind == nullptr) return false;
  at_ = behind;
  return true;
}

// The grammar of a number, however large.
bool TranscriptLineReader::ignored_number() {
  if (*at_ == '-') ++at_;
  if (*at_ == '0') {
    ++at_;
    if (is_digit(*at_)) return false;
  } else {
    if (!is_digit(*at_)) return false;
    while (is_digit(*at_)) ++at_;
  }
  if (*at_ == '.') {
    ++at_;
    if (!is_digit(*at_)) return false;
    while (is_digit(*at_)) ++at_;
  }
  if (*at_ == 'e' || *at_ == 'E') {
    ++at_;
    if (*at_ == '+' || *at_ == '-') ++at_;
    if (!is_digit(*at_)) return false;
    while (is_digit(*at_)) ++at_;
  }
  return true;
}

}  // namespace satchel::cascade
