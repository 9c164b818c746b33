#include "core/timestamp.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "core/civil_date.hpp"

namespace satchel::core {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::int64_t kWidestOffset = 25 * 3'600 + 59 * 60 + 59;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

// ---- the form that nearly all have: 2026-11-20T10:30:00.250Z ----

constexpr std::size_t kPlainSize = std::string_view("2026-11-20T10:30:00Z").size();

// Eight characters at once, the first in the lowest byte.
std::uint64_t eight(const char* text) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, text, sizeof bytes);
  return std::endian::native == std::endian::little ? bytes : __builtin_bswap64(bytes);
}

// What eight characters have to be: '0' stands for any digit.
struct Octet {
  std::uint64_t wanted = 0;
  std::uint64_t limit = 0;  // added to a byte's difference from `wanted`, sets its highest bit

  explicit constexpr Octet(std::string_view pattern) {
    for (unsigned i = 0; i < 8; ++i) {
      const auto byte = static_cast<unsigned char>(pattern[i]);
      wanted |= std::uint64_t{byte} << (8 * i);
      limit |= std::uint64_t{byte == '0' ? 0x80U - 10 : 0x80U - 1} << (8 * i);
    }
  }

  // The digits' values, zeros elsewhere. What does not fit sets a highest bit in `wrong`.
  [[nodiscard]] std::uint64_t digits(std::uint64_t text, std::uint64_t& wrong) const {
    const std::uint64_t difference = text ^ wanted;
    wrong |= difference | (difference + limit);
    return difference;
  }
};

constexpr Octet kYearMonth("0000-00-");
constexpr Octet kDayHourMinute("00T00:00");
constexpr std::uint64_t kHighestBits = 0x8080'8080'8080'8080U;

// Of the digits at `i` and after it.
unsigned pair_at(std::uint64_t pairs, unsigned i) { return pairs >> (8 * i) & 0xffU; }

// The digits between the dot and the Z as nanoseconds; negative where they are none.
std::int32_t plain_fraction(std::string_view digits) {
  if (digits.empty() || digits.size() > 9) return -1;
  std::int32_t value = 0;
  for (const char digit : digits) {
    if (!is_digit(digit)) return -1;
    value = value * 10 + (digit - '0');
  }
  constexpr std::array<std::int32_t, 10> kScale{0,      100'000'000, 10'000'000, 1'000'000, 100'000,
                                                10'000, 1'000,       100,        10,        1};
  return value * kScale[digits.size()];
}

// Nothing where the text has another form or is wrong.
std::optional<Timestamp> parse_plain(std::string_view text) {
  if (text.size() < kPlainSize || text.back() != 'Z') return std::nullopt;
  std::uint64_t wrong = 0;
  const std::uint64_t first = kYearMonth.digits(eight(text.data()), wrong);
  const std::uint64_t second_half = kDayHourMinute.digits(eight(text.data() + 8), wrong);
  if ((wrong & kHighestBits) != 0 || text[16] != ':' || !is_digit(text[17]) ||
      !is_digit(text[18])) {
    return std::nullopt;
  }
  const std::uint64_t first_pairs = first * 10 + (first >> 8);
  const std::uint64_t other_pairs = second_half * 10 + (second_half >> 8);
  const unsigned year = pair_at(first_pairs, 0) * 100 + pair_at(first_pairs, 2);
  const unsigned month = pair_at(first_pairs, 5);
  const unsigned day = pair_at(other_pairs, 0);
  const unsigned hour = pair_at(other_pairs, 3);
  const unsigned minute = pair_at(other_pairs, 6);
  const auto second = static_cast<unsigned>((text[17] - '0') * 10 + (text[18] - '0'));
  if (month - 1 > 11 || day == 0 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (day > 28 && day > days_in_month(year, month)) return std::nullopt;
  if (year == 9999) return std::nullopt;  // its last hours are out of range
  std::int32_t nanos = 0;
  if (text.size() > kPlainSize) {
    if (text[19] != '.') return std::nullopt;
    nanos = plain_fraction(text.substr(kPlainSize, text.size() - kPlainSize - 1));
    if (nanos < 0) return std::nullopt;
  }
  return Timestamp{
      days_of({year, month, day}) * kSecondsPerDay + hour * 3'600 + minute * 60 + second, nanos};
}

// ---- every form ----

// What is left of a text, taken from its front. A function that returns false has found something
// that no form allows; how much it took then is of no interest.
class Rest {
 public:
  explicit Rest(std::string_view text) : text_(text) {}

  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] bool begins_with(char c) const { return !text_.empty() && text_.front() == c; }

  bool take(char wanted) {
    if (!begins_with(wanted)) return false;
    text_.remove_prefix(1);
    return true;
  }

  template <class Predicate>
  bool take_if(Predicate wanted) {
    if (text_.empty() || !wanted(text_.front())) return false;
    text_.remove_prefix(1);
    return true;
  }

  template <class Predicate>
  void take_while(Predicate wanted) {
    while (take_if(wanted)) continue;
  }

  // A number of exactly `count` digits, at most `max`.
  bool number(std::size_t count, std::int64_t max, std::int64_t& value) {
    if (text_.size() < count) return false;
    value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(text_[i])) return false;
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return value <= max;
  }

  // Whether another part of a time follows: in the extended form after a colon, which is taken,
  // in the basic form if there are two more digits.
  bool more(bool extended) {
    if (extended) return take(':');
    return text_.size() >= 2 && is_digit(text_[0]) && is_digit(text_[1]);
  }

  // After a dot or a comma one to nine digits, as nanoseconds; a tenth digit is left.
  bool fraction(std::int64_t& nanos) {
    nanos = 0;
    if (!take('.') && !take(',')) return true;
    if (text_.empty() || !is_digit(text_.front())) return false;
    for (int i = 0; i < 9; ++i) {
      const bool has_digit = !text_.empty() && is_digit(text_.front());
      nanos = nanos * 10 + (has_digit ? text_.front() - '0' : 0);
      if (has_digit) text_.remove_prefix(1);
    }
    return true;
  }

 private:
  std::string_view text_;
};

