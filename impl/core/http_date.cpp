#include "core/http_date.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "core/civil_date.hpp"
#include "core/text.hpp"

namespace satchel::core {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kWeekdays{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                    "Friday", "Saturday", "Sunday"};
constexpr std::size_t kShortName = 3;

// Where the parts of a form stand; `#` is a digit or part of a name, all else stands for itself.
struct Form {
  std::string_view pattern;
  std::size_t day;
  std::size_t month;
  std::size_t year;
  std::size_t year_digits;
  std::size_t time;  // hh:mm:ss
  bool blank_in_day = false;
};

//                           Sun, 06 Nov 1994 08:49:37 GMT
constexpr Form kImfFixdate{"###, ## ### #### ##:##:## GMT", 5, 8, 12, 4, 17};
//                        Sunday, 06-Nov-94 08:49:37 GMT, from the comma. The crate does not look at
// what stands between the date and the time.
constexpr Form kRfc850{", ##-###-#####:##:## GMT", 2, 5, 9, 2, 12};
//                         Sun Nov  6 08:49:37 1994
constexpr Form kAsctime{"### ### ## ##:##:## ####", 8, 4, 20, 4, 11, true};

bool fits(std::string_view text, std::string_view pattern) {
  return text.size() == pattern.size() &&
         std::equal(text.begin(), text.end(), pattern.begin(),
                    [](char c, char wanted) { return wanted == '#' || c == wanted; });
}

std::optional<unsigned> number(std::string_view digits) {
  unsigned value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(digit - '0');
  }
  return value;
}

// Its number, from 0.
template <std::size_t Size>
std::optional<unsigned> short_name(std::string_view text,
                                   const std::array<std::string_view, Size>& names) {
  for (unsigned i = 0; i < Size; ++i) {
    if (names[i].substr(0, kShortName) == text) return i;
  }
  return std::nullopt;
}

std::optional<std::int64_t> time_of(std::string_view text, const Form& form, unsigned weekday) {
  std::string_view day_text = text.substr(form.day, 2);
  if (form.blank_in_day && day_text.front() == ' ') day_text.remove_prefix(1);
  const auto day = number(day_text);
  const auto month = short_name(text.substr(form.month, kShortName), kMonths);
  auto year = number(text.substr(form.year, form.year_digits));
  const auto hour = number(text.substr(form.time, 2));
  const auto minute = number(text.substr(form.time + 3, 2));
  const auto second = number(text.substr(form.time + 6, 2));
  if (!day || !month || !year || !hour || !minute || !second) return std::nullopt;
  if (form.year_digits == 2) *year += *year < 70 ? 2'000 : 1'900;
  const CivilDate date{*year, *month + 1, *day};
  if (*year < 1'970 || *day == 0 || *day > days_in_month(*year, date.month)) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::int64_t days = days_of(date);
  constexpr std::int64_t kThursday = 3;  // 1970-01-01
  if ((days + kThursday) % 7 != weekday) return std::nullopt;
  return days * kSecondsPerDay + *hour * 3'600 + *minute * 60 + *second;
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; })) {
    return std::nullopt;
  }
  text = trim(text);
  for (const Form* form : {&kImfFixdate, &kAsctime}) {
    if (!fits(text, form->pattern)) continue;
    const auto weekday = short_name(text.substr(0, kShortName), kWeekdays);
    return weekday ? time_of(text, *form, *weekday) : std::nullopt;
  }
  for (unsigned weekday = 0; weekday < kWeekdays.size(); ++weekday) {
    if (!text.starts_with(kWeekdays[weekday])) continue;
    text.remove_prefix(kWeekdays[weekday].size());
    return fits(text, kRfc850.pattern) ? time_of(text, kRfc850, weekday) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace satchel::core
