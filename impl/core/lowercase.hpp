// Lowercase as Rust has it, for paths that are compared without regard to case.
#pragma once

#include <string>
#include <string_view>

namespace satchel::core {

// What Rust's String::from_utf8_lossy(bytes).to_lowercase() gives, final sigma included. The table
// was printed by Rust itself (scripts/lowercase_table), so that both agree character by character.
std::string lowercase_lossy(std::string_view bytes);

// What String::from_utf8_lossy gives: U+FFFD for each maximal part that is no UTF-8.
std::string utf8_lossy(std::string_view bytes);

}  // namespace satchel::core