bool take_year(Rest& rest, std::int64_t& year) {
  const bool negative = rest.begins_with('-');
  if (!rest.take('-') && !rest.take('+')) return rest.number(4, 9'999, year);
  if (!rest.number(6, 9'999, year) || (negative && year == 0)) return false;
  if (negative) year = -year;
  return true;
}

bool take_date(Rest& rest, std::int64_t& days) {
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;
  if (!take_year(rest, year)) return false;
  const bool extended = rest.take('-');
  if (!rest.number(2, 12, month) || month == 0) return false;
  if (extended && !rest.take('-')) return false;
  if (!rest.number(2, 31, day) || day == 0) return false;
  const auto month_number = static_cast<unsigned>(month);
  if (day > days_in_month(year, month_number)) return false;
  days = days_of({year, month_number, static_cast<unsigned>(day)});
  return true;
}

// Hours, then minutes, then seconds with a fraction: each can be the last. A time and an offset
// from UTC look alike, but for what their hours and seconds can be.
struct Clock {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
};

bool take_clock(Rest& rest, std::int64_t last_hour, std::int64_t last_second, Clock& clock) {
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  if (!rest.number(2, last_hour, hour)) return false;
  const bool extended = rest.begins_with(':');
  if (rest.more(extended)) {
    if (!rest.number(2, 59, minute)) return false;
    if (rest.more(extended)) {
      if (!rest.number(2, last_second, second) || !rest.fraction(clock.nanos)) return false;
    }
  }
  clock.seconds = hour * 3'600 + minute * 60 + std::min<std::int64_t>(second, 59);
  return true;
}

// To the nearest second.
bool take_offset(Rest& rest, std::int64_t& offset) {
  offset = 0;
  if (rest.take('Z') || rest.take('z')) return true;
  const bool negative = rest.begins_with('-');
  if (!rest.take('-') && !rest.take('+')) return false;
  Clock clock;
  if (!take_clock(rest, 25, 59, clock)) return false;
  offset = clock.seconds + (clock.nanos >= kNanosPerSecond / 2 ? 1 : 0);
  if (offset > kWidestOffset) return false;
  if (negative) offset = -offset;
  return true;
}

// ---- RFC 9557: [Europe/Berlin], [+01:00], [u-ca=hebrew] ----

bool take_zone_name_part(Rest& rest) {
  if (!rest.take_if([](char c) { return c == '_' || c == '.' || is_alpha(c); })) return false;
  rest.take_while([](char c) {
    return c == '_' || c == '.' || c == '+' || c == '-' || is_digit(c) || is_alpha(c);
  });
  return true;
}

bool take_zone_offset(Rest& rest) {
  std::int64_t number = 0;
  if (!rest.take('-') && !rest.take('+')) return false;
  if (!rest.number(2, 25, number)) return false;
  if (rest.more(rest.begins_with(':')) && !rest.number(2, 59, number)) return false;
  return rest.take(']');
}

// What has a key must not be critical: nothing of the kind is understood.
bool take_keyed(Rest& rest) {
  const auto begins_key = [](char c) { return c == '_' || is_lower(c); };
  const auto in_value = [](char c) { return is_digit(c) || is_alpha(c); };
  if (!rest.take('[') || !rest.take_if(begins_key)) return false;
  rest.take_while([&](char c) { return begins_key(c) || c == '-' || is_digit(c); });
  if (!rest.take('=')) return false;
  do {
    if (!rest.take_if(in_value)) return false;
    rest.take_while(in_value);
  } while (rest.take('-'));
  return rest.take(']');
}

// A time zone can only be the first. `rest` begins with a bracket; where there is a key in it,
// nothing is taken.
bool take_zone(Rest& rest) {
  const Rest before = rest;
  rest.take('[');
  rest.take('!');
  if (rest.begins_with('-') || rest.begins_with('+')) return take_zone_offset(rest);
  if (!take_zone_name_part(rest)) return false;
  if (rest.begins_with('=')) {
    rest = before;
    return true;
  }
  while (rest.take('/')) {
    if (!take_zone_name_part(rest)) return false;
  }
  return rest.take(']');
}

bool take_annotations(Rest& rest) {
  if (rest.begins_with('[') && !take_zone(rest)) return false;
  while (rest.begins_with('[')) {
    if (!take_keyed(rest)) return false;
  }
  return true;
}

std::optional<Timestamp> parse_any(std::string_view text) {
  Rest rest(text);
  std::int64_t days = 0;
  std::int64_t offset = 0;
  Clock clock;
  if (!take_date(rest, days)) return std::nullopt;
  if (!rest.take('T') && !rest.take('t') && !rest.take(' ')) return std::nullopt;
  if (!take_clock(rest, 23, 60, clock) || !take_offset(rest, offset)) return std::nullopt;
  if (!take_annotations(rest) || !rest.empty()) return std::nullopt;
  const std::int64_t second = days * kSecondsPerDay + clock.seconds - offset;
  const std::int64_t towards_zero = second < 0 && clock.nanos != 0 ? second + 1 : second;
  if (towards_zero < kEarliestSecond || towards_zero > kLatestSecond) return std::nullopt;
  return Timestamp{second, static_cast<std::int32_t>(clock.nanos)};
}

// ---- printing ----

void append_padded(std::string& out, std::uint64_t number, int digits) {
  std::array<char, 20> text{};
  for (int i = digits; i-- > 0; number /= 10) {
    text[static_cast<std::size_t>(i)] = static_cast<char>('0' + number % 10);
  }
  out.append(text.data(), static_cast<std::size_t>(digits));
}

}  // namespace

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  if (const auto plain = parse_plain(text)) return plain;
  return parse_any(text);
}

std::string format_timestamp(Timestamp time) {
  const std::int64_t seconds = std::clamp(time.seconds, kEarliestSecond - 1, kLatestSecond);
  const std::int64_t days = floor_divide(seconds, kSecondsPerDay);
  const auto second_of_day = static_cast<std::uint64_t>(seconds - days * kSecondsPerDay);
  const CivilDate date = date_of(days);
  std::string out;
  out.reserve(std::string_view("-009999-01-02T01:59:59.123456789Z").size());
  if (date.year < 0) out += "-00";
  append_padded(out, static_cast<std::uint64_t>(date.year < 0 ? -date.year : date.year), 4);
  out += '-';
  append_padded(out, date.month, 2);
  out += '-';
  append_padded(out, date.day, 2);
  out += 'T';
  append_padded(out, second_of_day / 3'600, 2);
  out += ':';
  append_padded(out, second_of_day / 60 % 60, 2);
  out += ':';
  append_padded(out, second_of_day % 60, 2);
  if (time.nanos != 0) {
    out += '.';
    append_padded(out, static_cast<std::uint64_t>(time.nanos), 9);
    out.erase(out.find_last_not_of('0') + 1);
  }
  out += 'Z';
  return out;
}

bool is_younger(Timestamp time, Timestamp now, std::int64_t ns) {
  const std::int64_t nanos = time.nanos + ns % kNanosPerSecond;
  return now < Timestamp{time.seconds + ns / kNanosPerSecond + nanos / kNanosPerSecond,
                         static_cast<std::int32_t>(nanos % kNanosPerSecond)};
}

Timestamp timestamp_of_ns(std::int64_t unix_ns) {
  const std::int64_t seconds = floor_divide(unix_ns, kNanosPerSecond);
  // Where 64 bits end, the product lies beyond them: the remainder is taken instead.
  const std::int64_t left = unix_ns % kNanosPerSecond;
  return {seconds, static_cast<std::int32_t>(left < 0 ? left + kNanosPerSecond : left)};
}

std::int64_t unix_ns_of(Timestamp time) {
  // Towards zero first, for the same reason.
  const bool before = time.seconds < 0;
  const std::int64_t whole = time.seconds + (before ? 1 : 0);
  const std::int64_t part = time.nanos - (before ? kNanosPerSecond : 0);
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(whole, kNanosPerSecond, &ns) ||
      __builtin_add_overflow(ns, part, &ns)) {
    return before ? std::numeric_limits<std::int64_t>::min()
                  : std::numeric_limits<std::int64_t>::max();
  }
  return ns;
}

}  // namespace satchel::core
