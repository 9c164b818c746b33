// BLAKE3 by its official C code, with the SIMD that the machine has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/sha256.hpp"  // Hash256, hex

namespace satchel::core {

class Blake3 {
 public:
  Blake3();
  Blake3(const Blake3&) = delete;
  Blake3& operator=(const Blake3&) = delete;
  ~Blake3();

  void reset();
  void update(std::string_view bytes);
  // The hash of everything so far; more may follow.
  [[nodiscard]] Hash256 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Hash256 blake3(std::string_view bytes);

}  // namespace satchel::core
