#include "core/http_date.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/text.hpp"

namespace satchel::core {
namespace {

using std::string_view_literals::operator""sv;

struct DateCase {
  std::string_view text;
  std::optional<std::int64_t> seconds;
};

// As httpdate 1.0.3 answered; made by running it.
constexpr DateCase kDates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT"sv, 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT"sv, 784111777},
    {"Sun Nov  6 08:49:37 1994"sv, 784111777},
    {"Sun Nov 06 08:49:37 1994"sv, 784111777},
    {" Sun, 06 Nov 1994 08:49:37 GMT\011"sv, 784111777},
    {"\015\012Sunday, 06-Nov-94 08:49:37 GMT\013\014"sv, 784111777},
    {"\302\240Sun, 06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 GMT\302\205"sv, std::nullopt},
    {"\034Sun, 06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {""sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 GM"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 GMTZ"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 UTC"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 gmt"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:37 +00"sv, std::nullopt},
    {"sun, 06 nov 1994 08:49:37 gmt"sv, std::nullopt},
    {"SUN, 06 NOV 1994 08:49:37 GMT"sv, std::nullopt},
    {"sun, 06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 6 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun,  6 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Mon, 06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun 06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun,  06 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06-Nov-1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 94 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 8:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 24:00:00 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:60:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 08:49:60 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994 23:59:59 GMT"sv, 784166399},
    {"Sun, 06 Nov 1994 08.49.37 GMT"sv, std::nullopt},
    {"Sun, O6 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 06 Nov 1994T08:49:37 GMT"sv, std::nullopt},
    {"Thu, 01 Jan 1970 00:00:00 GMT"sv, 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT"sv, std::nullopt},
    {"Fri, 31 Dec 9999 23:59:59 GMT"sv, 253402300799},
    {"Tue, 29 Feb 2000 00:00:00 GMT"sv, 951782400},
    {"Mon, 29 Feb 2100 00:00:00 GMT"sv, std::nullopt},
    {"Mon, 01 Mar 2100 00:00:00 GMT"sv, 4107542400},
    {"Thu, 29 Feb 2024 12:00:00 GMT"sv, 1709208000},
    {"Sat, 29 Feb 2025 12:00:00 GMT"sv, std::nullopt},
    {"Sun, 31 Nov 2026 12:00:00 GMT"sv, std::nullopt},
    {"Tue, 01 Dec 2026 12:00:00 GMT"sv, 1796126400},
    {"Sun, 00 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Sun, 32 Nov 1994 08:49:37 GMT"sv, std::nullopt},
    {"Mon, 07 Nov 1994 08:49:37 GMT"sv, 784198177},
    {"Tue, 08 Nov 1994 08:49:37 GMT"sv, 784284577},
    {"Wed, 09 Nov 1994 08:49:37 GMT"sv, 784370977},
    {"Thu, 10 Nov 1994 08:49:37 GMT"sv, 784457377},
    {"Fri, 11 Nov 1994 08:49:37 GMT"sv, 784543777},
    {"Sat, 12 Nov 1994 08:49:37 GMT"sv, 784630177},
    {"Monday, 07-Nov-94 08:49:37 GMT"sv, 784198177},
    {"Tuesday, 08-Nov-94 08:49:37 GMT"sv, 784284577},
    {"Wednesday, 09-Nov-94 08:49:37 GMT"sv, 784370977},
    {"Thursday, 10-Nov-94 08:49:37 GMT"sv, 784457377},
    {"Friday, 11-Nov-94 08:49:37 GMT"sv, 784543777},
    {"Saturday, 12-Nov-94 08:49:37 GMT"sv, 784630177},
    {"Sun, 06-Nov-94 08:49:37 GMT"sv, std::nullopt},
    {"Sunday, 06-Nov-1994 08:49:37 GMT"sv, std::nullopt},
    {"Sunday, 06 Nov 94 08:49:37 GMT"sv, std::nullopt},
    {"Sunday, 06-Nov-94T08:49:37 GMT"sv, 784111777},
    {"Sunday, 06-Nov-94-08:49:37 GMT"sv, 784111777},
    {"Sunday, 06-Nov-94\00008:49:37 GMT"sv, 784111777},
    {"Sunday, 06-Nov-94008:49:37 GMT"sv, 784111777},
    {"Sunday, 06-Nov-9408:49:37 GMT"sv, std::nullopt},
    {"Sunday,06-Nov-94 08:49:37 GMT"sv, std::nullopt},
    {"sunday, 06-Nov-94 08:49:37 GMT"sv, std::nullopt},
    {"Thursday, 01-Jan-70 00:00:00 GMT"sv, 0},
    {"Tuesday, 31-Dec-69 23:59:59 GMT"sv, 3155759999},
    {"Wednesday, 31-Dec-69 23:59:59 GMT"sv, std::nullopt},
    {"Saturday, 01-Jan-00 00:00:00 GMT"sv, 946684800},
    {"Friday, 20-Nov-26 10:30:00 GMT"sv, 1795170600},
    {"Friday, 06-Nov-94 08:49:37 GMT"sv, std::nullopt},
    {"Sunday, 31-Feb-94 08:49:37 GMT"sv, std::nullopt},
    {"Monday"sv, std::nullopt},
    {"Monday, "sv, std::nullopt},
    {"Mon Nov  7 08:49:37 1994"sv, 784198177},
    {"Sun Nov 6 08:49:37 1994"sv, std::nullopt},
    {"Sun Nov   6 08:49:37 1994"sv, std::nullopt},
    {"Sun Nov  6  8:49:37 1994"sv, std::nullopt},
    {"Sun Nov  6 08:49:37 94"sv, std::nullopt},
    {"Sun Nov  0 08:49:37 1994"sv, std::nullopt},
    {"Sun Nov    08:49:37 1994"sv, std::nullopt},
    {"Sun Nov 6  08:49:37 1994"sv, std::nullopt},
    {"Sun, Nov 6 08:49:37 1994"sv, std::nullopt},
    {"Wed Dec 31 23:59:59 1969"sv, std::nullopt},
    {"Fri Dec 31 23:59:59 9999"sv, 253402300799},
    {"Tue Feb 29 00:00:00 2000"sv, 951782400},
    {"120"sv, std::nullopt},
    {"+5"sv, std::nullopt},
    {"2026-11-20T10:30:00Z"sv, std::nullopt},
    {"Fri, 20 Jan 2023 10:30:00 GMT"sv, 1674210600},
    {"Mon, 20 Feb 2023 10:30:00 GMT"sv, 1676889000},
    {"Mon, 20 Mar 2023 10:30:00 GMT"sv, 1679308200},
    {"Thu, 20 Apr 2023 10:30:00 GMT"sv, 1681986600},
    {"Sat, 20 May 2023 10:30:00 GMT"sv, 1684578600},
    {"Tue, 20 Jun 2023 10:30:00 GMT"sv, 1687257000},
    {"Thu, 20 Jul 2023 10:30:00 GMT"sv, 1689849000},
    {"Sun, 20 Aug 2023 10:30:00 GMT"sv, 1692527400},
    {"Wed, 20 Sep 2023 10:30:00 GMT"sv, 1695205800},
    {"Fri, 20 Oct 2023 10:30:00 GMT"sv, 1697797800},
    {"Mon, 20 Nov 2023 10:30:00 GMT"sv, 1700476200},
    {"Wed, 20 Dec 2023 10:30:00 GMT"sv, 1703068200},
};

TEST(HttpDate, ReadsWhatTheReferenceReads) {
  for (const DateCase& c : kDates) EXPECT_EQ(parse_http_date(c.text), c.seconds) << c.text;
}

TEST(HttpDate, NoByteButThatBetweenDateAndTimeOfTheOldFormIsOverlooked) {
  for (const std::string_view form :
       {"Sun, 06 Nov 1994 08:49:37 GMT"sv, "Sunday, 06-Nov-94 08:49:37 GMT"sv,
        "Sun Nov  6 08:49:37 1994"sv}) {
    for (std::size_t at = 0; at < form.size(); ++at) {
      std::string changed(form);
      changed[at] = '@';
      const bool overlooked = form.starts_with("Sunday") && at == 17;
      EXPECT_EQ(parse_http_date(changed).has_value(), overlooked) << changed;
    }
  }
}

struct NumberCase {
  std::string_view text;
  std::optional<std::uint64_t> value;
};

// As Rust's `str::parse::<u64>` answered; made by running it.
constexpr NumberCase kNumbers[] = {
    {"0"sv, 0},
    {"1"sv, 1},
    {"+1"sv, 1},
    {"-1"sv, std::nullopt},
    {"-0"sv, std::nullopt},
    {"+0"sv, 0},
    {""sv, std::nullopt},
    {"+"sv, std::nullopt},
    {"-"sv, std::nullopt},
    {"++1"sv, std::nullopt},
    {"+-1"sv, std::nullopt},
    {"-+1"sv, std::nullopt},
    {"00"sv, 0},
    {"007"sv, 7},
    {"+007"sv, 7},
    {"000000000000000000000000000018446744073709551615"sv, 18446744073709551615U},
    {"18446744073709551615"sv, 18446744073709551615U},
    {"+18446744073709551615"sv, 18446744073709551615U},
    {"18446744073709551616"sv, std::nullopt},
    {"99999999999999999999"sv, std::nullopt},
    {"184467440737095516150"sv, std::nullopt},
    {" 1"sv, std::nullopt},
    {"1 "sv, std::nullopt},
    {"1\012"sv, std::nullopt},
    {"1_0"sv, std::nullopt},
    {"0x1"sv, std::nullopt},
    {"1e3"sv, std::nullopt},
    {"1.0"sv, std::nullopt},
    {"1."sv, std::nullopt},
    {"\331\241"sv, std::nullopt},
    {"\357\274\221"sv, std::nullopt},
    {"a"sv, std::nullopt},
    {"86400"sv, 86400},
    {"9223372036854775808"sv, 9223372036854775808U},
};

TEST(RustNumber, ReadsWhatRustReads) {
  for (const NumberCase& c : kNumbers) EXPECT_EQ(parse_rust_u64(c.text), c.value) << c.text;
}

}  // namespace
}  // namespace satchel::core
