// Looks for a secret in all that this process could leave in a core dump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace satchel::core {

// A random text that stands nowhere in memory as it is: kept inverted.
class HiddenToken {
 public:
  static constexpr std::size_t kSize = 96;

  HiddenToken();
  // To be wiped by the caller.
  [[nodiscard]] std::string revealed(const char* before) const;
  [[nodiscard]] char at(std::size_t i) const { return static_cast<char>(~inverted_[i]); }

 private:
  std::vector<std::uint8_t> inverted_;
};

// Where in writable memory a piece of the token stands, 24 bytes or more of it at once: one line
// for each piece, with the mapping.
std::vector<std::string> find_in_memory(const HiddenToken& token);

}  // namespace satchel::core
