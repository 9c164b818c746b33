#include "core/wiping_malloc.hpp"

#include <malloc.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero is no standard C++

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace satchel::core {
namespace {

std::atomic<bool> used{false};

}  // namespace

bool wiping_malloc_used() noexcept { return used.load(std::memory_order_relaxed); }

void* satchel_wiping_malloc(std::size_t size) noexcept {
  used.store(true, std::memory_order_relaxed);
  return std::malloc(size);
}

void* satchel_wiping_calloc(std::size_t count, std::size_t size) noexcept {
  used.store(true, std::memory_order_relaxed);
  return std::calloc(count, size);
}

// The system's realloc would leave the text where it stood whenever it moves.
void* satchel_wiping_realloc(void* memory, std::size_t size) noexcept {
  if (memory == nullptr) return satchel_wiping_malloc(size);
  const std::size_t room = malloc_usable_size(memory);
  if (size <= room) return memory;
  void* larger = std::malloc(size);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, room);
  satchel_wiping_free(memory);
  return larger;
}

char* satchel_wiping_strdup(const char* text) noexcept {
  const std::size_t size = std::strlen(text) + 1;
  auto* copy = static_cast<char*>(satchel_wiping_malloc(size));
  if (copy != nullptr) std::memcpy(copy, text, size);
  return copy;
}

void satchel_wiping_free(void* memory) noexcept {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace satchel::core
