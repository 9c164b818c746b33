// The dates of HTTP headers (RFC 9110, 5.6.7).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace satchel::core {

// Unix seconds. Accepts exactly what `parse_http_date` of the Rust crate httpdate 1 accepts: the
// three forms, in GMT, of a day that exists and has that weekday, from 1970 to 9999, with white
// space around them.
std::optional<std::int64_t> parse_http_date(std::string_view text);

}  // namespace satchel::core
