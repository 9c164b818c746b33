#include "core/json_number.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/process_wide.hpp"

namespace satchel::core {
namespace {

constexpr int kMaxPower = 308;

// The doubles nearest to 10^0 .. 10^308, as the compiler reads the literals 1e0 .. 1e308.
constinit ProcessWide<std::array<double, kMaxPower + 1>> powers_of_ten([] {
  std::array<double, kMaxPower + 1> powers{};
  for (int i = 0; i <= kMaxPower; ++i) {
    const std::string text = "1e" + std::to_string(i);
    std::from_chars(text.data(), text.data() + text.size(), powers[static_cast<std::size_t>(i)]);
  }
  return powers;
});

constexpr const char* kInvalid = "invalid number";
constexpr const char* kOutOfRange = "number out of range";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class NumberReader {
 public:
  NumberReader(const char* at, const char* end) : at_(at), end_(end) {}

  const char* read(JsonNumber& number) {
    if (peek() == '-') {
      positive_ = false;
      ++at_;
    }
    if (!is_digit(peek())) return kInvalid;
    if (peek() == '0') {
      ++at_;
      if (is_digit(peek())) return kInvalid;
    } else {
      while (is_digit(peek())) {
        if (!take_digit()) {  // the number is too long for a u64: a double
          while (is_digit(peek())) {
            ++at_;
            bump_exponent(1);
          }
          return fraction_and_exponent(number);
        }
      }
    }
    if (peek() == '.' || peek() == 'e' || peek() == 'E') return fraction_and_exponent(number);
    return whole(number);
  }

  [[nodiscard]] const char* at() const { return at_; }

 private:
  [[nodiscard]] char peek() const { return at_ < end_ ? *at_ : '\0'; }

  // Adds the digit at hand to the significand; false, and nothing taken, where it would overflow.
  bool take_digit() {
    const auto digit = static_cast<std::uint64_t>(*at_ - '0');
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
    if (significand_ >= kMax / 10 && (significand_ > kMax / 10 || digit > kMax % 10)) return false;
    significand_ = significand_ * 10 + digit;
    ++at_;
    return true;
  }

  void bump_exponent(int by) {
    if (exponent_ < std::numeric_limits<std::int32_t>::max() - 1 &&
        exponent_ > std::numeric_limits<std::int32_t>::min() + 1) {
      exponent_ += by;
    }
  }

  const char* whole(JsonNumber& number) const {
    const auto negated = static_cast<std::int64_t>(0U - significand_);
    if (positive_ || negated < 0) {
      number.integer = true;
      return nullptr;
    }
    number.value = -static_cast<double>(significand_);  // -0, or below i64
    return nullptr;
  }

  const char* fraction_and_exponent(JsonNumber& number) {
    if (peek() == '.') {
      ++at_;
      if (!is_digit(peek())) return kInvalid;
      while (is_digit(peek())) {
        if (!take_digit()) {  // what follows is too small to count
          while (is_digit(peek())) ++at_;
          break;
        }
        bump_exponent(-1);
      }
    }
    if (peek() != 'e' && peek() != 'E') return scale(number);
    ++at_;
    bool positive_exponent = true;
    if (peek() == '+' || peek() == '-') {
      positive_exponent = peek() == '+';
      ++at_;
    }
    if (!is_digit(peek())) return kInvalid;
    std::int64_t exponent = 0;
    while (is_digit(peek())) {
      exponent = exponent * 10 + (*at_ - '0');
      ++at_;
      if (exponent > std::numeric_limits<std::int32_t>::max()) {
        return huge_exponent(positive_exponent, number);
      }
    }
    const std::int64_t sum = exponent_ + (positive_exponent ? exponent : -exponent);
    exponent_ = static_cast<std::int32_t>(std::min<std::int64_t>(
        std::max<std::int64_t>(sum, std::numeric_limits<std::int32_t>::min()),
        std::numeric_limits<std::int32_t>::max()));
    return scale(number);
  }

  const char* huge_exponent(bool positive_exponent, JsonNumber& number) {
    if (significand_ != 0 && positive_exponent) return kOutOfRange;
    while (is_digit(peek())) ++at_;
    number.value = positive_ ? 0.0 : -0.0;
    return nullptr;
  }

  const char* scale(JsonNumber& number) const {
    auto value = static_cast<double>(significand_);
    std::int64_t exponent = exponent_;
    while (std::abs(exponent) > kMaxPower) {
      if (value == 0.0) break;
      if (exponent >= 0) return kOutOfRange;
      value /= 1e308;
      exponent += kMaxPower;
    }
    if (std::abs(exponent) <= kMaxPower) {
      const double power = powers_of_ten.get()[static_cast<std::size_t>(std::abs(exponent))];
      if (exponent >= 0) {
        value *= power;
        if (std::isinf(value)) return kOutOfRange;
      } else {
        value /= power;
      }
    }
    number.value = positive_ ? value : -value;
    return nullptr;
  }

  const char* at_;
  const char* end_;
  bool positive_ = true;
  std::uint64_t significand_ = 0;
  std::int32_t exponent_ = 0;
};

}  // namespace

const char* read_json_number(const char*& at, const char* end, JsonNumber& number) {
  NumberReader reader(at, end);
  const char* error = reader.read(number);
  at = reader.at();
  return error;
}

void append_json_double(std::string& out, double value) {
  if (std::signbit(value)) {
    out.push_back('-');
    value = -value;
  }
  if (value == 0.0) {
    out.append("0.0");
    return;
  }
  // "d[.ddd]e±xx": the shortest digits, and the power of ten of the first.
  std::array<char, 32> text{};
  const auto [stop, ec] =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific);
  const std::string_view scientific(text.data(), static_cast<std::size_t>(stop - text.data()));
  const std::size_t e = scientific.find('e');
  int power = 0;
  const char* power_text = scientific.data() + e + (scientific[e + 1] == '+' ? 2 : 1);
  std::from_chars(power_text, stop, power);
  std::string digits(1, scientific[0]);
  if (e > 2) digits.append(scientific.substr(2, e - 2));

  if (power >= 0 && power < 16) {
    const std::size_t whole = static_cast<std::size_t>(power) + 1;
    if (digits.size() <= whole) {
      out.append(digits).append(whole - digits.size(), '0').append(".0");
    } else {
      out.append(digits, 0, whole).push_back('.');
      out.append(digits, whole, std::string::npos);
    }
  } else if (power < 0 && power >= -5) {
    out.append("0.").append(static_cast<std::size_t>(-power - 1), '0').append(digits);
  } else {
    out.push_back(digits[0]);
    if (digits.size() > 1) out.append(1, '.').append(digits, 1, std::string::npos);
    out.append(power < 0 ? "e-" : "e+").append(std::to_string(std::abs(power)));
  }
}

}  // namespace satchel::core
