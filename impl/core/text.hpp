// Text as the reference systems, written in Rust, see and print it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace satchel::core {

// Without the white space at its beginning, as Unicode has it (property White_Space).
std::string_view trim_start(std::string_view text);
// Without the white space at both ends.
std::string_view trim(std::string_view text);

// In double quotes, as Rust's {:?} prints a string: error messages agree with the reference's.
std::string quoted(std::string_view text);

// `text` cut to at most `max` bytes, at a character.
std::string_view cut_at_character(std::string_view text, std::size_t max);

// As `str::parse::<u64>`: digits, a plus before them if need be; no white space.
std::optional<std::uint64_t> parse_rust_u64(std::string_view text);

bool equals_ignoring_ascii_case(std::string_view a, std::string_view b);

}  // namespace satchel::core
