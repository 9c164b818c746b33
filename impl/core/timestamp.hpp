// Points in time as the files that we share write them: RFC 3339, as the Rust crate jiff 0.2 reads
// and prints a Timestamp.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace satchel::core {

// Since 1970-01-01 UTC, rounded down: 0.25 s before it is {-1, 750'000'000}.
struct Timestamp {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;  // 0 to 999'999'999

  // NOLINTNEXTLINE(modernize-use-nullptr): of code that the compiler makes
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// What jiff's `Timestamp` holds: the years -9999 to 9999, less what its widest offset from UTC
// takes away. It rounds to zero: a fraction is accepted in the second before the earliest as well.
constexpr std::int64_t kEarliestSecond = -377'705'023'201;
constexpr std::int64_t kLatestSecond = 253'402'207'200;

// Accepts exactly what `str::parse::<jiff::Timestamp>` accepts: a date, a time of at least the
// hour and an offset, in the forms of RFC 3339, ISO 8601 (basic too) and RFC 9557. Time zones in
// brackets are read and play no part, whether they exist or not.
std::optional<Timestamp> parse_timestamp(std::string_view text);
// "2026-11-20T10:30:00.25Z": the fraction as short as it can be, as jiff prints it. The nearest
// that jiff's holds.
std::string format_timestamp(Timestamp time);

// Whether less than `ns`, which is not negative, has passed from `time` to `now`.
bool is_younger(Timestamp time, Timestamp now, std::int64_t ns);

Timestamp timestamp_of_ns(std::int64_t unix_ns);
// The nearest that 64 bits hold.
std::int64_t unix_ns_of(Timestamp time);

}  // namespace satchel::core
