#include "core/transport.hpp"

#include "core/text.hpp"

namespace satchel::core {

const std::string* HttpAnswer::header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (equals_ignoring_ascii_case(known, name)) return &value;
  }
  return nullptr;
}

}  // namespace satchel::core
