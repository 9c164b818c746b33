// Days of the proleptic Gregorian calendar, counted from 1970-01-01. Years are shifted to begin in
// March, so that the leap day is a year's last and months have a regular length.
#pragma once

#include <cstdint>

namespace satchel::core {

struct CivilDate {
  std::int64_t year = 1970;
  unsigned month = 1;  // 1 to 12
  unsigned day = 1;    // 1 to 31

  friend bool operator==(const CivilDate&, const CivilDate&) = default;
};

constexpr std::int64_t kSecondsPerDay = 86'400;

constexpr bool is_leap_year(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr unsigned days_in_month(std::int64_t year, unsigned month) {
  if (month == 2) return is_leap_year(year) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);  // b > 0
}

// Of a year from -9999 on: 25 times the 400 years after which all comes again make it positive.
constexpr std::int64_t days_of(const CivilDate& date) {
  const bool before_march = date.month <= 2;
  const auto year = static_cast<std::uint32_t>(date.year + 10'000) - (before_march ? 1U : 0U);
  const std::uint32_t month = before_march ? date.month + 9 : date.month - 3;
  const std::uint32_t days = year * 365 + year / 4 - year / 100 + year / 400;
  return std::int64_t{days + (153 * month + 2) / 5 + date.day} - (25 * 146'097 + 719'469);
}

constexpr CivilDate date_of(std::int64_t days) {
  const std::int64_t shifted = days + 719'468;
  const std::int64_t era = floor_divide(shifted, 146'097);
  const std::int64_t day = shifted - era * 146'097;
  const std::int64_t year = (day - day / 1'460 + day / 36'524 - day / 146'096) / 365;
  const auto day_of_year = static_cast<unsigned>(day - (365 * year + year / 4 - year / 100));
  const unsigned month = (5 * day_of_year + 2) / 153;
  CivilDate date;
  date.day = day_of_year - (153 * month + 2) / 5 + 1;
  date.month = month < 10 ? month + 3 : month - 9;
  date.year = year + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}

}  // namespace satchel::core
