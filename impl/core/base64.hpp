// Base64 as RFC 4648 has it: the standard alphabet, padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace satchel::core {

std::string base64_encode(std::string_view bytes);
// Nothing for what base64_encode() never writes: other letters, white space, missing padding, bits
// that are lost.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace satchel::core
