// What stands between the quotes of a JSON string.
#pragma once

#include <string>
#include <string_view>

namespace satchel::core {

// Resolves the escapes of the inside of a valid JSON string, appending to `out`.
void json_unescape(std::string_view inside, std::string& out);
// Appends `text` as a canonical JSON string, with its quotes.
void json_append_string(std::string& out, std::string_view text);

// The UTF-16 code unit of the four hexadecimal digits at `at`, or -1.
int json_code_unit(const char* at, const char* end);

inline bool is_high_surrogate(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
inline bool is_low_surrogate(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

}  // namespace satchel::core
