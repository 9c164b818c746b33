// JSON laid out for people, as serde_json's pretty printer does it: two spaces a level.
#pragma once

#include <string>
#include <string_view>

namespace satchel::core {

// `json` is valid JSON.
std::string pretty_json(std::string_view json);

}  // namespace satchel::core
