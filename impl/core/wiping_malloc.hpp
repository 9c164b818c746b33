// malloc, calloc, realloc, strdup and free that wipe what they give back: for a C library that gets
// secrets and lets its allocator be chosen. What they return may be given to plain free, and what
// malloc returned to them, so that whoever mixes the two loses the wiping and nothing else.
#pragma once

#include <cstddef>

namespace satchel::core {

extern "C" {
void* satchel_wiping_malloc(std::size_t size) noexcept;
void* satchel_wiping_calloc(std::size_t count, std::size_t size) noexcept;
void* satchel_wiping_realloc(void* memory, std::size_t size) noexcept;
char* satchel_wiping_strdup(const char* text) noexcept;
void satchel_wiping_free(void* memory) noexcept;
}

// Has any of them been called in this process?
bool wiping_malloc_used() noexcept;

}  // namespace satchel::core
